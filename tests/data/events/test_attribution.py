"""Attribution: small cases by hand, and random logs against an independent computation in polars."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recmtl.data import contract
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from tests.data.events.made_events import CLICK, CLICKS, IMPRESSIONS, ORDER, ORDERS, START, problem, write
from tests.data.made_log import rows

NOTHING = {"nulls": 0, "after_as_of": 0, "repeated": 0, "orphans": 0, "before_cause": 0,
           "outside_window": 0}


def test_clicks_by_id_and_orders_by_keys_of_the_impression(tmp_path: Path) -> None:
    write(tmp_path)
    manifest = ingest(problem(tmp_path), tmp_path / "out")
    assert rows(tmp_path / "out", "_row", "clicked", "bought", "spent", "early") == [
        (0, 1.0, 1, 2.5, 1), (1, 0.0, 0, 0.0, 0), (2, 1.0, 1, 4.0, 1),
    ]
    assert manifest["events"] == {
        "click": {"rows": 2, **NOTHING, "credited": 2},
        "order": {"rows": 3, **NOTHING, "null_amount": 0, "credited": 3},
    }
    assert "without as_of every window counts as closed" in manifest["warnings"][0]


def test_every_event_falls_under_one_heading(tmp_path: Path) -> None:
    write(tmp_path, click={
        "id": ["a", "a", "b", "c", "d", "e", None, "g", "h"],
        "impression": [1, 2, 1, 9, 2, 2, 2, None, 2],
        "t": [START + 9, START + 8, START + 10, START, START + 4, None, START + 6, START, START + 500],
    })
    click = {**CLICK, "id": "id"}
    as_of = datetime.fromtimestamp(START + 200, UTC).isoformat()
    manifest = ingest(problem(tmp_path, {"click": click}, as_of=as_of), tmp_path / "out")
    assert manifest["events"]["click"] == {
        "rows": 9, "nulls": 3, "after_as_of": 1, "repeated": 1, "orphans": 1, "before_cause": 1,
        "outside_window": 1, "credited": 1,
    }
    assert rows(tmp_path / "out", "clicked") == [(0.0,), (1.0,), (0.0,)]  # a's first


def test_verdicts_stand_by_the_days_of_the_events(tmp_path: Path) -> None:
    day = 86_400
    write(tmp_path, click={
        "impression": [1, 9, 9, 1], "t": [START + 3, START + 3, START + day, START + 2 * day - 1],
    })
    days = ingest(problem(tmp_path, {"click": CLICK}), tmp_path / "out")["event_days"]["click"]
    found = {name: {n: c for n, c in counts.items() if c} for name, counts in days.items()}
    assert found == {
        "2026-01-01": {"rows": 2, "orphans": 1, "credited": 1},
        "2026-01-02": {"rows": 2, "orphans": 1, "outside_window": 1},
    }


def test_a_log_of_orders_that_was_written_twice_is_counted_and_said(tmp_path: Path) -> None:
    """Each order adds to the sum, as nothing says that they are one; the contract says so."""
    write(tmp_path, order0=ORDERS)
    made = problem(tmp_path)
    counts = ingest(made, tmp_path / "out")["events"]
    assert counts["order"] == {"rows": 6, **NOTHING, "null_amount": 0, "equal": 3, "credited": 6}
    assert rows(tmp_path / "out", "spent") == [(5.0,), (0.0,), (8.0,)]
    with pytest.raises(RecmtlError, match=r"events of order: 3 of 6 \(50 %\) are equal to another"):
        contract.check(made, tmp_path / "out", tmp_path / "contract")


@pytest.mark.parametrize(("touch", "credited"), [("last", 2), ("first", 0)])
def test_ties_in_time_go_to_the_last_or_first_row(tmp_path: Path, touch: str, credited: int) -> None:
    write(tmp_path, log={**IMPRESSIONS, "user": [7] * 3, "item": ["a"] * 3, "t": [START] * 3},
          click={"user": [7], "item": ["a"], "t": [START]})
    click = {**CLICK, "on": ["user", "item"], "touch": touch}
    ingest(problem(tmp_path, {"click": click}), tmp_path / "out")
    assert [row for row, clicked in rows(tmp_path / "out", "_row", "clicked") if clicked] == [credited]


def test_a_duplicated_impression_is_credited_once(tmp_path: Path) -> None:
    write(tmp_path, log={**IMPRESSIONS, "impression": [1, 1, 3]})
    ingest(problem(tmp_path, {"click": CLICK}), tmp_path / "out")
    assert rows(tmp_path / "out", "clicked") == [(1.0,), (0.0,), (1.0,)]  # a click before row 1 was shown


def test_a_dropped_repeat_of_an_impression_causes_nothing(tmp_path: Path) -> None:
    write(tmp_path, log={**IMPRESSIONS, "impression": [1, 1, 3]},
          click={"impression": [1], "t": [START + 6]})
    made = problem(tmp_path, {"click": CLICK})
    source = made.data.impressions.model_copy(update={"duplicates": "drop"})
    made = made.model_copy(update={"data": made.data.model_copy(update={"impressions": source})})
    ingest(made, tmp_path / "out")
    assert rows(tmp_path / "out", "_row", "clicked") == [(0, 1.0), (2, 0.0)]


def test_what_came_of_an_impression_without_a_key_is_unknown(tmp_path: Path) -> None:
    """Of its clicks, of their orders and of all that labels read of them; the counts are of events."""
    write(tmp_path, log={**IMPRESSIONS, "impression": [1, None, 3]})
    manifest = ingest(problem(tmp_path), tmp_path / "out")
    assert rows(tmp_path / "out", "clicked", "bought", "spent", "early") == [
        (1.0, 1, 2.5, 1), (None, None, None, None), (1.0, 1, 4.0, 1),
    ]
    assert manifest["events"]["click"] == {"rows": 2, **NOTHING, "credited": 2}
    assert manifest["days"]["2026-01-01"]["labels"]["bought"] == {"positives": 2, "nulls": 1}


def test_what_came_of_a_click_without_a_key_is_unknown(tmp_path: Path) -> None:
    """Unless something came of another click of the impression, though not how much; without a click
    there was no order."""
    write(tmp_path, log={**IMPRESSIONS, "impression": [1, 2, 3], "t": [START] * 3},
          click={"impression": [1, 3, 3], "t": [START + 3, START + 1, START + 2],
                 "click_id": [None, "x", None]},
          order={"click_id": ["x"], "t": [START + 4], "amount": [4]})
    events = {"click": CLICK, "order": {**ORDER, "on": "click_id"}}
    manifest = ingest(problem(tmp_path, events), tmp_path / "out")
    assert rows(tmp_path / "out", "clicked", "bought", "spent") == [
        (1.0, None, None), (0.0, 0, 0.0), (1.0, 1, None),
    ]
    assert manifest["events"]["click"]["credited"] == 3
    assert manifest["events"]["order"]["credited"] == 1


def test_what_is_lost_on_the_way_stays_lost(tmp_path: Path) -> None:
    """A cart without a key makes the orders of its click's impression unknown, two sources on."""
    cart = {**CLICK, "of": "click", "path": "cart*.parquet", "on": "click_id"}
    write(tmp_path, click={**CLICKS, "click_id": [None, "y"]},
          cart={"click_id": ["y"], "t": [START + 102], "cart_id": [5]},
          order={"cart_id": [5], "t": [START + 103], "amount": [4]})
    events = {"click": CLICK, "cart": cart, "order": {**ORDER, "of": "cart", "on": "cart_id"}}
    ingest(problem(tmp_path, events), tmp_path / "out")
    assert rows(tmp_path / "out", "clicked", "spent") == [(1.0, None), (0.0, 0.0), (1.0, 4.0)]


