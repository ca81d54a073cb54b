"""What is counted on examples once written: label counts, empty features."""

from pathlib import Path

import duckdb
from sqlglot import exp

from recmtl.data.logs.plan import Plan
from recmtl.data.query import column, statement


def label_counts(
    db: duckdb.DuckDBPyConnection, plan: Plan, files: str
) -> dict[str, dict[str, int]]:
    """Positives (above 0) and nulls of every label in the examples under a glob."""
    counts = {}
    for name in plan.labels:
        row = db.execute(statement("label_counts", label=column(name), part=_read(files))).fetchone()
        assert row is not None  # an aggregate has one row
        counts[name] = {"positives": row[0], "nulls": row[1]}
    return counts


def empty_features(db: duckdb.DuckDBPyConnection, plan: Plan, folder: Path) -> list[str]:
    """A warning for each carried column without any value, from the files' statistics."""
    found = db.execute(
        statement("empty_columns", files=exp.convert(str(folder / "*" / "*.parquet")))
    ).fetchall()
    empty = {name for (name,) in found}
    return [
        f"the column {value.column!r} has no value in any row"
        for value in plan.values if value.column in empty
    ]


def _read(files: str) -> exp.Expr:
    return exp.Table(this=exp.func("read_parquet", exp.convert(files)))
