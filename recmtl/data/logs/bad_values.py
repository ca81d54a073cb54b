"""Values that cannot be used, found before a row is written: a plan goes in; one error comes out, if any.

It names every column that has some, with the rows, the first of them and what it holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs.label_values import ZERO_ONE
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.units import better_unit
from recmtl.data.logs.values import Check, Value
from recmtl.data.query import column, expression, statement
from recmtl.errors import RecmtlError

_WEIGHT = Check(
    expression("conditions", "not_a_weight"), "is no weight", "a finite number, 0 or more"
)

_INPUT = "the input"  # what rows to score are called, which no setting names


def check_values(db: Database, plan: Plan) -> None:
    """Raise one RecmtlError that names every column with values that cannot be used."""
    found = [_find(db, *wanted, exp.true()) for wanted in _of_where(plan)]
    found += [_find(db, *wanted, plan.meant) for wanted in (*_of_labels(plan), *_of_times(plan))]
    keys = [value for side in plan.sides for pair in side.keys for value in pair]
    keys += plan.events.values
    homes = {table.name: table.key for table in plan.tables}
    for value in (*plan.values, *keys, *([plan.weight] if plan.weight else [])):
        kept, home = plan.meant if value.table == "log" else exp.true(), homes[value.table]
        found += [_find(db, value, check, home, kept) for check in value.checks]
    if plan.weight:
        found.append(_find(db, plan.weight, _WEIGHT, "data.weight", plan.meant))
    filtered = plan.log.where == "data.impressions"  # what is scored has no `where`
    homes |= {table.every: table.key for table in plan.tables}
    _refuse(found, homes if filtered else {})


def check_times(db: Database, value: Value, used_by: str) -> None:
    """Raise RecmtlError where a time is missing or none."""
    found = [_find(db, value, check, used_by, exp.true()) for check in _readable(value, "time")]
    _refuse(found, {})


def _of_where(plan: Plan) -> Iterator[tuple[Value, Check, str]]:
    kept = [("log", plan.where), *((table.every, table.kept) for table in plan.tables)]
    for table, where in kept:
        if where:
            for name in where.booleans:
                yield Value(table, name, "", exp.null()), ZERO_ONE, where.where


def _of_labels(plan: Plan) -> Iterator[tuple[Value, Check, str]]:
    for label in plan.labels.values():
        for name, check in label.checks:
            if name not in plan.events.columns:  # what events add is right as it is made
                yield Value("log", name, "", exp.null()), check, label.expression.where


def _of_times(plan: Plan) -> Iterator[tuple[Value, Check, str]]:
    seen = ""
    for name, moment in (("time", plan.time), ("day", plan.day)):
        if moment is not None and (source := next(moment.find_all(exp.Column)).name) != seen:
            value, seen = Value("log", source, "", moment), source
            yield from ((value, check, f"data.impressions.{name}") for check in _readable(value, name))


@dataclass(frozen=True)
class _Bad:
    """Rows with a value that cannot be used, and the first of them."""

    table: str
    what: str
    file: str
    example: str
    expected: str


def _find(
    db: Database, value: Value, check: Check, used_by: str, kept: exp.Expr
) -> _Bad | None:
    checked = column(value.column, value.table)
    if check.elements:
        checked = expression("conditions", "elements", value=checked)
    ((rows, example, first),) = db.execute(statement(
        "bad", log=exp.to_table(value.table), checked=checked, condition=kept, bad=check.condition
    )).fetchall()
    if not rows:
        return None
    (file, row), hint = first, check.hint(example) if check.hint else ""
    return _Bad(
        value.table, f"the column {value.column!r} {check.reason} in {rows:,} rows", file,
        f"{'null' if example is None else f'e.g. {example}'} in row {row}",
        f"{check.expected}{f'; {hint}' if hint else ''}"
        f"{f' (read by {used_by})' if used_by != _INPUT else ''}",
    )


def _refuse(checked: Iterable[_Bad | None], filtered: Mapping[str, str]) -> None:
    """`filtered` are the keys of tables of which `where` can leave rows out."""
    found = list(dict.fromkeys(bad for bad in checked if bad))  # a key may be a feature, too
    fix = "write the rows again with values that can be used, or the file without them"
    homes = sorted({filtered[bad.table] for bad in found if bad.table in filtered}, reverse=True)
    if homes:
        fix = f"write the rows again, or leave them out: where = \"…\" in {' and in '.join(homes)}"
    if len(found) == 1:
        (bad,) = found
        raise RecmtlError(bad.what, where=bad.file, expected=bad.expected, found=bad.example, fix=fix)
    if found:
        raise RecmtlError(
            f"{len(found)} checks find values that cannot be used", where="data",
            found="".join(f"\n    {b.file}: {b.what}, {b.example}; not {b.expected}" for b in found),
            fix=fix,
        )


def _readable(value: Value, name: str) -> tuple[Check, Check]:
    read = expression("conditions", "unreadable", read=_over_value(value.read))
    return (
        Check(expression("conditions", "missing"), f"has no {name}", "a value in every row"),
        Check(
            read, f"is no {name}", f"a {name} in every row, in the unit given",
            hint=better_unit if name == "time" else None,
        ),
    )


def _over_value(moment: exp.Expr) -> exp.Expr:
    """The same expression over a column called `value`, as bad.sql names what it checks."""
    swapped: exp.Expr = moment.transform(
        lambda part: exp.column("value") if isinstance(part, exp.Column) else part
    )
    return swapped
