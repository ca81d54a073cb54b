"""Impressions that were logged twice: a plan goes in, one that keeps each of them once comes out."""

from dataclasses import replace

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs.plan import Plan
from recmtl.data.query import column, statement, text, tree
from recmtl.schema import Data


def drop_repeats(db: Database, plan: Plan, data: Data) -> tuple[Plan, int]:
    """Keep repeated rows of a day once, the first by time, file and row; says how many fall away.

    Rows repeat one with the same id, or where there is no id column one that is equal in every column.
    A scan of what identifies a row finds the few that may repeat; they alone are compared in full.
    Needs the table `sources`.
    """
    if data.impressions.duplicates == "keep":
        return plan, 0
    identity = [column(name, "log") for name in _identity(plan, data)]
    kept = exp.and_(plan.kept, identity[0].is_(exp.null()).not_()) if data.impressions.id else plan.kept
    suspects = tree("suspects", condition=kept)
    suspects.expression.select(*identity, copy=False)
    db.execute(text(suspects))
    same = [exp.NullSafeEQ(this=c, expression=column(c.name, "suspects")) for c in identity]
    repeated = tree("repeated", same=exp.and_(*same), condition=kept)
    for window in repeated.find_all(exp.Window):
        alike = identity if data.impressions.id else [column(n, "log") for n in plan.log.types]
        window.set("partition_by", [*([plan.day] if plan.day is not None else []), *alike])
        if plan.time is not None:
            window.args["order"].expressions.insert(0, exp.Ordered(this=plan.time, nulls_first=False))
    db.execute(text(repeated))
    ((rows,),) = db.execute(statement("repeated_count")).fetchall()
    return replace(plan, repeats=rows > 0), rows


def _identity(plan: Plan, data: Data) -> list[str]:
    """The columns in which repeated rows agree for certain: the id, or else keys and times."""
    source = data.impressions
    if source.id:
        return [source.id]
    named = filter(None, [*data.keys, data.group, source.time, source.day])
    return [name for name in dict.fromkeys(named) if name in plan.log.types] or list(plan.log.types)