def test_what_is_lost_beside_what_is_known_is_lost_two_sources_on(tmp_path: Path) -> None:
    """One of two clicks led to a cart, the other has no key: there may be another cart, with an order."""
    cart = {**CLICK, "of": "click", "path": "cart*.parquet", "on": "click_id"}
    write(tmp_path, log={**IMPRESSIONS, "impression": [1, 2, 3], "t": [START] * 3},
          click={"impression": [1, 1, 3], "t": [START + 1, START + 2, START + 1],
                 "click_id": ["x", None, "y"]},
          cart={"click_id": ["x", "y"], "t": [START + 3] * 2, "cart_id": [5, 6]},
          order={"cart_id": [6], "t": [START + 4], "amount": [4]})
    events = {"click": CLICK, "cart": cart, "order": {**ORDER, "of": "cart", "on": "cart_id"}}
    ingest(problem(tmp_path, events), tmp_path / "out")
    assert rows(tmp_path / "out", "clicked", "bought", "spent") == [
        (1.0, None, None), (0.0, 0, 0.0), (1.0, 1, 4.0),
    ]


def test_orders_by_click_id(tmp_path: Path) -> None:
    write(tmp_path, click={**CLICKS, "click_id": ["x", "y"]},
          order={"click_id": ["y", "z"], "t": [START + 102] * 2, "amount": [4, None]})
    events = {"click": {**CLICK, "id": "click_id"}, "order": {**ORDER, "on": "click_id"}}
    manifest = ingest(problem(tmp_path, events), tmp_path / "out")
    assert rows(tmp_path / "out", "bought", "spent") == [(0, 0.0), (0, 0.0), (1, 4.0)]
    assert manifest["events"]["order"]["orphans"] == manifest["events"]["order"]["null_amount"] == 1
    assert "1 of 2 events have no amount" in manifest["warnings"][1]


