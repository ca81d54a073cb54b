"""The `.sql` files as syntax trees: names, literals and expressions go in as nodes, never as text."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import sqlglot
from sqlglot import exp


def statement(file: str, **nodes: exp.Expr) -> str:
    """The statement in `sql/FILE.sql` as text for DuckDB, with columns and tables replaced by name."""
    return text(tree(file, **nodes))


def tree(file: str, **nodes: exp.Expr) -> exp.Expr:
    """The same as a syntax tree."""
    return _fill(_parse(file).copy(), nodes)


def expression(file: str, name: str, **nodes: exp.Expr) -> exp.Expr:
    """The expression called `name` among those that `sql/FILE.sql` selects."""
    found = next(e for e in _parse(file).expressions if e.alias == name)
    inner: exp.Expr = found.this
    return _fill(exp.paren(inner), nodes)


def dated(files: Sequence[str], alias: str | None = None) -> exp.Expr:
    """A table over files that lie in folders of days; `dt` is a row's day."""
    rows = tree("dated", files=exp.convert(list(files)))
    assert isinstance(rows, exp.Select)
    return rows.subquery(alias)


def column(name: str, table: str | None = None) -> exp.Expr:
    """A column, quoted, so that any name is only a name."""
    return exp.column(name, table=table, quoted=True)


def text(node: exp.Expr) -> str:
    """SQL for DuckDB."""
    return node.sql(dialect="duckdb", comments=False)


@cache
def _parse(file: str) -> exp.Expr:
    source = files("recmtl.data").joinpath("sql", f"{file}.sql").read_text()
    return sqlglot.parse_one(source, read="duckdb")


def _fill(node: exp.Expr, nodes: Mapping[str, exp.Expr]) -> exp.Expr:
    def swap(part: exp.Expr) -> exp.Expr:
        free = isinstance(part, exp.Table) or (isinstance(part, exp.Column) and not part.table)
        return nodes[part.name].copy() if free and part.name in nodes else part

    filled: exp.Expr = node.transform(swap)
    return filled
