"""A tiny shop: a raw log as logs are, with a side table, and a configuration that trains in a second.

Ids come as whole floats with NaN, tags as one string, numbers as integers; `age` and `city` lie in
the users' table.
"""

from pathlib import Path

import numpy as np
import pandas as pd

CONFIG = """
name = "shop"

[data]
impressions = {{ path = "{log}", id = "impression", day = "day" }}
keys  = ["user", "item"]
group = "user"
split = {{ valid = "2024-01-03", test = "2024-01-04" }}
outcomes = ["seconds"]
joins = [{{ path = "{folder}/users.parquet", on = "user", side = "user" }}]

[labels]
click  = "clicked"
bought = "clicked and bought"

[features]
user   = {{ kind = "categorical" }}
item   = {{ kind = "categorical", min_count = 2 }}
brand  = {{ kind = "categorical" }}
tags   = {{ kind = "bag", separator = "," }}
recent = {{ kind = "history", last = 3 }}
price  = {{ kind = "numeric", transform = "log1p" }}
image  = {{ kind = "vector", size = 2 }}
age    = {{ kind = "numeric" }}
city   = {{ kind = "categorical" }}
where  = {{ kind = "cross", of = ["city", "brand"] }}

[tasks]
ctr   = {{ label = "click" }}
cvr   = {{ label = "bought", given = "click" }}
ctcvr = {{ label = "bought", product = ["ctr", "cvr"] }}

[models.esmm]
sharing  = {{ kind = "separate", hidden = [8] }}
relation = {{ kind = "product" }}
loss     = {{ ctr = 1.0, ctcvr = 1.0 }}

[models.mmoe]
sharing = {{ kind = "mmoe", experts = 2, hidden = [8] }}
loss    = {{ ctr = 1.0, ctcvr = 1.0 }}

[train]
epochs     = 2
batch_size = 256
monitor    = "auc_valid/ctcvr"
"""
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")


def log(rows: int = 1600, seed: int = 3) -> pd.DataFrame:
    """Impressions in the order of their days, a quarter a day."""
    random = np.random.default_rng(seed)
    user, item = random.integers(0, 40, rows), random.integers(0, 15, rows)
    clicked = random.random(rows) < np.where(user % 2, 0.6, 0.2)
    bought = clicked & (random.random(rows) < np.where(item % 3, 0.2, 0.7))
    return pd.DataFrame({
        "impression": np.arange(rows) + 2**40,
        "user": user.astype("int32"),
        "item": np.where(random.random(rows) < 0.02, np.nan, item + 1000.0),
        "brand": [None if i % 7 == 0 else f"brand {i % 4}" for i in item],
        "tags": [f"{i % 5}, {u % 3},,{i % 2}" for u, i in zip(user, item, strict=True)],
        "recent": [list(range(1000 + u % 6)[1000:]) for u in user],
        "price": (item * 7 % 50).astype("int16"),
        "image": [[i / 15, u / 40] for u, i in zip(user, item, strict=True)],
        "day": np.repeat(DAYS, rows // len(DAYS)),
        "clicked": clicked.astype("int8"),
        "bought": bought.astype("int8"),
        "seconds": random.integers(0, 100, rows),
    })


def users() -> pd.DataFrame:
    """All users but three, one a row; ages are missing for some."""
    user = np.arange(37)
    return pd.DataFrame({
        "user": user,
        "age": np.where(user % 5, 20.0 + user, np.nan),
        "city": [f"city {u % 3}" for u in user],
    })


def write(folder: Path, frame: pd.DataFrame | None = None) -> Path:
    """The log and the side table in Parquet beside the configuration file, which is returned."""
    (folder / "log").mkdir(parents=True)
    for day, rows in (log() if frame is None else frame).groupby("day"):
        rows.to_parquet(folder / "log" / f"{day}.parquet", index=False)
    users().to_parquet(folder / "users.parquet", index=False)
    return configure(folder)


def configure(folder: Path) -> Path:
    """Only the configuration file, which names the folder outright."""
    file = folder / "shop.toml"
    file.write_text(CONFIG.format(log=f"{folder}/log/*.parquet", folder=folder))
    return file


def beside(made: Path, name: str) -> Path:
    """A folder next to `made` with the same examples and shards: a run's folder has one writer."""
    folder = made.with_name(name)
    folder.mkdir()
    for step in ("examples", "contract", "encoder", "shards"):
        (folder / step).symlink_to(made / step)
    return folder
