"""A tiny problem with every canonical column type, and an untrained bundle of it."""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from recmtl.bundle import Bundle
from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.experiment import Experiment
from recmtl.folder import write_folder
from recmtl.model.multitask import build_model

CONFIG = """
name = "tiny"

[data]
impressions = { path = "log.parquet", day = "day" }
keys  = ["user"]
split = { valid = "2024-01-03", test = "2024-01-04" }

[labels]
click     = "clicked"
converted = "clicked and bought"

[features]
user   = { kind = "categorical" }
city   = { kind = "categorical" }
price  = { kind = "numeric" }
recent = { kind = "history", last = 3 }

[tasks]
ctr   = { label = "click" }
cvr   = { label = "converted", given = "click" }
ctcvr = { label = "converted", product = ["ctr", "cvr"] }

[models.esmm]
sharing  = { kind = "separate", hidden = [8] }
relation = { kind = "product" }
loss     = { ctr = 1.0, ctcvr = 1.0 }

[models.mmoe]
sharing = { kind = "mmoe", experts = 2, hidden = [8] }
loss    = { ctr = 1.0, ctcvr = 1.0 }

[train]
epochs     = 1
batch_size = 64
monitor    = "auc_valid/ctcvr"
"""


def write_problem(folder: Path, rows: int = 400) -> Path:
    """The configuration file, with its log beside it: four days, half of the rows clicked."""
    random = np.random.default_rng(5)
    user = random.integers(0, 20, rows)
    clicked = random.random(rows) < 0.3 + 0.4 * (user % 2)
    pl.DataFrame({
        "user": user,
        "city": [f"c{u % 3}" for u in user],
        "price": random.normal(size=rows),
        "recent": [[int(u), int(u) + 1] for u in user],
        "day": [f"2024-01-0{1 + i % 4}" for i in range(rows)],
        "clicked": clicked,
        "bought": clicked & (random.random(rows) < 0.5),
    }).with_columns(pl.col("day").str.to_date()).write_parquet(folder / "log.parquet")
    (folder / "tiny.toml").write_text(CONFIG)
    return folder / "tiny.toml"


def untrained_bundle(folder: Path) -> Path:
    """A bundle of random weights, in `folder`/bundle."""
    experiment = Experiment.read(write_problem(folder))
    ingest(experiment, folder / "examples")
    examples = Examples.open(folder / "examples")
    encoder = Encoder.fit(experiment, examples, experiment.embedding.width)
    torch.manual_seed(0)
    model = build_model(
        experiment.models["esmm"], experiment.embedding, encoder.layout, experiment.tasks
    )
    with write_folder(folder / "bundle", {"model": "esmm"}) as made:
        Bundle(experiment, "esmm", 1, encoder, model.eval()).save(made, rows_of(folder))
    return folder / "bundle"


def rows_of(folder: Path):  # type: ignore[no-untyped-def]
    """Input rows of the problem, as Arrow."""
    return pl.read_parquet(folder / "log.parquet").to_arrow(compat_level=pl.CompatLevel.oldest())
