"""Times and days: a column of any sensible type goes in, SQL for a time in UTC or a day comes out."""

from sqlglot import exp

from recmtl.data.logs.table import Table
from recmtl.data.logs.values import family
from recmtl.data.query import column, expression
from recmtl.errors import RecmtlError
from recmtl.schema import Impressions


def time_of(log: Table, source: Impressions) -> exp.Expr | None:
    """An impression's time in UTC; None where the configuration names no column."""
    if source.time is None:
        return None
    return read_time(log, source.time, source.unit, "data.impressions.time")


def read_time(
    table: Table, name: str, unit: str | None, where: str, zone: str | None = None
) -> exp.Expr:
    """A time in UTC: numbers by `unit`; dates and timestamps without a zone are in `zone`, or UTC."""
    kind = table.type_of(name, where)
    group = family(kind)
    if group in ("integer", "float"):
        if unit is None:
            raise RecmtlError(
                f"the column {name!r} has type {kind}: which unit since 1970?",
                where=where, fix='give unit = "s", "ms", "us" or "ns"',
            )
        form = f"time_of_{unit}" if group == "integer" else f"time_of_{unit}_float"
    elif group in ("timestamp", "date", "zoned"):
        if unit is not None:
            raise RecmtlError(
                f"the column {name!r} has type {kind}, which has no unit", where=where,
                fix="drop unit",
            )
        local = "time_of_timestamp" if zone in (None, "UTC") else "time_of_local"
        form = "time_of_zoned" if group == "zoned" else local
    else:
        raise RecmtlError(
            f"the column {name!r} has type {kind}", where=where,
            expected="a timestamp, or a number with unit",
        )
    return expression("values", form, value=column(name, table.name), zone=exp.convert(zone))


def zone_beside(log: Table, source: Impressions, table: Table, name: str) -> str | None:
    """The zone of another table's time where that has none: the log's, so that its dates begin when the
    log's days do; None where the log's time has none either, and both are compared as they stand."""
    kinds = (held.types.get(time or "", {}) for held, time in ((log, source.time), (table, name)))
    own, other = ({family(kind) for kind in of_files.values()} for of_files in kinds)
    return None if own == other else source.zone


def day_of(log: Table, source: Impressions, time: exp.Expr | None) -> exp.Expr | None:
    """The day: that of the day column, else that of the time in `zone`; None where there is neither."""
    if source.day is None:
        if time is None:
            return None
        if source.zone == "UTC":  # the same day, of which files' statistics say whether they have it
            return expression("values", "day_of_date", value=time)
        return expression("values", "day_of_time", value=time, zone=exp.convert(source.zone))
    kind = log.type_of(source.day, "data.impressions.day")
    group, day = family(kind), column(source.day, log.name)
    forms = {"integer": "day_of_integer", "float": "day_of_float", "text": "day_of_text",
             "date": "day_of_date", "timestamp": "day_of_date"}
    if group not in forms:
        raise RecmtlError(
            f"the column {source.day!r} has type {kind}", where="data.impressions.day",
            expected="a day, an integer such as 20220503 or a string such as 2022-05-03",
        )
    return expression("values", forms[group], value=day)
