"""A table and an expression go in; the expression fits its columns, and leaves out rows as `where`."""

from dataclasses import replace
from datetime import datetime

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.labels import Expression, parse
from recmtl.data.logs.table import Table, narrow
from recmtl.data.logs.values import family
from recmtl.data.query import statement
from recmtl.errors import RecmtlError

_TIMES = ("date", "timestamp", "zoned")
_LITERALS = {
    "text": "a string", **dict.fromkeys(("integer", "float", "boolean"), "a number"),
    **dict.fromkeys(_TIMES, "a string such as '2022-05-01' or '2022-05-01 12:30:00'"),
}


def read_condition(table: Table, where: str, source: str | None) -> Expression | None:
    """The condition that stands under the key `where`. Raises RecmtlError where no such column fits."""
    if source is None:
        return None
    return fitted(table, parse(where, source, condition=True))


def keep_rows(db: Database, table: Table, where: str, source: str | None) -> Table:
    """The table with those rows alone that a condition keeps; all of them stay as the view `every`.

    Whether columns that stand as booleans hold 0 and 1 is for `check_values` to find.
    """
    kept = read_condition(table, where, source)
    if kept is None:
        return table
    narrowed = replace(table, kept=kept)
    narrow(db, narrowed.every, table.files)
    db.execute(statement(
        "keep_rows", kept=exp.to_table(table.name), every_row=exp.to_table(narrowed.every),
        condition=kept.condition(narrowed.every),
    ))
    return narrowed


def fitted(table: Table, read: Expression) -> Expression:
    """The expression with what it has to know of its columns' types.

    Raises RecmtlError for a column that is missing, or is used as its type does not allow.
    """
    families = {column: family(table.type_of(column, read.where)) for column in read.columns}
    for column in read.booleans:
        if families[column] not in ("integer", "float", "boolean", "null"):
            raise RecmtlError(
                f"the column {column!r} has type {table.type_of(column, read.where)} and stands as a "
                "boolean", where=read.where, expected="a column of 0, 1 and null",
                fix=f"compare it, e.g. {column} = 'yes'",
            )
    for column, literal in read.literals():
        if not _comparable(families[column], literal):
            raise RecmtlError(
                f"the column {column!r} has type {table.type_of(column, read.where)} and is compared "
                f"with the {'string' if literal.is_string else 'number'} {literal.name!r}",
                where=read.where, expected=_LITERALS[families[column]],
            )
    return replace(read, floats=tuple(c for c, kind in families.items() if kind == "float"))


def _comparable(kind: str, literal: exp.Literal) -> bool:
    """Whether a column of this family can be compared with the literal."""
    if kind in _TIMES:
        return literal.is_string and _is_time(literal.name)
    return kind not in _LITERALS or (kind == "text") == literal.is_string


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "-" in text  # the engines read no 20220501
