"""What a run of ingest tells: a line a day in the log, and the warnings that the manifest keeps."""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from recmtl.data.events.attribution import event_warnings
from recmtl.data.increments.days import Work
from recmtl.data.logs.checks import unmatched_warnings
from recmtl.data.logs.plan import Plan
from recmtl.schema import Problem

_log = logging.getLogger("recmtl")


def report(work: Work, days: Mapping[str, Any]) -> None:
    """Say which days were written and why; `days` are those of the manifest."""
    for day, why in work.write.items():
        _log.info("%s  %s rows written: %s", day, f"{days[day]['rows']:,}", why)
    for day, why in work.drop.items():
        _log.info("%s  left out: %s", day, why)
    for day, why in work.stale.items():
        _log.info("%s  stale: %s", day, why)
    _log.info("examples: %d days written, %d as they were, %d stale",
              len(work.write), len(work.link), len(work.stale))


def warnings(problem: Problem, plan: Plan, manifest: Mapping[str, Any]) -> list[str]:
    """What a person should know of the examples as they are now."""
    said = []
    repeated = manifest["dropped"]["repeated"]
    if repeated:
        id_ = problem.data.impressions.id
        said.append(
            f"data.impressions: {repeated:,} rows were dropped, as each repeats an earlier one with "
            f"the same {id_ or 'values'}"
        )
    strangers: Counter[str] = Counter()
    for day in manifest["days"].values():
        strangers.update(day.get("unmatched", {}))
    said += unmatched_warnings(plan, strangers) + event_warnings(plan.events, manifest["events"])
    if manifest["stale"]:
        said.append(
            f"{len(manifest['stale'])} days are not as the logs and the file say now, from "
            f"{min(manifest['stale'])} to {max(manifest['stale'])}: ingest without --from and --to "
            "writes them"
        )
    return said
