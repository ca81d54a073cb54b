"""Canonical values: a column's DuckDB type and its use go in, the SQL that makes it one type comes out.

Ids are BIGINT or VARCHAR, bags and histories lists of them, numbers DOUBLE, vectors FLOAT[].
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from recmtl.data.query import column, expression
from recmtl.errors import RecmtlError

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
             "UBIGINT", "HUGEINT", "UHUGEINT"}
_WIDE = {"UBIGINT", "HUGEINT", "UHUGEINT"}
_TEXTS = {"VARCHAR", "UUID"}


@dataclass(frozen=True)
class Check:
    """A condition that no row may meet, and what to say where one does."""

    condition: exp.Expr  # over a column `value`
    reason: str
    expected: str
    elements: bool = False  # it holds of a list's elements
    hint: Callable[[object], str] | None = None  # what more to say of a value that meets it


@dataclass(frozen=True)
class Value:
    """A column as the examples hold it."""

    table: str
    column: str
    kind: str  # DuckDB type
    read: exp.Expr
    checks: tuple[Check, ...] = ()


def family(kind: str) -> str:
    """What types of one family share: their values mean the same, whatever their width."""
    if kind.endswith("]"):
        return f"list of {family(kind[: kind.rindex('[')])}"
    if kind in _INTEGERS:
        return "integer"
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return "float"
    if kind in _TEXTS or kind.startswith("ENUM"):
        return "text"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return "zoned"
    if kind.startswith("TIMESTAMP"):
        return "timestamp"
    return {"BOOLEAN": "boolean", "DATE": "date", '"NULL"': "null", "NULL": "null"}.get(kind, kind)


def identity(table: str, name: str, kind: str, where: str) -> Value:
    """An id or category: BIGINT for whole numbers and booleans, VARCHAR for texts, days and times."""
    group, source = family(kind), column(name, table)
    if group in ("integer", "boolean", "null"):
        read = expression("values", "id_of_integer", value=source)
        return Value(table, name, "BIGINT", read, _whole(kind))
    if group == "float":
        read = expression("values", "id_of_float", value=source)
        return Value(table, name, "BIGINT", read, _whole(kind))
    if group in ("text", "date", "timestamp", "zoned"):
        return Value(table, name, "VARCHAR", expression("values", "id_of_text", value=source))
    raise _unfit(where, name, kind, "an integer, a string, a boolean, a day or a time")


def identities(table: str, name: str, kind: str, where: str, separator: str | None) -> Value:
    """Several ids: a list column, or with a separator a string (its empty items fall away)."""
    group, source = family(kind), column(name, table)
    if group == "null":
        return Value(table, name, "VARCHAR[]" if separator else "BIGINT[]", exp.null())
    if separator is not None and group == "text":
        read = expression(
            "values", "ids_of_separated", value=source, separator=exp.convert(separator)
        )
        return Value(table, name, "VARCHAR[]", read)
    if group == "text":
        raise _unfit(where, name, kind, "a list column, or a string with separator = …")
    element = group.removeprefix("list of ")
    if separator is None and element != group:
        if element in ("integer", "boolean", "null", "float"):
            form = "ids_of_float" if element == "float" else "ids_of_integer"
            checks = _whole(kind.rpartition("[")[0], elements=True)
            return Value(table, name, "BIGINT[]", expression("values", form, value=source), checks)
        if element in ("text", "date", "timestamp"):
            return Value(table, name, "VARCHAR[]", expression("values", "ids_of_text", value=source))
    expected = "a string, as separator is given" if separator else "a list of integers or strings"
    raise _unfit(where, name, kind, expected)


def number(table: str, name: str, kind: str, where: str) -> Value:
    """A finite number; NaN reads as null."""
    group, source = family(kind), column(name, table)
    if group in ("integer", "boolean", "null"):
        return Value(table, name, "DOUBLE", expression("values", "number_of_integer", value=source))
    if group == "float":
        bad = Check(expression("conditions", "infinite"), "is infinite", "a finite number or null")
        return Value(
            table, name, "DOUBLE", expression("values", "number_of_float", value=source), (bad,)
        )
    raise _unfit(where, name, kind, "a number")


def vector(table: str, name: str, kind: str, where: str, size: int) -> Value:
    """A list of `size` floats."""
    if family(kind) in ("null", "list of null"):
        return Value(table, name, "FLOAT[]", exp.null())
    if family(kind) not in ("list of float", "list of integer"):
        raise _unfit(where, name, kind, f"a list of {size} numbers")
    bad = Check(
        expression("conditions", "not_of_size", size=exp.convert(size)),
        f"has not {size} numbers", f"{size} numbers or null",
    )
    return Value(
        table, name, "FLOAT[]", expression("values", "vector", value=column(name, table)), (bad,)
    )


def _whole(kind: str, elements: bool = False) -> tuple[Check, ...]:
    if family(kind) == "float":
        return (Check(
            expression("conditions", "not_whole"), "is not a whole number that a float holds (2^53)",
            'whole numbers, as ids are (or kind = "numeric")', elements,
        ),)
    if kind in _WIDE:
        return (Check(
            expression("conditions", "too_large"), "does not fit 64 signed bits",
            "integers up to 9223372036854775807", elements,
        ),)
    return ()


def _unfit(where: str, name: str, kind: str, expected: str) -> RecmtlError:
    return RecmtlError(f"the column {name!r} has type {kind}", where=where, expected=expected)
