"""Whether examples may be used, as the report says that the data contract has written on them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recmtl.errors import RecmtlError
from recmtl.folder import digest, is_current, read_manifest
from recmtl.schema import Problem

if TYPE_CHECKING:
    from recmtl.data.contract.report import Report  # what writes it loads SQL

FORMAT = 2  # raised when the same examples would give another report
REPORT, PAGE = "contract.json", "index.html"


def require(problem: Problem, manifest: Mapping[str, Any], out: Path) -> None:
    """Raise RecmtlError where the report on the examples of this manifest has errors or is of others."""
    if not is_current(out, contract_key(problem, manifest)):
        raise RecmtlError(
            "the examples were not checked", where=out,
            expected="a report on the examples as they are now", fix="run `recmtl ingest` again",
        )
    if read_manifest(out)["levels"]["error"]:
        refuse(read_report(out)["findings"], out)


def read_report(out: Path) -> "Report":
    """What was found. Raises RecmtlError where there is no report."""
    read_manifest(out)
    report: Report = json.loads((out / REPORT).read_text())
    return report


def contract_key(problem: Problem, manifest: Mapping[str, Any]) -> str:
    """What a report depends on."""
    return digest([
        FORMAT, manifest["key"], *(manifest.get(name) for name in ("events", "event_days", "later")),
        problem.contract.model_dump(mode="json"),
    ])


def refuse(findings: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Raise RecmtlError where there are errors among the findings of the report in `out`."""
    errors = [f for f in findings if f["level"] == "error"]
    if not errors:
        return
    raise RecmtlError(
        f"the data contract is broken: {len(errors)} error{'s' * (len(errors) > 1)}", where=out / PAGE,
        found="; ".join(f"{f['check']} of {f['column']}: {f['found']}" for f in errors),
        expected="; ".join(f["expected"] for f in errors), fix=errors[0]["fix"],
    )