def test_a_chain_of_three_carries_the_impressions_columns(tmp_path: Path) -> None:
    write(tmp_path, cart={"impression": [3], "t": [START + 105]})
    cart = {"of": "click", "path": "cart.parquet", "time": "t", "unit": "s", "on": "impression",
            "window": "1 minute"}
    events = {"order": {**ORDER, "of": "cart"}, "cart": cart, "click": CLICK}
    manifest = ingest(problem(tmp_path, events), tmp_path / "out")
    assert rows(tmp_path / "out", "bought", "spent") == [(0, 0.0), (0, 0.0), (1, 4.0)]
    assert manifest["events"]["order"] | {"null_amount": 0} == {
        **NOTHING, "rows": 3, "orphans": 1, "credited": 2, "null_amount": 0,
    }


def test_rows_that_where_leaves_out_cause_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    made = problem(tmp_path)
    source = made.data.impressions.model_copy(update={"where": "impression <> 1"})
    made = made.model_copy(update={"data": made.data.model_copy(update={"impressions": source})})
    manifest = ingest(made, tmp_path / "out")
    assert rows(tmp_path / "out", "_row", "spent") == [(1, 0.0), (2, 4.0)]
    assert manifest["events"]["click"]["orphans"] == manifest["events"]["order"]["orphans"] == 1


def test_rows_that_a_sources_where_leaves_out_are_no_events(tmp_path: Path) -> None:
    """Neither are they credited, nor are what is wrong with them and their number anybody's matter."""
    write(tmp_path, click={**CLICKS, "kind": ["view", "tap"], "weight": [float("inf"), 2.0]})
    click = {**CLICK, "where": "kind = 'tap'", "sum": ["weight"]}
    manifest = ingest(problem(tmp_path, {"click": click, "order": ORDER}), tmp_path / "out")
    assert rows(tmp_path / "out", "clicked", "bought") == [(0.0, 0), (0.0, 0), (1.0, 1)]
    assert manifest["events"]["click"] == {"rows": 1, **NOTHING, "null_weight": 0, "credited": 1}
    assert manifest["dropped"]["events"] == {"click": 1}


