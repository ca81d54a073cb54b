"""The grammar of labels, what it refuses, and SQL's logic of nulls."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recmtl.data.labels import parse
from recmtl.data.query import text
from recmtl.errors import RecmtlError


def value(source: str, **columns: object) -> object:
    """The label of one row."""
    expression = parse("[labels] y", source)
    db = duckdb.connect()
    names = ", ".join(f'? AS "{name}"' for name in columns)
    query = f"SELECT {text(expression.label('log'))} FROM (SELECT {names}) AS log"
    row = db.execute(query, list(columns.values())).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("click", "bought", "expected"),
    [(1, 1, 1), (1, 0, 0), (1, None, None), (0, 1, 0), (0, None, 0), (None, 1, None), (None, 0, 0)],
)
def test_and_follows_sql(click: int | None, bought: int | None, expected: int | None) -> None:
    assert value("click and bought", click=click, bought=bought) == expected


@pytest.mark.parametrize(
    ("source", "columns", "expected"),
    [
        ("not a", {"a": 0}, 1),
        ("a or b", {"a": None, "b": 1}, 1),
        ("a > 2 and (b <= 3 or c != 'x')", {"a": 3, "b": 4, "c": "y"}, 1),
        ("a in (1, 2)", {"a": 3}, 0),
        ("a not in ('u', 'v')", {"a": "w"}, 1),
        ("a is null", {"a": None}, 1),
        ("a is not null", {"a": None}, 0),
        ("a = -1", {"a": -1}, 1),
        ("a <> 1 or b >= 1.5", {"a": 1, "b": 1.5}, 1),
        ("((a)) and b = 'it''s'", {"a": 1, "b": "it's"}, 1),
        ('"odd name" = 1', {"odd name": 1}, 1),
        ("(a) = 2", {"a": 2}, 1),
        ("a < b", {"a": 1, "b": 2}, 1),
    ],
)
def test_grammar(source: str, columns: dict[str, object], expected: int) -> None:
    assert value(source, **columns) == expected


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("lower(a) = 'x'", "LOWER"), ("a + 1 > 2", "a + 1"), ("a between 1 and 2", "BETWEEN"),
        ("case when a then 1 end", "CASE"), ("a in (select 1)", "SELECT"), ("a in (b)", "`b`"),
        ("t.a = 1", "t.a"), ("a = null", "NULL"), ("a is true", "IS TRUE"), ("a > 1 c", "AS c"),
        ("a like 'x'", "LIKE"), ("a and 3", "`3`"), ("a = 1 = 2", "a = 1"), ("a and", "cannot be read"),
        ("a; b", "one expression"), ("", "one expression"), ("1 = 1", "no column"),
        ("a = 'x'; drop table t", "one expression"), ("current_date > a", "CURRENT_DATE"),
    ],
)
def test_everything_else_is_refused_by_name(source: str, part: str) -> None:
    with pytest.raises(RecmtlError) as error:
        parse("[labels] y", source)
    assert "[labels] y" in str(error.value)
    assert part in str(error.value)


def test_columns_and_booleans() -> None:
    expression = parse("[labels] y", "a and (b = 2 or not c) and a")
    assert expression.columns == ("a", "b", "c")
    assert expression.booleans == ("a", "c")
    assert not expression.bare


def test_a_bare_column_is_a_number_and_a_bare_condition_a_boolean() -> None:
    assert parse("[labels] y", "(spend)").bare
    assert parse("data.impressions.where", "kept", condition=True).booleans == ("kept",)


@given(st.text(min_size=1).filter(lambda s: "\0" not in s))
def test_any_literal_stays_a_literal(literal: str) -> None:
    quoted = literal.replace("'", "''")
    assert value(f"a = '{quoted}'", a=literal) == 1
