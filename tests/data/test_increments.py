"""Increments: only the days that changed files, late events or the passing of time touch are written."""

import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from recmtl.data.increments.days import Window
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from recmtl.progress import Progress
from tests.data.daily_logs import (
    clicks,
    content,
    conversions,
    day,
    files,
    impressions,
    problem,
    rewritten,
    three_days,
    touch,
    undisturbed,
    write,
)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "recmtl")
    return caplog


def test_nothing_is_done_where_nothing_changed(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    out = three_days(tmp_path)
    first, before = ingest(problem(tmp_path), out), files(out)
    stamp = (out / "manifest.json").stat().st_mtime_ns
    said.clear()
    assert ingest(problem(tmp_path), out) == first
    assert said.messages == [f"{out}: nothing has changed"]
    assert (out / "manifest.json").stat().st_mtime_ns == stamp and not rewritten(out, before)


def test_a_touched_file_is_the_file_that_it_was(tmp_path: Path) -> None:
    out = three_days(tmp_path)
    first, before = ingest(problem(tmp_path), out), files(out)
    for log in ("impressions", "clicks", "conversions"):
        touch(tmp_path / log / f"{day(0)}.parquet")
    second = ingest(problem(tmp_path), out)
    assert second["key"] == first["key"] and not rewritten(out, before)
    stamp = (out / "manifest.json").stat().st_mtime_ns
    ingest(problem(tmp_path), out)  # the new times are known by now
    assert (out / "manifest.json").stat().st_mtime_ns == stamp


def test_a_new_day_is_written_alone(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    out = three_days(tmp_path)
    first, before = ingest(problem(tmp_path), out), files(out)
    impressions(tmp_path, 3)
    said.clear()
    second = ingest(problem(tmp_path), out)
    assert rewritten(out, before) == [day(3)] and second["key"] != first["key"]
    assert said.messages == [f"{day(3)}  4 rows written: new",
                             "examples: 1 days written, 3 as they were, 0 stale"]
    assert [second["days"][day(n)]["rows"] for n in range(4)] == [4, 4, 4, 4]


def test_a_changed_file_redoes_the_days_it_had_and_the_days_it_has(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    out = three_days(tmp_path)
    impressions(tmp_path, 4, name="late.parquet")
    ingest(problem(tmp_path), out)
    before = files(out)
    impressions(tmp_path, 1, rows=2, name="late.parquet", begin=5)
    said.clear()
    manifest = ingest(problem(tmp_path), out)
    assert rewritten(out, before) == [day(1)] and day(4) not in manifest["days"]
    assert f"{day(1)}  6 rows written: files changed: late.parquet" in said.messages
    assert f"{day(4)}  left out: no rows any more" in said.messages


def test_numbers_of_files_stay(tmp_path: Path) -> None:
    """Rows of days that are linked keep their `_file`, whatever comes, goes or is renamed."""
    out = three_days(tmp_path)
    ingest(problem(tmp_path), out)
    log = tmp_path / "impressions"
    impressions(tmp_path, 5, name="2025-first-in-order.parquet")
    (log / f"{day(0)}.parquet").unlink()
    (log / f"{day(1)}.parquet").rename(log / "renamed.parquet")
    before = files(out)
    sources = ingest(problem(tmp_path), out)["sources"]
    assert [(Path(s["path"]).name, s["removed"]) for s in sources] == [
        (f"{day(0)}.parquet", True), ("renamed.parquet", False), (f"{day(2)}.parquet", False),
        ("2025-first-in-order.parquet", False),
    ]
    assert rewritten(out, before) == [day(5)] and day(0) not in files(out)
    impressions(tmp_path, 0)
    assert not ingest(problem(tmp_path), out)["sources"][0]["removed"]
    assert_frame_equal(content(out), undisturbed(problem(tmp_path), tmp_path))


def test_late_events_touch_the_days_of_their_impressions(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    out = three_days(tmp_path)
    ingest(problem(tmp_path), out)
    before = files(out)
    conversions(tmp_path, "late.parquet", [(101, 4, 7.5)])
    said.clear()
    manifest = ingest(problem(tmp_path), out)
    assert rewritten(out, before) == [day(1)]
    assert said.messages[0] == f"{day(1)}  4 rows written: other events: conversion"
    assert manifest["days"][day(1)]["labels"]["converted"] == {"positives": 1, "nulls": 0}
    before = files(out)
    conversions(tmp_path, "orphans.parquet", [(99999, 0, 1.0)])
    ingest(problem(tmp_path), out)
    assert not rewritten(out, before)


def test_what_matures_is_filled_in(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    out = three_days(tmp_path)
    nulls = []
    for as_of in (day(2), day(7), day(8), day(20), day(30)):
        said.clear()
        manifest = ingest(problem(tmp_path, as_of=f"{as_of}T13:00:00Z"), out)
        nulls.append([d["labels"]["converted"]["nulls"] for d in manifest["days"].values()])
        fresh = undisturbed(problem(tmp_path, as_of=f"{as_of}T13:00:00Z"), tmp_path)
        assert_frame_equal(content(out), fresh)
    assert nulls == [[4, 4, 2], [3, 4, 4], [0, 3, 4], [0, 0, 0], [0, 0, 0]]
    assert "examples: 0 days written, 3 as they were, 0 stale" in said.messages


def test_another_side_table_or_setting_redoes_all(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    out = three_days(tmp_path)
    write(tmp_path / "users.parquet", {"user": [0, 1, 2], "age": [20, 30, 40]})
    with_users = {"joins": [{"path": "users.parquet", "on": "user"}]}
    ingest(problem(tmp_path), out)
    said.clear()
    ingest(problem(tmp_path, **with_users), out)
    assert said.messages[0] == f"{day(0)}  4 rows written: settings or column types changed"
    write(tmp_path / "users.parquet", {"user": [0, 1], "age": [20, 31]})
    said.clear()
    manifest = ingest(problem(tmp_path, **with_users), out)
    assert said.messages[0] == f"{day(0)}  4 rows written: side tables changed: joins[0]"
    assert "3 impressions have no row" in manifest["warnings"][0]
    impressions(tmp_path, 3)
    assert "4 impressions have no row" in ingest(problem(tmp_path, **with_users), out)["warnings"][0]


def test_a_backfill_writes_the_days_that_it_names(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    out = three_days(tmp_path)
    window = Window(date.fromisoformat(day(1)), date.fromisoformat(day(1)))
    manifest = ingest(problem(tmp_path), out, window=window)
    assert list(manifest["days"]) == [day(1)]
    assert manifest["stale"] == {day(0): "new", day(2): "new"}
    assert "2 days are not as the logs" in manifest["warnings"][-1]
    ingest(problem(tmp_path), out)
    before = files(out)
    for number in range(3):
        impressions(tmp_path, number, rows=3)
    said.clear()
    manifest = ingest(problem(tmp_path), out, window=window)
    assert rewritten(out, before) == [day(1)] and list(manifest["stale"]) == [day(0), day(2)]
    assert f"{day(0)}  stale: files changed: {day(0)}.parquet" in said.messages
    before, stamp = files(out), (out / "manifest.json").stat().st_mtime_ns
    ingest(problem(tmp_path), out, window=window)
    assert (out / "manifest.json").stat().st_mtime_ns == stamp
    manifest = ingest(problem(tmp_path), out)
    assert rewritten(out, before) == [day(0), day(2)] and not manifest["stale"]
    assert_frame_equal(content(out), undisturbed(problem(tmp_path), tmp_path))


def test_days_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    out = three_days(tmp_path)
    ingest(problem(tmp_path), out)
    before = files(out)
    window = Window(date.fromisoformat(day(1)))
    with pytest.raises(RecmtlError, match=r"settings or column types are others[^$]*without --from"):
        ingest(problem(tmp_path, keys=["item"]), out, window=window)
    assert files(out) == before


@pytest.mark.parametrize(
    ("start", "end", "words"), [("yesterday", None, "is no day"), (day(2), day(1), "before it begins")]
)
def test_days_that_make_no_sense_are_refused(start: str, end: str | None, words: str) -> None:
    with pytest.raises(RecmtlError, match=words):
        Window.read(start, end)


def test_where_links_cannot_be_days_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = three_days(tmp_path)
    ingest(problem(tmp_path), out)
    impressions(tmp_path, 3)

    def refuse(*_: Any) -> None:
        raise OSError("no links here")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        ingest(problem(tmp_path), out)
    assert_frame_equal(content(out), undisturbed(problem(tmp_path), tmp_path))


class Meddler(Progress):
    """Calls `act` after the first written day."""

    def __init__(self, act: Any) -> None:
        super().__init__(visible=False)
        self._act = act

    @contextmanager
    def track(self, total: int | None, what: str) -> Iterator[Any]:
        yield lambda n: self._act()


@pytest.mark.parametrize("log", ["impressions", "clicks"])
def test_a_file_that_changes_while_it_is_read_is_named(tmp_path: Path, log: str) -> None:
    out = three_days(tmp_path)
    ingest(problem(tmp_path), out)
    before = files(out)
    impressions(tmp_path, 3)
    file = tmp_path / log / f"{day(2)}.parquet"
    whole = file.read_bytes()
    for content_then, words in ((None, "cannot be read"), (whole[:-9], "changed while it was read"),
                                (whole + whole, "changed while it was read")):
        act = file.unlink if content_then is None else lambda c=content_then: file.write_bytes(c)
        with pytest.raises(RecmtlError, match=f"{file.name}: {words}"):
            ingest(problem(tmp_path), out, Meddler(act))
        assert files(out) == before and sorted(p.name for p in tmp_path.glob(".out*")) == [".out.lock"]
        file.write_bytes(whole)


def test_any_sequence_of_changes_gives_what_a_first_run_gives(tmp_path: Path) -> None:
    out, draw = three_days(tmp_path), random.Random(7)
    changes = [
        lambda n: impressions(tmp_path, n, rows=draw.randint(1, 6)),
        lambda n: impressions(tmp_path, n, draw.randint(1, 3), "more.parquet", draw.randint(0, 5)),
        lambda n: clicks(tmp_path, f"{n}.parquet", [100 * n + i for i in range(draw.randint(0, 4))]),
        lambda n: conversions(tmp_path, f"{n}.parquet", [(100 * n + 1, draw.randint(0, 8), float(n))]),
        lambda n: (tmp_path / "clicks" / f"{n}.parquet").unlink(missing_ok=True),
        lambda n: (tmp_path / "impressions" / "more.parquet").unlink(missing_ok=True),
    ]
    for _ in range(12):
        for change in draw.sample(changes, 2):
            change(draw.randint(0, 5))
        as_of = f"{day(draw.randint(6, 16))}T00:00:00Z" if draw.random() < 0.5 else None
        made = problem(tmp_path, as_of=as_of)
        ingest(made, out)
        assert_frame_equal(content(out), undisturbed(made, tmp_path))


def test_of_two_runs_at_once_the_second_waits_and_finds_nothing_to_do(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    out, go = three_days(tmp_path), threading.Event()
    first = threading.Thread(target=ingest, args=(problem(tmp_path), out, Meddler(go.wait)))
    second = threading.Thread(target=ingest, args=(problem(tmp_path), out))
    first.start()
    while not (tmp_path / ".out.tmp").exists():
        time.sleep(0.01)
    second.start()
    waits = f"waits for another run that writes {out}"
    while waits not in said.messages:
        time.sleep(0.01)
    go.set()
    first.join()
    stamp = (out / "manifest.json").stat().st_mtime_ns
    second.join()
    assert said.messages[-1] == f"{out}: nothing has changed"
    assert (out / "manifest.json").stat().st_mtime_ns == stamp


def test_ten_days_and_then_an_eleventh_with_late_orders(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    for number in range(10):
        impressions(tmp_path, number)
        clicks(tmp_path, f"{day(number)}.parquet", [100 * number + 1])
        orders = [(100 * number + 1, 0, 1.0)] if number < 4 else []
        conversions(tmp_path, f"{day(number)}.parquet", orders)
    ingest(problem(tmp_path), out)
    before = files(out)
    impressions(tmp_path, 10)
    clicks(tmp_path, f"{day(10)}.parquet", [1001])
    conversions(tmp_path, f"{day(10)}.parquet", [(501, 5, 3.0), (801, 2, 4.0), (101, 9, 2.0)])
    said.clear()
    manifest = ingest(problem(tmp_path), out)
    assert rewritten(out, before) == [day(5), day(8), day(10)]
    assert said.messages[-1] == "examples: 3 days written, 8 as they were, 0 stale"
    assert manifest["events"]["conversion"]["outside_window"] == 1
