"""Labels by a task's type: which values of a log they take, and what the examples then hold."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp

from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from recmtl.schema import Problem
from tests.data.made_log import ROWS, problem, rows, write

NAN = float("nan")


def of(folder: Path, column: Any, **task: Any) -> Problem:
    """A problem whose one task reads the column `seen` as its classes."""
    write(folder / "log.parquet", {**ROWS, "seen": column})
    own = {"label": "seen", "type": "multiclass", **task}
    return problem(folder, labels={"seen": "seen"}, tasks={"own": own})


@pytest.mark.parametrize(
    ("column", "classes", "expected"),
    [
        ([0, 3, None, 1], 4, [0, None, 1, 3]),
        ([0.0, 3.0, NAN, 1.0], 4, [0, None, 1, 3]),
        ([True, False, None, True], 2, [0, 1, 1, None]),
        (["like", "skip", None, "share"], ["skip", "like", "share"], [0, 1, 2, None]),
        ([5, 1, None, 9], [1, 5, 9], [0, 1, 2, None]),
        ([5.0, 1.0, NAN, 9.0], [9, 5, 1], [0, 1, 2, None]),
        ([None, None, None, None], 3, [None] * 4),
    ],
)
def test_a_label_is_the_number_of_its_class(
    tmp_path: Path, column: list[Any], classes: Any, expected: list[Any]
) -> None:
    ingest(of(tmp_path, column, classes=classes), tmp_path / "out")
    found = [value for (value,) in rows(tmp_path / "out", "seen")]
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    ("column", "classes", "words"),
    [
        ([0, 4, None, 7], 4, ["'seen' is no class in 2 rows", "e.g. 4 in row 1", "from 0 to 3"]),
        ([0, -1, 0, 0], 4, ["e.g. -1 in row 1"]),
        ([0.0, 0.0, 1.5, 0.0], 4, ["e.g. 1.5 in row 2"]),
        ([0.0, 0.0, float("inf"), 0.0], 4, ["infinite", "row 2"]),
        (["like", "skip", "lick", "lick"], ["skip", "like"], ["e.g. lick in row 2", "one of 'skip'"]),
        ([5, 1, 2, None], [1, 5], ["e.g. 2 in row 2", "one of 1, 5"]),
        ([1, 0, 1, 1], ["skip", "like"], ["type BIGINT", "one of 'skip', 'like'"]),
        (["0", "1", "0", "0"], 2, ["VARCHAR", "a number"]),
    ],
)
def test_a_value_that_is_no_class_is_named_with_file_and_row(
    tmp_path: Path, column: list[Any], classes: Any, words: list[str]
) -> None:
    with pytest.raises(RecmtlError) as error:
        ingest(of(tmp_path, column, classes=classes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for word in (*words, "seen"):
        assert word in str(error.value)
    assert "log.parquet" in str(error.value) or "type" in str(error.value)


def test_a_label_of_log1p_is_not_negative(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "seen": [0.0, NAN, -0.5, 3.0]})
    own = {"label": "seen", "type": "regression", "log": True}
    made = problem(tmp_path, labels={"seen": "seen"}, tasks={"own": own})
    with pytest.raises(RecmtlError, match="'seen' is negative in 1 rows") as error:
        ingest(made, tmp_path / "out")
    assert "e.g. -0.5 in row 2" in str(error.value)


def test_many_listed_classes_are_named_in_part_and_not_copied_again_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of all cases before for each class takes minutes for a thousand of them."""
    copies, copy = [0], exp.Expr.copy

    def counted(self: exp.Expr) -> exp.Expr:
        copies[0] += isinstance(self, exp.Case)
        return copy(self)

    monkeypatch.setattr(exp.Expr, "copy", counted)
    classes = [f"item {number}" for number in range(300)]
    ingest(of(tmp_path, ["item 7", None, "item 299", "item 0"], classes=classes), tmp_path / "out")
    found = [value for (value,) in rows(tmp_path / "out", "seen")]
    assert sorted(found, key=str) == [0, 299, 7, None]
    assert copies[0] < 30
    with pytest.raises(RecmtlError, match=r"'item 0', 'item 1', .*'item 19' and 280 more, or null"):
        ingest(of(tmp_path, ["item 7", "item 300", None, None], classes=classes), tmp_path / "again")


def test_listed_classes_need_a_column(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    own = {"label": "seen", "type": "multiclass", "classes": ["a", "b"]}
    made = problem(tmp_path, labels={"seen": "click and bought"}, tasks={"own": own})
    with pytest.raises(RecmtlError, match="is an expression"):
        ingest(made, tmp_path / "out")


def test_an_expression_is_of_two_classes(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    own = {"label": "seen", "type": "multiclass", "classes": 2}
    made = problem(tmp_path, labels={"seen": "click and bought"}, tasks={"own": own})
    ingest(made, tmp_path / "out")
    assert {value for (value,) in rows(tmp_path / "out", "seen")} <= {0, 1, None}


def test_rows_that_are_left_out_are_not_looked_at(tmp_path: Path) -> None:
    made = of(tmp_path, pa.array([0, 9, 1, 1]), classes=2)
    kept = made.data.impressions.model_copy(update={"where": "seen < 9"})
    data = made.data.model_copy(update={"impressions": kept})
    ingest(made.model_copy(update={"data": data}), tmp_path / "out")
    assert len(rows(tmp_path / "out", "seen")) == 3
