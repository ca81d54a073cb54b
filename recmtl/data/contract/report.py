"""The report's data: measured facts and findings in, what contract.json holds out."""

from collections.abc import Mapping, Sequence
from typing import Any

from recmtl.data.contract.facts import Facts
from recmtl.data.contract.finding import LEVELS, Finding

Report = dict[str, Any]


def report_of(facts: Facts, findings: Sequence[Finding]) -> Report:
    return {
        "name": facts.problem.name, "rows": facts.rows,
        "levels": {level: sum(f.level == level for f in findings) for level in LEVELS},
        "findings": [finding.to_json() for finding in findings],
        "limits": facts.limits.model_dump(mode="json"),
        "identity": facts.identity,
        "events": dict(facts.manifest.get("events", {})),
        "judged": [space.to_json() for space in facts.spaces],
        "leakage": [strength.to_json() for strength in facts.strengths],
        "days": {day.name: day.to_json() for day in facts.days},
    }


def levels_text(report: Mapping[str, Any]) -> str:
    """How many findings there are of each level."""
    return ", ".join(f"{n} {level}{'s' * (n != 1)}" for level, n in report["levels"].items())
