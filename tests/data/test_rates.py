"""Rates and counts: equal to an independent count, blind to a row's own day and all that follows."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pydantic import ValidationError

from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.rates.horizon import horizon
from recmtl.data.rates.opened import Rates
from recmtl.data.rates.write import write_rates
from recmtl.data.selection import select
from recmtl.errors import RecmtlError
from recmtl.schema import Problem
from tests.data import made_log

Made = Callable[..., tuple[Problem, Examples]]
LABELS = {"click": "click", "bought": "click and bought"}
FIRST = date(2024, 1, 1)
FEATURES: dict[str, Any] = {
    "user": {"kind": "categorical"}, "tags": {"kind": "bag", "separator": ","},
    "all": {"kind": "rate", "of": ["user"], "label": "click"},
    "two": {"kind": "rate", "of": ["user"], "label": "click", "days": 2, "prior": 3},
    "buys": {"kind": "rate", "of": ["user"], "label": "bought", "given": "click", "prior": 0.5},
    "pair": {"kind": "rate", "of": ["tags", "user"], "label": "click", "prior": 1},
    "shop_buys": {"kind": "rate", "of": ["shop"], "label": "bought", "given": "click"},
    "seen": {"kind": "count", "of": ["shop"], "days": 3},
    "got": {"kind": "count", "of": ["user", "shop"], "label": "bought"},
}
RATED = {name: form for name, form in FEATURES.items() if form["kind"] in ("rate", "count")}


def random_log(rows: int = 400) -> pa.Table:
    """Days with a gap, null keys, bags as strings, unknown outcomes."""
    random = np.random.default_rng(5)
    day = random.choice([0, 1, 2, 4, 7, 8], rows)
    click = random.random(rows) < 0.4
    return pa.table({
        "day": [(FIRST + timedelta(days=int(d))).isoformat() for d in day],
        "user": pa.array([int(u) if u else None for u in random.integers(0, 9, rows)], pa.int64()),
        "shop": random.choice(["a", "b", "c", None], rows).tolist(),
        "tags": random.choice(["x, y", "y,x", "", "z", None], rows).tolist(),
        "click": click.astype("int8"),
        "bought": pa.array([[0, 1, None][i] for i in random.integers(0, 3, rows)], pa.int8()),
    })


def expected(log: pa.Table, form: dict[str, Any]) -> list[list[float | None]]:
    """(the value, the rows it rests on) by joining every row to all earlier ones."""
    label, given = form.get("label"), form.get("given")
    lists = pl.col("tags").str.split(",").list.eval(pl.element().str.strip_chars(" "))
    rows = pl.DataFrame(log).with_row_index("row").with_columns(
        pl.col("day").str.to_date(),
        lists.list.eval(pl.element().filter(pl.element() != "")).list.join("|").alias("tags"),
        pl.when(pl.col("click") == 1).then(pl.col("bought")).otherwise(0).alias("bought"),
    )
    known = pl.col(label).is_not_null() if label else pl.lit(True)
    space = known & (pl.col(given) == 1) if given else known
    past = rows.filter(space & pl.all_horizontal(pl.col(form["of"]).is_not_null()))
    past = past.select("day", *form["of"], pl.col(label or "click").cast(pl.Int64).alias("hit"))
    pairs = rows.select("row", "day", *form["of"]).join(past, how="cross", suffix="_past").filter(
        (pl.col("day_past") < pl.col("day"))
        & (pl.col("day_past") >= pl.col("day") - pl.duration(days=form.get("days", 1000)))
    )
    same = pl.all_horizontal(pl.col(c) == pl.col(f"{c}_past") for c in form["of"])
    sums = pairs.group_by("row").agg(
        pl.len().alias("all"), pl.col("hit").sum().alias("hits"),
        same.sum().alias("n"), pl.col("hit").filter(same).sum().alias("own"),
    )
    found: dict[int, list[float | None]] = {}
    for row, every, hits, n, own in sums.iter_rows():
        prior = form.get("prior", 20.0)
        value = (own + prior * hits / every) / (n + prior)
        found[row] = [value, n] if form["kind"] == "rate" else [own if label else n]
    nulls = rows.select(pl.any_horizontal(pl.col(form["of"]).is_null())).to_series()
    width = 2 if form["kind"] == "rate" else 1
    return [[None] * width if null else found.get(i, [None] * width) for i, null in enumerate(nulls)]


def values(examples: Examples, name: str, form: dict[str, Any]) -> dict[int, list[float | None]]:
    """Row of the log → the joined numbers."""
    columns = [name, f"{name}.n"][: 2 if form["kind"] == "rate" else 1]
    query = select(examples, columns=["_row", *columns])
    return {row: list(numbers) for row, *numbers in duckdb.connect().execute(query).fetchall()}


@pytest.fixture(scope="module")
def made(ingested_once: Made) -> tuple[Problem, Examples]:
    return ingested_once(random_log(), FEATURES, labels=LABELS)


@pytest.mark.parametrize("name", RATED)
def test_numbers_equal_an_independent_count(made: tuple[Problem, Examples], name: str) -> None:
    log, form = random_log(), RATED[name]
    wanted = expected(log, form)
    got = values(made[1], name, form)
    assert len(got) == log.num_rows
    assert sum(numbers[0] is not None for numbers in wanted) > 100
    for row, numbers in enumerate(wanted):
        same = numbers if None in numbers else pytest.approx(numbers, rel=1e-12)
        assert got[row] == same, (row, log.slice(row, 1).to_pylist())


def test_rates_by_hand(ingested: Made) -> None:
    log = pa.table({
        "day": ["2024-01-01"] * 3 + ["2024-01-02", "2024-01-03", "2024-01-04"],
        "user": [1, 1, 2, 1, 3, None], "click": [1, 0, 1, 0, 1, 0],
    })
    _, examples = ingested(log, {
        "user": {"kind": "categorical"},
        "ctr": {"kind": "rate", "of": ["user"], "label": "click", "prior": 2},
        "clicks": {"kind": "count", "of": ["user"], "label": "click", "days": 1},
    })
    rows = duckdb.connect().execute(
        select(examples, columns=["dt", "ctr", "ctr.n", "clicks"])
    ).fetchall()
    assert [row[1:] for row in rows] == [
        (None, None, None), (None, None, None), (None, None, None),  # nothing is known before
        (pytest.approx((1 + 2 * 2 / 3) / (2 + 2)), 2, 1),
        (0.5, 0, 0),  # never seen: the global rate, 2 of 4
        (None, None, None),  # no key
    ]


def test_features_of_one_key_and_window_share_a_state(made: tuple[Problem, Examples]) -> None:
    day = made[1].rates.folder / "dt=2024-01-09"
    assert sorted(file.name for file in day.iterdir()) == [
        "shop 3d.parquet", "shop+user.parquet", "shop.parquet", "tags+user.parquet",
        "user 2d.parquet", "user.parquet",
    ]
    assert max(made[1].rates.manifest["days"]) == "2024-01-10"  # the day after the last


def test_a_day_sees_no_label_of_its_own_or_later(ingested: Made) -> None:
    """Flip every label of one day: no number of that day or of one before it changes."""
    log, flipped_day = random_log(), "2024-01-02"
    of_day = np.array([day == flipped_day for day in log["day"].to_pylist()])
    click = log["click"].to_numpy()
    flipped = log.set_column(
        log.schema.get_field_index("click"), "click", pa.array(np.where(of_day, 1 - click, click))
    )
    before, after = (ingested(table, FEATURES, labels=LABELS)[1] for table in (log, flipped))
    later = np.array([day > flipped_day for day in log["day"].to_pylist()])
    for name, form in RATED.items():
        was, now = values(before, name, form), values(after, name, form)
        changed = {row for row in was if was[row] != now[row]}
        assert not [row for row in changed if not later[row]], name
        assert changed or name == "seen", name


def test_rows_keep_their_order_and_number(made: tuple[Problem, Examples]) -> None:
    _, examples = made
    plain = duckdb.connect().execute(select(examples, columns=["dt", "_file", "_row"])).fetchall()
    joined = duckdb.connect().execute(select(examples, columns=["dt", "_file", "_row", "all", "pair"]))
    assert [row[:3] for row in joined.fetchall()] == plain == sorted(plain)
    one = select(examples, columns=["dt", "all"], days=[date(2024, 1, 3)])
    assert {row[0] for row in duckdb.connect().execute(one).fetchall()} == {date(2024, 1, 3)}


def late(problem: Problem, **windows: str) -> Problem:
    """The same with click and bought as the columns of events, each of the one before it."""
    events = {
        name: {"path": "x", "time": "t", "unit": "s", "on": "id", "window": window,
               "of": "impression" if name == "click" else "click"}
        for name, window in windows.items()
    }
    data = problem.data.model_dump() | {"events": events}
    return Problem.model_validate(problem.model_dump() | {"data": data, "root": problem.root})


MIDNIGHT = 1704124800  # of 2 January 2024 in Shanghai, in seconds of UTC
SECONDS = [MIDNIGHT + s for s in (-3601, -3600, -3599, 3600, 86400 + 3600, 3 * 86400)]


@pytest.fixture
def timed(tmp_path: Path) -> Problem:
    """Users 1 to 6, an impression each at SECONDS."""
    made_log.write(tmp_path / "log.parquet", {
        "time": SECONDS, "user": [1, 2, 3, 4, 5, 6], "click": [1] * 6, "bought": [1] * 6,
        "day": ["2024-01-01"] * 3 + ["2024-01-02", "2024-01-03", "2024-01-05"],
    })
    source = {"path": "log.parquet", "time": "time", "unit": "s", "zone": "Asia/Shanghai"}
    return Problem.model_validate({
        "name": "timed", "root": tmp_path, "labels": LABELS, "tasks": {"ctr": {"label": "click"}},
        "data": {"impressions": source, "split": {"hash": ["user"], "valid": 0.1, "test": 0.1}},
        "features": {"ctr": {"kind": "rate", "of": ["user"], "label": "click"}},
    })


def known(problem: Problem, folder: Path) -> dict[str, list[int]]:
    """Day → the users of whom something is known."""
    write_rates(problem, Examples.open(folder / "examples"), folder / "rates")
    query = 'SELECT "user" FROM read_parquet(?) ORDER BY ALL'
    return {
        day: [user for (user,) in duckdb.connect().execute(
            query, [str(folder / "rates" / f"dt={day}" / "*.parquet")]).fetchall()]
        for day in Rates.open(folder / "rates").manifest["days"]
    }


def test_a_labels_horizon_is_its_longest_chain_of_windows(timed: Problem) -> None:
    problem = late(timed, click="30 minutes", bought="2 days")
    assert horizon(problem, "click") == timedelta(minutes=30)
    assert horizon(problem, "bought") == timedelta(days=2, minutes=30)
    assert horizon(timed, "bought") == timedelta(0)


def test_a_row_counts_from_the_first_day_that_begins_when_its_window_has_closed(
    timed: Problem, tmp_path: Path
) -> None:
    ingest(timed, tmp_path / "examples")
    at_once = known(timed, tmp_path)
    assert at_once == {
        "2024-01-01": [], "2024-01-02": [1, 2, 3], "2024-01-03": [1, 2, 3, 4],
        "2024-01-05": [1, 2, 3, 4, 5], "2024-01-06": [1, 2, 3, 4, 5, 6],
    }
    # user 3's hour ends a second after midnight
    assert known(late(timed, click="1 hour"), tmp_path) == at_once | {"2024-01-02": [1, 2]}


def test_where_the_log_says_the_day_whole_days_are_waited(timed: Problem, tmp_path: Path) -> None:
    source = timed.data.impressions.model_copy(update={"day": "day"})
    dated = timed.model_copy(
        update={"data": timed.data.model_copy(update={"impressions": source})}
    )
    ingest(dated, tmp_path / "examples")
    assert known(late(dated, click="1 hour"), tmp_path) == {
        "2024-01-01": [], "2024-01-02": [], "2024-01-03": [1, 2, 3],
        "2024-01-05": [1, 2, 3, 4, 5], "2024-01-06": [1, 2, 3, 4, 5],
    }


def test_days_whose_past_is_unchanged_are_not_written_again(tmp_path: Path) -> None:
    log = random_log().to_pandas()
    problem = Problem.model_validate({
        "name": "days", "root": tmp_path, "labels": LABELS, "tasks": {"ctr": {"label": "click"}},
        "data": {"impressions": {"path": "log/*.parquet", "day": "day"},
                 "split": {"valid": "2024-01-08", "test": "2024-01-09"}},
        "features": FEATURES,
    })
    (tmp_path / "log").mkdir()

    def run() -> dict[str, list[int]]:
        for day, rows in log.groupby("day"):
            file = tmp_path / "log" / f"{day}.parquet"
            if not file.exists():
                rows.to_parquet(file, index=False)
        ingest(problem, tmp_path / "examples")
        write_rates(problem, Examples.open(tmp_path / "examples"), tmp_path / "rates")
        return {
            folder.name: [file.stat().st_ino for file in sorted(folder.iterdir())]
            for folder in sorted((tmp_path / "rates").glob("dt=*"))
        }

    first = run()
    assert run() == first
    (tmp_path / "log" / "2024-01-05.parquet").unlink()
    log.loc[log["day"] == "2024-01-05", "click"] = 0
    second = run()
    assert [day for day in first if first[day] == second[day]] == [
        "dt=2024-01-01", "dt=2024-01-02", "dt=2024-01-03", "dt=2024-01-05"
    ]


def test_without_rates_nothing_is_written(tmp_path: Path) -> None:
    """A log without days has none."""
    made_log.write(tmp_path / "log.parquet", {"user": [1, 2], "click": [1, 0]})
    problem = Problem.model_validate({
        "name": "undated", "root": tmp_path, "labels": {"click": "click"},
        "data": {"impressions": {"path": "log.parquet"},
                 "split": {"hash": ["user"], "valid": 0.1, "test": 0.1}},
        "features": {"user": {"kind": "categorical"}}, "tasks": {"ctr": {"label": "click"}},
    })
    ingest(problem, tmp_path / "examples")
    write_rates(problem, Examples.open(tmp_path / "examples"), tmp_path / "rates")
    assert not (tmp_path / "rates").exists()


def test_examples_refuse_the_rates_of_others(ingested: Made, tmp_path: Path) -> None:
    _, examples = ingested(random_log(), FEATURES, labels=LABELS)
    manifest = examples.rates.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(examples.manifest["key"], "another"))
    with pytest.raises(RecmtlError, match=r"other examples[\s\S]*recmtl ingest"):
        select(Examples(examples.folder, examples.manifest), columns=["all"])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown label": (
        {"features": {"f": RATED["all"] | {"label": "clik"}}}, "features.f: no label 'clik'"
    ),
    "an unknown label space": ({"features": {"f": RATED["all"] | {"given": "x"}}}, "no label 'x'"),
    "no day": (
        {"data": {"impressions": {"path": "x"},
                  "split": {"hash": ["user"], "valid": 0.1, "test": 0.1}}},
        "counts earlier days: name impressions.day",
    ),
    "a pattern": ({"features": {"f*": RATED["all"]}}, "no pattern"),
    "a key twice": ({"features": {"f": RATED["all"] | {"of": ["user", "user"]}}}, "twice"),
    "no prior": ({"features": {"f": RATED["all"] | {"prior": 0}}}, "prior"),
}


@pytest.mark.parametrize(("changes", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_rate_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    content: dict[str, Any] = {
        "name": "x", "labels": LABELS, "tasks": {"ctr": {"label": "click"}}, "features": FEATURES,
        "data": {"impressions": {"path": "x", "day": "day"},
                 "split": {"valid": "2024-01-02", "test": "2024-01-03"}},
    }
    with pytest.raises(ValidationError, match=says):
        Problem.model_validate({**content, **changes})


def test_an_outcome_is_no_key(ingested: Made) -> None:
    with pytest.raises(RecmtlError, match=r"the column 'bought' is an input of the label"):
        ingested(random_log(), {"f": {"kind": "rate", "of": ["bought"], "label": "click"}}, labels=LABELS)