@pytest.mark.parametrize("on", ["id", "keys"])
@pytest.mark.parametrize("touch", ["last", "first"])
@pytest.mark.parametrize("seed", range(5))
def test_random_logs_agree_with_polars(tmp_path: Path, seed: int, touch: str, on: str) -> None:
    logs = _random(np.random.default_rng(seed))
    for (name, number), table in logs.items():
        table.write_parquet(tmp_path / f"{name}{number}.parquet")
    keys = ["user", "item"]
    events = {
        "click": {**CLICK, "id": "click_id", "touch": touch, "on": "impression" if on == "id" else keys},
        "order": {**ORDER, "id": "order_id", "touch": touch, "on": "click_id" if on == "id" else keys},
    }
    as_of = START + 80
    manifest = ingest(problem(tmp_path, events, as_of=datetime.fromtimestamp(as_of, UTC).isoformat()),
                      tmp_path / "out")
    impressions, clicks, orders = (_whole(logs, name) for name in ("log", "click", "order"))
    impressions = impressions.filter(pl.col("t") <= as_of)
    causes = impressions.with_columns(of_file="_file", of_row="_row")
    found = {}
    for name, log, ids in (("click", clicks, "click_id"), ("order", orders, "order_id")):
        credited, counts = _credit(log, causes, ids, events[name], as_of)
        found[name] = credited
        assert manifest["events"][name] == {**manifest["events"][name], **counts}
        parts = {n: c for n, c in manifest["events"][name].items() if n not in ("rows", "null_amount")}
        assert sum(parts.values()) == len(log)
        causes = credited.drop(c for c in credited.columns if c.endswith("_right"))
    expected = impressions.select("_file", "_row", "t")
    for name, credited in found.items():
        sums = [pl.col("amount").sum()] if name == "order" else []
        of = credited.group_by("of_file", "of_row").agg(pl.len().alias(name), *sums)
        of = of.rename({"of_file": "_file", "of_row": "_row"})
        expected = expected.join(of, on=["_file", "_row"], how="left")
    clicks_known, orders_known = pl.col("t") + 10 <= as_of, pl.col("t") + 30 <= as_of
    keyed = pl.all_horizontal(
        pl.col(key).is_not_null() for key in (["impression"] if on == "id" else keys)
    )
    clicks_known, orders_known = clicks_known & pl.col("keyed"), orders_known & pl.col("keyed")
    expected = expected.with_columns(impressions.select(keyed=keyed)["keyed"]).fill_null(0).select(
        "_file", "_row", pl.when(clicks_known).then((pl.col("click") > 0).cast(float)).alias("clicked"),
        pl.when(orders_known).then((pl.col("order") > 0).cast(int)).alias("bought"),
        pl.when(orders_known).then(pl.col("amount").cast(float)).alias("spent"),
    ).sort("_file", "_row")
    assert found["order"].height > 5
    assert rows(tmp_path / "out", *expected.columns) == expected.rows()


def _random(rng: np.random.Generator) -> dict[tuple[str, int], pl.DataFrame]:
    """Two files a log, with few ids and seconds, so that ties, repeats, orphans and nulls abound."""

    def some(values: Any, nulls: float) -> pl.Series:
        return pl.Series([None if gone else v for v, gone in zip(
            values.tolist(), rng.random(len(values)) < nulls, strict=True)])

    logs = {}
    for number in (0, 1):
        n, m, k = 200, 240, 240
        logs["log", number] = pl.DataFrame({
            "impression": some(rng.integers(0, 300, n), 0.05), "user": rng.integers(0, 8, n),
            "item": some(rng.choice(["a", "b", "c"], n), 0.1), "t": START + rng.integers(0, 100, n),
        })
        logs["click", number] = pl.DataFrame({
            "click_id": some(rng.integers(0, 400, m), 0.05).cast(pl.String),
            "impression": some(rng.integers(0, 320, m), 0.05), "user": rng.integers(0, 9, m),
            "item": some(rng.choice(["a", "b", "c", "d"], m), 0.1),
            "t": some(START + rng.integers(0, 110, m), 0.05),
        })
        logs["order", number] = pl.DataFrame({
            "order_id": some(rng.integers(0, 400, k), 0.05), "user": rng.integers(0, 9, k),
            "click_id": some(rng.integers(0, 420, k), 0.05).cast(pl.String),
            "item": some(rng.choice(["a", "b", "c"], k), 0.1),
            "t": some(START + rng.integers(0, 110, k), 0.05),
            "amount": some(rng.integers(0, 9, k), 0.1).cast(pl.Float64),
        })
    _aim(logs, rng)
    return logs


