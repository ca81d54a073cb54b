"""Label expressions: a small SQL subset goes in, a checked syntax tree over the log's columns comes out.

Nulls follow SQL's logic: with click = 0, `click and bought` is 0 whatever `bought` is; with
click = 1 and an unknown `bought` it is null. NaN is null, too.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from recmtl.data.query import column, expression, text
from recmtl.errors import RecmtlError

ALLOWED = "columns, and, or, not, ( ), = <> < <= > >=, in (…), is null, is not null, literals"
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_HINTS: dict[type[exp.Expr], str] = {
    exp.Between: "write a >= 1 and a <= 2",
    exp.Null: "compare with `is null`",
    exp.Alias: "write one expression",
    exp.Boolean: "write the column, or `not` and the column",
}


@dataclass(frozen=True)
class Expression:
    """One expression of the configuration; `where` is its key there.

    `booleans` are the columns read as 0, 1 or null; `bare` says that it is a single column, which
    as a label keeps its number; `floats` are the columns that may hold NaN, known once it is fitted
    to a table.
    """

    where: str
    tree: exp.Expr
    columns: tuple[str, ...]
    booleans: tuple[str, ...]
    bare: bool
    floats: tuple[str, ...] = ()

    def condition(self, table: str) -> exp.Expr:
        """A boolean over the columns of `table`."""
        return _boolean(self.tree, table, self.floats)

    def label(self, table: str) -> exp.Expr:
        """The condition as TINYINT 0, 1 or null."""
        return exp.cast(exp.paren(self.condition(table)), "TINYINT", dialect="duckdb")

    def literals(self) -> Iterator[tuple[str, exp.Literal]]:
        """Each column that is compared with a literal, and that literal."""
        for part in self.tree.find_all(*_COMPARISONS, exp.In):
            inside = list(part.find_all(exp.Column, exp.Literal))
            literals = [p for p in inside if isinstance(p, exp.Literal)]
            names = [p.name for p in inside if isinstance(p, exp.Column)]
            yield from ((name, literal) for name in names for literal in literals)


def parse(where: str, source: str, condition: bool = False) -> Expression:
    """Parse one expression; a condition is never bare.

    Raises RecmtlError naming `where` and the part that is not allowed.
    """
    try:
        trees = [t for t in sqlglot.parse(source, read="duckdb") if t is not None]
    except SqlglotError as error:
        reason = str(error).partition(" Line ")[0]
        raise RecmtlError(
            f"cannot be read: {reason}", where=where, found=source, expected=ALLOWED
        ) from None
    if len(trees) != 1:
        raise RecmtlError("one expression is needed", where=where, found=source, expected=ALLOWED)
    tree = trees[0].unnest()
    booleans = list(_check_boolean(where, tree))
    columns = tuple(dict.fromkeys(c.name for c in tree.find_all(exp.Column)))
    if not columns:
        raise RecmtlError("reads no column", where=where, found=source)
    bare = isinstance(tree, exp.Column) and not condition
    return Expression(where, tree, columns, () if bare else tuple(dict.fromkeys(booleans)), bare)


def _check_boolean(where: str, node: exp.Expr) -> Iterator[str]:
    """Check an operand of and, or, not; yield the columns read as booleans."""
    if isinstance(node, exp.And | exp.Or):
        yield from _check_boolean(where, node.left)
        yield from _check_boolean(where, node.right)
    elif isinstance(node, exp.Not | exp.Paren):
        yield from _check_boolean(where, node.this)
    elif isinstance(node, _COMPARISONS):
        _check_value(where, node.left)
        _check_value(where, node.right)
    elif isinstance(node, exp.In) and node.expressions:
        _check_value(where, node.this)
        for item in node.expressions:
            _check_value(where, item, literal=True)
    elif isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        _check_value(where, node.this)
    elif isinstance(node, exp.Column):
        _check_value(where, node)
        yield node.name
    else:
        raise _refusal(where, node)


def _check_value(where: str, node: exp.Expr, literal: bool = False) -> None:
    """Check an operand of a comparison: a column or a literal."""
    inner = node.unnest()
    if isinstance(inner, exp.Column) and not literal:
        if inner.table or not isinstance(inner.this, exp.Identifier):
            raise _refusal(where, node)
        return
    if isinstance(inner, exp.Neg):
        inner = inner.this
    if not isinstance(inner, exp.Literal | exp.Boolean):
        raise _refusal(where, node)


def _refusal(where: str, node: exp.Expr) -> RecmtlError:
    inner = node.expression if isinstance(node, exp.Is) else node
    return RecmtlError(
        f"`{text(node)}` is not allowed in an expression",
        where=where, expected=ALLOWED, fix=_HINTS.get(type(inner)),
    )


def _boolean(node: exp.Expr, table: str, floats: Collection[str]) -> exp.Expr:
    """The tree with quoted columns of `table`, cast to booleans where they stand as such.

    In a comparison NaN would be greater than every number: one of `floats` reads as null there.
    """

    def swap(part: exp.Expr) -> exp.Expr:
        if not isinstance(part, exp.Column):
            return part
        quoted, outer = column(part.name, table), part.parent
        while isinstance(outer, exp.Paren):
            outer = outer.parent
        stands = outer is None or isinstance(outer, exp.Connector | exp.Not)
        if stands:
            return exp.cast(quoted, "BOOLEAN")
        return expression("values", "but_nan", value=quoted) if part.name in floats else quoted

    result: exp.Expr = node.copy().transform(swap, copy=False)
    return result
