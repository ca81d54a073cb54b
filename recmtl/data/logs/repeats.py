"""Impressions that were logged twice: a plan goes in, one that keeps each of them once comes out."""

from collections.abc import Iterable
from dataclasses import replace

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs.plan import Plan
from recmtl.data.query import column, statement, text, tree
from recmtl.schema import Data


def identity(data: Data, columns: Iterable[str]) -> tuple[str, ...]:
    """Which of the log's columns identify an impression: its id, or its keys and time, or all.

    Only an id tells for certain that two rows are one impression; without it, rows are one where they
    are equal in every column.
    """
    source, names = data.impressions, tuple(columns)
    if source.id:
        return (source.id,)
    keys = tuple(key for key in data.keys if key in names)  # others are of a side table
    return (*keys, source.time) if keys and source.time else names


def drop_repeats(db: Database, plan: Plan, data: Data) -> tuple[Plan, int]:
    """Keep repeated rows once, the first by day, time, file and row; says how many fall away.

    Rows repeat one with the same id, on whatever day, or where there is no id column one that is equal
    in every column. A scan of what identifies a row finds the few that may repeat; they alone are
    compared in full. Needs the table `sources`; the table `repeated` names those that fall away.
    """
    if data.impressions.duplicates == "keep":
        return plan, 0
    few = [column(name, "log") for name in _few(plan, data)]
    kept = exp.and_(plan.kept, few[0].is_(exp.null()).not_()) if data.impressions.id else plan.kept
    suspects = tree("suspects", condition=kept)
    suspects.expression.select(*few, copy=False)
    db.execute(text(suspects))
    same = [exp.NullSafeEQ(this=c, expression=column(c.name, "suspects")) for c in few]
    day = exp.cast(plan.day if plan.day is not None else exp.null(), "DATE")
    repeated = tree("repeated", same=exp.and_(*same), condition=kept, day=day)
    order = [moment for moment in (plan.day, plan.time) if moment is not None]
    for window in repeated.find_all(exp.Window):
        alike = few if data.impressions.id else [column(n, "log") for n in plan.log.types]
        window.set("partition_by", alike)
        window.args["order"].expressions[:0] = [exp.Ordered(this=m, nulls_first=False) for m in order]
    db.execute(text(repeated))
    ((rows,),) = db.execute(statement("repeated_count")).fetchall()
    return replace(plan, repeats=rows > 0), rows


def _few(plan: Plan, data: Data) -> tuple[str, ...]:
    """Few columns in which repeated rows agree for certain: what identifies them, or parts of it."""
    found = identity(data, plan.log.types)
    if found != tuple(plan.log.types):
        return found
    named = filter(None, [*data.keys, data.group, data.impressions.time, data.impressions.day])
    return tuple(n for n in dict.fromkeys(named) if n in plan.log.types) or found