def _aim(logs: dict[tuple[str, int], pl.DataFrame], rng: np.random.Generator) -> None:
    """Let half of the clicks and orders by id fall near their causes, or none would be in the window."""
    for name, cause, key in (("click", "log", "impression"), ("order", "click", "click_id")):
        times = pl.concat([logs[cause, 0], logs[cause, 1]]).drop_nulls([key, "t"]).unique(key).select(
            key, near="t")
        for number in (0, 1):
            log = logs[name, number].with_row_index()
            delay = pl.Series(rng.integers(-3, 14, log.height))
            logs[name, number] = log.join(times, on=key, how="left").sort("index").with_columns(
                t=pl.when(pl.col("index") % 2 == 0).then(pl.coalesce(pl.col("near") + delay, "t"))
                .otherwise("t")).drop("index", "near")


def _whole(logs: dict[tuple[str, int], pl.DataFrame], name: str) -> pl.DataFrame:
    return pl.concat([
        logs[name, number].with_row_index("_row").with_columns(
            pl.lit(number).alias("_file"), pl.col("_row").cast(pl.Int64)) for number in (0, 1)
    ])


def _credit(
    log: pl.DataFrame, causes: pl.DataFrame, ids: str, event: dict[str, Any], as_of: int
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Credited events, with the impression each is credited to, and the count of each heading."""
    on = [event["on"]] if isinstance(event["on"], str) else event["on"]
    whole = log.drop_nulls([ids, "t", *on])
    seen = whole.filter(pl.col("t") <= as_of)
    once = seen.sort("t", "_file", "_row").unique(ids, keep="first", maintain_order=True)
    pairs = once.join(causes.drop_nulls(on), on=on, suffix="_right")
    seconds = int(event["window"].split()[0])
    since = pl.col("t") - pl.col("t_right")
    inside = pairs.filter((since >= 0) & (since < seconds)).sort("t_right", "_file_right", "_row_right")
    credited = inside.unique(ids, keep=event["touch"], maintain_order=True)
    rest = pairs.join(credited.select(ids), on=ids, how="anti")
    late = rest.filter(since >= 0)[ids].n_unique()
    return credited, {
        "rows": len(log), "nulls": len(log) - len(whole), "after_as_of": len(whole) - len(seen),
        "repeated": len(seen) - len(once), "orphans": len(once) - pairs[ids].n_unique(),
        "before_cause": rest[ids].n_unique() - late, "outside_window": late, "credited": len(credited),
    }


def test_orders_and_impressions_without_a_click_stay_apart(tmp_path: Path) -> None:
    """An order finds a cause among credited clicks alone, not among impressions."""
    write(tmp_path, order={**ORDERS, "item": ["b", "b", "b"]})
    manifest = ingest(problem(tmp_path), tmp_path / "out")
    assert manifest["events"]["order"]["orphans"] == 3


def test_a_source_may_have_any_name(tmp_path: Path) -> None:
    """None is that of a table which crediting needs on its way."""
    write(tmp_path)
    names = ("files", "causes", "events", "matched", "seen", "sources", "log")
    made = problem(tmp_path, {"click": CLICK, **{key: {**CLICK, "window": "9 days"} for key in names}})
    counts = ingest(made, tmp_path / "out")["events"]
    assert {name: of_source["credited"] for name, of_source in counts.items()} == dict.fromkeys(
        ["click", *names], 2)


def test_one_key_with_all_events_takes_no_quadratic_time(tmp_path: Path) -> None:
    """A robot's 30,000 impressions, each with a click: pairs of all of them would be 900 millions."""
    rows_, at = 30_000, pl.int_range(30_000, eager=True)
    whole = pl.DataFrame({"impression": at, "user": 7, "item": "a", "t": START + at * 2})
    whole.write_parquet(tmp_path / "log.parquet")
    whole.with_columns(pl.col("t") + 1).write_parquet(tmp_path / "click.parquet")
    click = {**CLICK, "on": "user", "window": "1 week"}
    begin = time.process_time()
    manifest = ingest(problem(tmp_path, {"click": click}), tmp_path / "out")
    assert time.process_time() - begin < 20  # 0.5 s; all pairs take minutes
    assert manifest["events"]["click"]["credited"] == rows_
    assert set(rows(tmp_path / "out", "clicked")) == {(1.0,)}
