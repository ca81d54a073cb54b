"""The examples as one statement: a plan goes in, the view `examples` comes out, a row an impression."""

from sqlglot import exp

from recmtl.data.logs.plan import Plan
from recmtl.data.logs.sides import matches
from recmtl.data.query import text, tree


def examples_view(plan: Plan) -> str:
    """The statement that creates the view `examples`, a paste-ready account of what ingest does."""
    view = tree(
        "examples", condition=plan.kept,
        day=exp.cast(plan.day if plan.day is not None else exp.null(), "DATE"),
    )
    select = view.expression
    if plan.time is not None:
        select.select(exp.alias_(plan.time, "_time"), copy=False)
    if plan.weight is not None:
        select.select(exp.alias_(plan.weight.read, "_weight"), copy=False)
    for value in plan.values:
        read = exp.cast(value.read, value.kind, dialect="duckdb")
        select.select(exp.alias_(read, value.column, quoted=True), copy=False)
    for name, label in plan.labels.items():
        select.select(exp.alias_(label.read, name, quoted=True), copy=False)
    for side in plan.sides:
        select.join(exp.to_table(side.table.name), on=matches(side), join_type="left", copy=False)
    inputs = [name for label in plan.labels.values() for name in label.expression.columns]
    for name, on in plan.events.joins(inputs).items():
        select.join(exp.to_table(name), on=on, join_type="left", copy=False)
    return text(view)
