"""A table and an expression go in; the expression fits its columns, and leaves out rows as `where`."""

from dataclasses import replace

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.labels import Expression, parse
from recmtl.data.logs.table import Table, narrow
from recmtl.data.logs.values import family
from recmtl.data.query import statement
from recmtl.errors import RecmtlError


def read_condition(table: Table, where: str, source: str | None) -> Expression | None:
    """The condition that stands under the key `where`. Raises RecmtlError where no such column fits."""
    if source is None:
        return None
    read = parse(where, source, condition=True)
    check_types(table, read)
    return read


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


def check_types(table: Table, read: Expression) -> None:
    """Raise RecmtlError for a column that is missing, or is used as its type does not allow."""
    for column in read.columns:
        table.type_of(column, read.where)
    for column in read.booleans:
        kind = table.type_of(column, read.where)
        if family(kind) not in ("integer", "float", "boolean", "null"):
            raise RecmtlError(
                f"the column {column!r} has type {kind} and stands as a boolean", where=read.where,
                expected="a column of 0, 1 and null", fix=f"compare it, e.g. {column} = 'yes'",
            )
    for column, is_string in read.literals():
        group = family(table.type_of(column, read.where))
        if (group == "text") != is_string and group in ("text", "integer", "float", "boolean"):
            raise RecmtlError(
                f"the column {column!r} has type {table.type_of(column, read.where)} and is compared "
                f"with a {'string' if is_string else 'number'}", where=read.where,
            )
