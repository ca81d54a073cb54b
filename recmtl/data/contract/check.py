"""The data contract: examples and their log go in, a report comes out, and an error where it is broken.

    OUT/contract/contract.json   every finding, and what was measured by day
    OUT/contract/index.html      the same to look at
    OUT/contract/values.parquet  hashes of the values that were there, and the first day of each
"""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from recmtl.data.contract.checks import CHECKS, types
from recmtl.data.contract.finding import ordered
from recmtl.data.contract.kept import VALUES, Kept, day_keys
from recmtl.data.contract.page import contract_page
from recmtl.data.contract.report import Report, report_of
from recmtl.data.contract.survey import survey
from recmtl.data.duck import connect, engine_errors
from recmtl.data.engine import open_engine
from recmtl.data.examples import Examples
from recmtl.data.rates.states import rated
from recmtl.data.verdict import FORMAT, PAGE, REPORT, contract_key, read_report, refuse
from recmtl.folder import is_current, locked, read_manifest, write_folder
from recmtl.schema import Problem


def check(problem: Problem, examples: Path, out: Path) -> Report:
    """Write the report on a folder of examples to the folder `out` and return it.

    Nothing is read again where the report is there. Raises RecmtlError naming each error found.
    """
    with locked(out):
        manifest = read_manifest(examples)
        if not is_current(out, contract_key(problem, manifest)):
            _write(problem, examples, manifest, out)
    report = read_report(out)
    refuse(report["findings"], out)
    return report


def _write(problem: Problem, examples: Path, manifest: Mapping[str, Any], out: Path) -> None:
    opened = Examples(examples, dict(manifest))
    states = opened.rates.manifest["days"] if rated(opened.features) else {}
    keys = day_keys(manifest, FORMAT, states)
    kept = Kept.open(out / REPORT, keys)
    with (
        closing(connect(problem.data.memory_limit, problem.spill)) as db,
        closing(open_engine(problem, db)) as engine, engine_errors(examples),
    ):
        facts = survey(db, problem, examples, keys, kept, engine)
    checks = CHECKS if facts.sound else (types.check,)
    report = report_of(facts, ordered(f for one in checks for f in one(facts)))
    record = {"key": contract_key(problem, manifest), "levels": report["levels"]}
    with write_folder(out, record) as folder:
        (folder / REPORT).write_text(json.dumps(report, ensure_ascii=False))
        (folder / PAGE).write_text(contract_page(report))
        kept.seen.save(folder / VALUES)
