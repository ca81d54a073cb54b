"""Opened examples in; SQL for the rows of a part, or of all parts, out: in the order day, file, row.

DuckDB keeps that order where the result is fetched, streamed or copied.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from sqlglot import exp

from recmtl.data.examples import DAY, PART, PARTS, Examples
from recmtl.data.query import column, dated, text, tree
from recmtl.data.rates.join import join, needed, rows_need
from recmtl.data.rates.states import rated
from recmtl.data.split import hashes, part_tree
from recmtl.errors import RecmtlError, nearest
from recmtl.schema import Split


def select(
    examples: Examples, split: Split | None = None, part: str | None = None,
    columns: Sequence[str] | None = None, days: Sequence[date] | None = None,
    ordered: bool = True,
) -> str:
    """SQL for the rows of a part, or for all rows.

    `columns` are those of the examples, and `dt` where rows have a day; all but `dt` by default. Rows
    with rates are sorted, unless their order is no matter: better a few of `days` at a time.
    """
    names = _known(examples, examples.columns if columns is None else columns)
    if (split is None) != (part is None) or part not in (None, *PARTS):
        raise ValueError(f"give a split and one of {PARTS}, or neither")
    nodes = {"part_of_row": _part_of(examples, split), "part": exp.convert(part or "all")}
    return _query(examples, _rows(examples, "select", nodes, days), names, days, ordered)


def select_parts(
    examples: Examples, split: Split, columns: Sequence[str], days: Sequence[date] | None = None
) -> str:
    """The same for the rows of all parts, each read once; the first column, `_part`, names it.

    Where a hash tells the part, rows of no part are among them, with a null there: to leave them out
    would be to compute it twice.
    """
    part = _part_of(examples, split)
    wanted = exp.true() if hashes(split) else part.is_(exp.null()).not_()
    rows = _rows(examples, "select_parts", {"part_of_row": part, "wanted": wanted}, days)
    return _query(examples, rows, [PART, *_known(examples, columns)], days)


def _known(examples: Examples, columns: Iterable[str]) -> list[str]:
    names, known = list(columns), [*examples.columns, *([DAY] if examples.dated else [])]
    for name in names:
        if name not in known:
            raise RecmtlError(
                f"examples have no column {name!r}", where=examples.folder, fix=nearest(name, known)
            )
    return names


def _part_of(examples: Examples, split: Split | None) -> exp.Expr:
    if split is None:
        return exp.convert("all")
    sources = [source["path"] for source in examples.manifest["sources"]]
    return part_tree(split, sources, examples.manifest["zone"])


def _rows(
    examples: Examples, file: str, nodes: Mapping[str, exp.Expr], days: Sequence[date] | None
) -> exp.Select:
    """The rows that `sql/FILE.sql` selects."""
    rows = tree(file, rows_of_days=dated(examples.files(days), "examples"), **nodes)
    assert isinstance(rows, exp.Select)
    return rows


def _query(
    examples: Examples, rows: exp.Select, names: Sequence[str], days: Sequence[date] | None,
    ordered: bool = True,
) -> str:
    """SQL for columns of rows, and of the rates that they need."""
    if not examples.rated(names):
        return text(_columns(rows, names))
    rates, days = examples.rates, examples.days if days is None else days
    states = needed(names, rates.states(rated(examples.features)))
    plain = _columns(rows, rows_need(names, states))
    tables = {state: dated(rates.files(state, days)) for state in states}
    query = join(plain, names, states, rates.keys, tables)
    if not ordered:
        query.set("order", None)
    return text(query)


def _columns(rows: exp.Select, names: Sequence[str]) -> exp.Select:
    """These columns of the examples alone."""
    given = [e for e in rows.expressions if e.alias == PART]
    return rows.select(*given, *(column(n) for n in names if n != PART), append=False)
