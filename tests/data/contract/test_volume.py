"""Days with far fewer or more rows than those before."""

from pathlib import Path

import pytest

from tests.data.contract.made_days import DAYS, Columns, day, found, report

LAST = DAYS[-1]
Days = dict[str, Columns]


def last(rows: int, days: Days) -> None:
    days[LAST] = day(LAST, rows=rows)


@pytest.mark.parametrize(
    ("rows", "says"),
    [(600, "600 rows, 3.3 times fewer"), (6100, "6,100 rows, 3.0 times as many"), (700, ""), (5900, "")],
)
def test_a_day_is_held_against_the_median_of_those_before(tmp_path: Path, rows: int, says: str) -> None:
    made = report(tmp_path, lambda days: last(rows, days))
    assert found(made, "rows") == ([("warning", says)] if says else [])
    assert [f["day"] for f in made["findings"] if f["check"] == "rows"] == [LAST] * bool(says)
    assert [of["rows"] for of in made["days"].values()] == [2000, 2000, 2000, rows]
    page = (tmp_path / "contract" / "index.html").read_text()
    assert "Rows by day" in page and says in page


def test_three_days_have_no_usual_number_yet(tmp_path: Path) -> None:
    def few(days: Days) -> None:
        days[DAYS[2]] = day(DAYS[2], rows=100)

    assert found(report(tmp_path, few), "rows") == []  # nor does it move the fourth day's median


def test_few_rows_differ_by_chance(tmp_path: Path) -> None:
    def few(days: Days) -> None:
        days |= {name: day(name, rows=8) for name in DAYS}
        days[LAST] = day(LAST, rows=2)

    assert found(report(tmp_path, few), "rows") == []


def test_limits_are_the_files(tmp_path: Path) -> None:
    made = report(tmp_path, lambda days: last(1000, days), contract={"rows": {"note": 1.5}})
    assert found(made, "rows") == [("note", "1,000 rows, 2.0 times fewer")]


def test_the_day_of_as_of_is_not_over(tmp_path: Path) -> None:
    made = report(tmp_path, lambda days: last(200, days), data={"as_of": "2024-01-04T12:00:00Z"})
    assert made["days"][LAST]["rows"] == 200 and found(made, "rows") == []
