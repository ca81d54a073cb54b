"""Rows and states in; SQL for the rows with the numbers of their keys on their day out."""

from collections.abc import Mapping, Sequence

from sqlglot import exp

from recmtl.data.query import column, expression, tree
from recmtl.data.rates.states import Rated, State, measure_of

States = Mapping[State, Mapping[str, Rated]]
UNIT = "\x1f"  # ASCII's unit separator stands between the elements of a list
_PLACE = ("dt", "_file", "_row")


def key(name: str, kind: str, table: str) -> exp.Expr:
    """A key as states hold it: a list as one text, as DuckDB 2.0 misses matches of lists beside nulls."""
    if not kind.endswith("]"):
        return column(name, table)
    return expression("rates_values", "key_of_list", list=column(name, table),
                      separator=exp.convert(UNIT))


def join(
    rows: exp.Select, columns: Sequence[str], states: States, kinds: Mapping[str, str],
    tables: Mapping[State, exp.Expr],
) -> exp.Select:
    """The query for `columns` of `rows` and of their states, in the order day, file, row.

    `rows` has `dt`, `_file`, `_row`, the keys, and those of the columns that no state gives.
    `kinds` are the types of the keys; `tables` are the states, with `dt` (see `dated`).
    """
    query = tree("rates_join", selected=rows.subquery("examples"))
    assert isinstance(query, exp.Select)
    found: dict[str, exp.Expr] = {}
    for number, (state, users) in enumerate(states.items()):
        of_key, of_all = f"state_{number}", f"total_{number}"
        for name, feature in users.items():
            inputs = feature.inputs(name)
            found |= zip(inputs, _values(state, feature, (of_key, of_all)), strict=True)
        same = [key(k, kinds[k], "examples").eq(column(k, of_key)) for k in state.keys]
        same.append(column("dt", "examples").eq(column("dt", of_key)))
        _join_state(query, state, tables[state], (of_key, of_all), exp.and_(*same))
    return query.select(*(
        exp.alias_(found[name], name, quoted=True) if name in found else column(name, "examples")
        for name in columns
    ), append=False, copy=False)


def needed(columns: Sequence[str], states: States) -> States:
    """The states that give any of the columns."""
    return {
        state: users for state, users in states.items()
        if any(c in columns for name, feature in users.items() for c in feature.inputs(name))
    }


def rows_need(columns: Sequence[str], states: States) -> list[str]:
    """What `join` reads of the rows themselves, for these columns and states."""
    given = {c for users in states.values() for n, f in users.items() for c in f.inputs(n)}
    plain = [name for name in columns if name not in given]
    return list(dict.fromkeys([*plain, *(k for state in states for k in state.keys), *_PLACE]))


def _join_state(
    query: exp.Select, state: State, table: exp.Expr, names: tuple[str, str], same: exp.Expr
) -> None:
    of_key, of_all = names
    total = tree("rates_total", state=table.copy())
    assert isinstance(total, exp.Select)
    for name in (name for measure in state.measures for name in measure.columns):
        sums = expression("rates_measure", "summed", tallied=column(name))
        total.select(exp.alias_(sums, name, quoted=True), copy=False)
    query.join(exp.alias_(table, of_key, table=True), on=same, join_type="left", copy=False)
    query.join(total.subquery(of_all), on=column("dt", "examples").eq(column("dt", of_all)),
               join_type="left", copy=False)


def _values(state: State, feature: Rated, names: tuple[str, str]) -> list[exp.Expr]:
    """The columns of a feature's inputs."""
    of_key, of_all = names
    counted, positives = measure_of(feature).columns
    nodes = {
        "keyed": exp.and_(*(column(k, "examples").is_(exp.null()).not_() for k in state.keys)),
        "rows_": column(counted, of_key), "positives": column(positives, of_key),
        "all_rows": column(counted, of_all), "all_positives": column(positives, of_all),
    }
    if feature.kind == "count":
        number = nodes["positives" if feature.label else "rows_"]
        return [expression("rates_values", "count", number=number, **nodes)]
    prior = exp.convert(feature.prior)
    return [
        expression("rates_values", "rate", prior=prior, **nodes),
        expression("rates_values", "count", number=nodes["rows_"], **nodes),
    ]
