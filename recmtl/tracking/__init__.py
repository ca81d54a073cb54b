"""MLflow, and nothing else of the house imports it: runs, spool, registered models.

mlflow itself is imported on first use, so that importing this package costs nothing.
"""

from recmtl.tracking.client import TrackedRun, Tracker, replay
from recmtl.tracking.registry import Version, fetch, log_model, promote, register

__all__ = [
    "TrackedRun", "Tracker", "Version", "fetch", "log_model", "promote", "register", "replay",
]
