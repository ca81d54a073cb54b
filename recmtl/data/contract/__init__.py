"""The data contract: what is wrong with a log, found at every ingest, before anything is trained."""

from recmtl.data.contract.check import check
from recmtl.data.contract.finding import Finding
from recmtl.data.contract.report import Report, levels_text
from recmtl.data.verdict import PAGE, REPORT, read_report, require

__all__ = [
    "PAGE", "REPORT", "Finding", "Report", "check", "levels_text", "read_report", "require",
]
