"""What is checked on the data before a row is written: a plan goes in, days and warnings come out."""

from datetime import date

import duckdb
from sqlglot import exp

from recmtl.data.logs.plan import Plan, Side
from recmtl.data.logs.values import Check, Value
from recmtl.data.query import column, expression, statement
from recmtl.errors import RecmtlError

Days = dict[date | None, dict[str, int]]  # day → file → rows


def check_values(db: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    """Raise RecmtlError for the first column with a value that cannot be used."""
    if plan.where:
        for name in plan.where.booleans:
            _refuse(db, Value("log", name, "", exp.null()), _ZERO_ONE, plan.where.where, exp.true())
    for label in plan.labels.values():
        bare = label.binary and label.expression.bare  # kept as it is, so it must be 0 or 1 itself
        names = label.expression.booleans or (label.expression.columns if bare else ())
        for name in names:
            value = Value("log", name, "", exp.null())
            _refuse(db, value, _ZERO_ONE, label.expression.where, plan.kept)
        for check in label.checks:
            value = Value("log", label.expression.columns[0], "", exp.null())
            _refuse(db, value, check, label.expression.where, plan.kept)
    keys = [value for side in plan.sides for pair in side.keys for value in pair]
    for value in (*plan.values, *keys, *([plan.weight] if plan.weight else [])):
        for check in value.checks:
            kept = plan.kept if value.table == "log" else exp.true()
            _refuse(db, value, check, "data", kept)
    if plan.weight:
        _refuse(db, plan.weight, _WEIGHT, "data.weight", plan.kept)


def check_sides(db: duckdb.DuckDBPyConnection, plan: Plan) -> list[str]:
    """Refuse side tables with a key twice; warn of impressions that find no row in one."""
    warnings = []
    for side in plan.sides:
        _refuse_duplicates(db, side)
        ((unmatched,),) = db.execute(statement(
            "unmatched", side=exp.to_table(side.table.name), condition=plan.kept,
            matches=matches(side),
        )).fetchall()
        if unmatched:
            keys = ", ".join(right.column for _, right in side.keys)
            warnings.append(
                f"{side.table.where}: {unmatched:,} impressions have no row for their {keys}; "
                "its columns are null there"
            )
    return warnings


def check_days(db: duckdb.DuckDBPyConnection, plan: Plan) -> Days:
    """The days of the kept rows and the files that hold them. Raises RecmtlError for null times."""
    for name, moment in (("time", plan.time), ("day", plan.day)):
        if moment is not None:
            _refuse_null(db, plan, name, moment)
    day = plan.day if plan.day is not None else exp.null()
    days: Days = {}
    for found, file, rows in db.execute(
        statement("days", day=exp.cast(day, "DATE"), condition=plan.kept)
    ).fetchall():
        days.setdefault(found, {})[file] = rows
    if not days:
        raise RecmtlError(
            "no rows to keep", where=plan.log.where, found=f"{len(plan.log.files)} files",
            fix=f"check {plan.where.where}" if plan.where else None,
        )
    for found, files in days.items():
        # DuckDB gives days beyond the year 9999 as text
        if found is not None and not (isinstance(found, date) and 1990 <= found.year <= 2100):
            file, rows = next(iter(files.items()))
            raise RecmtlError(
                f"the log has impressions of {found}", where=plan.log.where,
                expected="days from 1990 to 2100",
                found=f"{rows:,} of them in {file}, in {len(files)} files in all",
                fix="check unit, time and day",
            )
    return days


def matches(side: Side) -> exp.Expr:
    """The condition that joins a side table to the log."""
    return exp.and_(*(exp.EQ(this=left.read, expression=right.read) for left, right in side.keys))


_ZERO_ONE = Check(
    expression("conditions", "not_boolean"), "is neither 0 nor 1", "0, 1 or null"
)
_WEIGHT = Check(
    expression("conditions", "not_a_weight"), "is no weight", "a finite number, 0 or more"
)


def _refuse(
    db: duckdb.DuckDBPyConnection, value: Value, check: Check, used_by: str, kept: exp.Expr
) -> None:
    checked = column(value.column, value.table)
    if check.elements:
        checked = expression("conditions", "elements", value=checked)
    ((rows, example, file),) = db.execute(statement(
        "bad", log=exp.to_table(value.table), checked=checked, condition=kept, bad=check.condition
    )).fetchall()
    if rows:
        raise RecmtlError(
            f"the column {value.column!r} {check.reason} in {rows:,} rows", where=file,
            expected=f"{check.expected} (read by {used_by})",
            found="null" if example is None else f"e.g. {example}",
        )


def _refuse_null(
    db: duckdb.DuckDBPyConnection, plan: Plan, name: str, moment: exp.Expr
) -> None:
    source = next(moment.find_all(exp.Column))
    value = Value("log", source.name, "", moment)
    missing = Check(expression("conditions", "missing"), f"has no {name}", "a value in every row")
    _refuse(db, value, missing, f"data.impressions.{name}", plan.kept)
    read = expression("conditions", "unreadable", read=_over_value(moment))
    unreadable = Check(read, f"is no {name}", f"a {name} in every row")
    _refuse(db, value, unreadable, f"data.impressions.{name}", plan.kept)


def _over_value(moment: exp.Expr) -> exp.Expr:
    """The same expression over a column called `value`, as bad.sql names what it checks."""
    swapped: exp.Expr = moment.transform(
        lambda part: exp.column("value") if isinstance(part, exp.Column) else part
    )
    return swapped


def _refuse_duplicates(db: duckdb.DuckDBPyConnection, side: Side) -> None:
    keys = [right.read for _, right in side.keys]
    found = db.execute(statement(
        "duplicates", side=exp.to_table(side.table.name),
        key=keys[0] if len(keys) == 1 else exp.func("row", *keys),
    )).fetchmany(1000)
    if found:
        names = ", ".join(right.column for _, right in side.keys)
        count = f"{len(found):,}" if len(found) < 1000 else "1,000 or more"
        raise RecmtlError(
            f"{count} keys stand there more than once", where=side.table.where,
            expected=f"one row a {names}", found=f"e.g. {names} = {found[0][0]}, {found[0][1]} rows",
            fix="keep one row a key, e.g. the newest",
        )
