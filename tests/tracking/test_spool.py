"""The spool alone: what was written, in order, whatever a kill left behind."""

from pathlib import Path

import pytest

from recmtl.tracking.spool import Sent, Spool


def ops(spool: Spool) -> list[str]:
    return [record["op"] for record, _ in spool.pending()]


def test_records_come_back_in_order_until_they_are_marked(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "run")
    assert spool.pending() == []
    for op in ("start", "métrique", "finish"):
        spool.append({"op": op})
    assert ops(spool) == ["start", "métrique", "finish"]
    spool.mark(offset=spool.pending()[1][1], run_id="r")
    assert ops(spool) == ["finish"]
    assert Spool(tmp_path / "run").sent() == Sent(spool.sent().offset, "r")


@pytest.mark.parametrize("torn", ['{"op": "met', '{"op": "metrics"}'])
def test_half_a_line_of_a_killed_process_is_dropped(tmp_path: Path, torn: str) -> None:
    spool = Spool(tmp_path)
    spool.append({"op": "start"})
    with spool.records.open("a") as file:
        file.write(torn)
    assert ops(spool) == ["start"]
    spool.append({"op": "finish"})
    assert ops(spool) == ["start", "finish"]


def test_a_number_that_json_lacks_is_not_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        spool.append({"op": "metrics", "values": {"auc": float("nan")}})
    assert spool.pending() == []
