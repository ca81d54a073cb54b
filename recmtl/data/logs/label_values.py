"""How a label is read: a problem and the log's types go in; its SQL and checks of values come out."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from recmtl.data.labels import Expression, parse
from recmtl.data.logs import values
from recmtl.data.logs.conditions import fitted
from recmtl.data.logs.table import Table
from recmtl.data.logs.values import Check, Value, family
from recmtl.data.query import column, expression
from recmtl.errors import RecmtlError
from recmtl.heads import Domain, head_of
from recmtl.schema import Count, Problem, Rate

_FAMILIES = {str: ("text", "null"), int: ("integer", "float", "null")}
ZERO_ONE = Check(expression("conditions", "not_boolean"), "is neither 0 nor 1", "0, 1 or null")


@dataclass(frozen=True)
class Label:
    """A label's expression, the SQL that the examples hold, and checks of the columns that it reads."""

    expression: Expression
    read: exp.Expr
    checks: tuple[tuple[str, Check], ...] = ()  # a column of the log, and what it may not hold


def read_label(problem: Problem, log: Table, name: str) -> Label:
    """Raises RecmtlError where the label's columns are missing, or of a type that it cannot read."""
    made = fitted(log, parse(f"[labels] {name}", problem.labels[name]))
    domains = list(dict.fromkeys(_domains(problem, name)))
    listed = next((domain for domain in domains if domain.values), None)
    if not made.bare:
        if listed:
            raise RecmtlError(
                "is an expression, 0 or 1, and a task lists other classes", where=made.where,
                expected="a column of the log", fix="give classes = 2, or name the column alone",
            )
        return Label(made, made.label(log.name), tuple((name, ZERO_ONE) for name in made.booleans))
    source = made.columns[0]
    value = _listed(log, source, made.where, listed) if listed else number_of(log, source, made.where)
    checks = [*(check for domain in domains for check in _checks(domain)), *value.checks]
    return Label(made, value.read, tuple((source, check) for check in dict.fromkeys(checks)))


def number_of(log: Table, name: str, where: str) -> Value:
    """A column of the log as a number. Raises RecmtlError where it is none."""
    return values.number(log.name, name, log.type_of(name, where), where)


def _domains(problem: Problem, name: str) -> Iterator[Domain]:
    """What a label may be, as each of those that read it says."""
    for task in problem.tasks.values():
        if name in task.labels:
            yield head_of(task).domain
        if task.given == name:
            yield Domain(boolean=True)
    for feature in problem.features.values():
        if isinstance(feature, Rate | Count) and name in (feature.label, getattr(feature, "given", None)):
            yield Domain(boolean=True)


def _checks(domain: Domain) -> Iterator[Check]:
    if domain.boolean:
        yield ZERO_ONE
    if domain.positive:
        yield Check(expression("conditions", "negative"), "is negative", domain.expected)
    if domain.classes and not domain.values:
        most = exp.convert(domain.classes - 1)
        yield Check(
            expression("conditions", "not_a_class", most=most), "is no class", domain.expected
        )


def _listed(log: Table, name: str, where: str, domain: Domain) -> Value:
    """The place of a column's value among the listed ones, −1 for others; of a float NaN is null."""
    kind = log.type_of(name, where)
    read: exp.Expr = column(name, log.name)
    wanted = _FAMILIES[type(domain.values[0])]
    if family(kind) not in wanted:
        raise RecmtlError(f"the column {name!r} has type {kind}", where=where, expected=domain.expected)
    checked: exp.Expr = exp.column("value")
    if family(kind) == "float":
        read, checked = (expression("values", "but_nan", value=value) for value in (read, checked))
    places = exp.Case()
    for place, value in enumerate(domain.values):
        found = exp.EQ(this=read.copy(), expression=exp.convert(value))
        places = places.when(found, exp.convert(place), copy=False)  # of all cases before, each time
    places = places.when(exp.not_(exp.Is(this=read.copy(), expression=exp.null())), exp.convert(-1))
    among = exp.In(this=checked, expressions=[exp.convert(value) for value in domain.values])
    check = Check(exp.not_(exp.paren(among)), "is no class", domain.expected)
    return Value(log.name, name, "DOUBLE", exp.cast(places, "DOUBLE", dialect="duckdb"), (check,))
