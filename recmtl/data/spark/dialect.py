"""A statement for DuckDB in, the same for Spark out: sqlglot translates, and here is what it leaves."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

import sqlglot
from sqlglot import exp

_FORMATS = {"%Y%m%d": "yyyyMMdd"}
_TIMES = (exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)


def spark_sql(tree: exp.Expr) -> str:
    """Text for Spark."""
    tree = tree.copy()
    for node in reversed(list(tree.walk())):
        instead = _translate(node)
        if node is tree:
            tree = instead
        elif instead is not node:
            node.replace(instead)
    return tree.sql(dialect="spark", comments=False)


def _translate(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Anonymous):
        return _CALLS[node.name.lower()](node) if node.name.lower() in _CALLS else node
    return _NODES[type(node)](node) if type(node) in _NODES else node


def _form(name: str, value: exp.Expr, **more: exp.Expr) -> exp.Expr:
    """The expression called `name` in forms.sql."""
    nodes = {"value": value, **more}
    found = next(e.this for e in _forms().expressions if e.alias == name).copy()

    def fill(part: exp.Expr) -> exp.Expr:
        return nodes[part.name].copy() if isinstance(part, exp.Column) and part.name in nodes else part

    filled: exp.Expr = exp.paren(found).transform(fill)
    return filled


@cache
def _forms() -> exp.Expr:
    source = files("recmtl.data.spark").joinpath("forms.sql").read_text()
    return sqlglot.parse_one(source, read="spark")


def _call(node: exp.Expr) -> exp.Expr:
    return _form(node.name.lower(), node.expressions[0])


def _parsed(node: exp.Expr) -> exp.Expr:
    value, written = node.expressions
    return _form("try_strptime", value, format=exp.convert(_FORMATS[written.name]))


def _zoned(node: exp.Expr) -> exp.Expr:
    """A time without a zone, meant in one."""
    zone, value = node.expressions
    return _form("timezone", value, zone=zone)


def _hash(node: exp.Expr) -> exp.Expr:
    """Of values, or of a whole row where a table's name stands for it."""
    select = node.find_ancestor(exp.Select)
    tables = {table.alias_or_name for table in select.find_all(exp.Table)} if select else set()
    made = _form("hash", exp.column("value"))
    for call in made.find_all(exp.Anonymous):
        call.set("expressions", [part for value in node.expressions for part in _hashed(value, tables)])
    return made


def _hashed(value: exp.Expr, tables: set[str]) -> list[exp.Expr]:
    """A value, and whether it is null: Spark's hash passes nulls over."""
    if isinstance(value, exp.Column) and not value.table and value.name in tables:
        return [exp.Column(this=exp.Star(), table=exp.to_identifier(value.name, quoted=True))]
    return [value, value.is_(exp.null())]


def _list(node: exp.Expr) -> exp.Expr:
    """[f(e) FOR e IN list IF g(e)]"""
    loop = node.expressions[0] if node.expressions else None
    if not isinstance(loop, exp.Comprehension):
        return node
    found, name = loop.args["iterator"], loop.expression
    if condition := loop.args.get("condition"):
        found = exp.ArrayFilter(this=found, expression=exp.Lambda(this=condition, expressions=[name]))
    return exp.Transform(this=found, expression=exp.Lambda(this=loop.this, expressions=[name.copy()]))


def _total(node: exp.Expr) -> exp.Expr:
    """A sum of floats depends on their order."""
    return _form("sum_in_order", node.this.this) if isinstance(node.this, exp.Order) else node


def _tail(node: exp.Expr) -> exp.Expr:
    """list[start:]"""
    part = node.expressions[0]
    return _form("tail", node.this, start=part.this) if isinstance(part, exp.Slice) else node


def _type(node: exp.Expr) -> exp.Expr:
    return exp.DataType.build("DECIMAL(38, 0)") if node.this == exp.DataType.Type.INT128 else node


def _day(node: exp.Expr) -> exp.Expr:
    """Spark takes "2022" for a day, too."""
    return _form("try_date", node.this) if node.args["to"].this == exp.DataType.Type.DATE else node


def _written(node: exp.Expr) -> exp.Expr:
    """A day or time before the year 1000, with four digits for it."""
    if isinstance(node.this, exp.Literal) and node.args["to"].this in _TIMES:
        year, dash, rest = node.name.partition("-")
        node.set("this", exp.Literal.string(f"{year.zfill(4)}{dash}{rest}"))
    return node


def _rows(node: exp.Expr) -> exp.Expr:
    """Lists that are unnested side by side as the rows that they make."""
    lists = list(node.find_all(exp.Explode)) if not node.args.get("from_") else []
    if len(lists) < 2:
        return node
    names = [f"list_{number}" for number in range(len(lists))]
    rows = list(zip(*(each.this.expressions for each in lists), strict=True))
    for name, each in zip(names, lists, strict=True):
        each.replace(exp.column(name))
    assert isinstance(node, exp.Select)
    return node.from_(exp.values(rows, alias="lists", columns=names))


_CALLS: dict[str, Callable[[exp.Expr], exp.Expr]] = {
    "isfinite": _call, "url_decode": _call, "favg": _call, "try_strptime": _parsed, "timezone": _zoned,
    "hash": _hash, "list_extract": lambda node: exp.func("try_element_at", *node.expressions),
    "arg_min_null": lambda node: exp.ArgMin(this=node.expressions[0], expression=node.expressions[1]),
}
_NODES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.IsInf: lambda node: _form("isinf", node.this),
    exp.UnixToTime: lambda node: _form("make_timestamp", node.this),
    exp.Array: _list, exp.Sum: _total, exp.Bracket: _tail, exp.DataType: _type, exp.TryCast: _day,
    exp.Cast: _written, exp.Select: _rows,
}
