"""What is counted on examples once written: label counts, nulls."""

from collections.abc import Sequence
from typing import Any

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs.plan import Plan
from recmtl.data.query import column, dated, expression, statement, text, tree
from recmtl.schema import Data


def counts(db: Database, plan: Plan, files: Sequence[str]) -> dict[str, Any]:
    """Rows of files of examples; positives (above 0) and nulls of every label in them."""
    query = tree("label_counts", part=dated(files, "part"))
    assert isinstance(query, exp.Select)
    of_labels = [
        expression("label_counts", what, label=column(name))
        for name in plan.labels for what in ("positives", "nulls")
    ]
    query.select(query.expressions[0], *of_labels, append=False, copy=False)
    found = db.execute(text(query)).fetchone()
    assert found is not None  # an aggregate has one row
    pairs = zip(plan.labels, found[1::2], found[2::2], strict=True)
    return {
        "rows": found[0], "labels": {name: {"positives": p, "nulls": n} for name, p, n in pairs}
    }


def null_warnings(
    db: Database, plan: Plan, data: Data, files: Sequence[str]
) -> list[str]:
    """Keys that rows lack and columns without any value, by the statistics of the examples' files."""
    rows = db.execute(statement("null_counts", files=exp.convert(list(files)))).fetchall()
    found = {name: counted for name, *counted in rows}
    keys = dict.fromkeys(filter(None, (data.impressions.id, *data.keys, data.group, data.together)))
    said = [
        f"{found[key][1]:,} rows have no {key}, though it is a key of theirs"
        for key in keys if key in found and found[key][1]
    ]
    empty = {name for name, (values, nulls) in found.items() if values == nulls}
    return said + [
        f"the column {value.column!r} has no value in any row"
        for value in plan.values if value.column in empty
    ]
