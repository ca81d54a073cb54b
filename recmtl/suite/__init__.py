"""What every part must do, as functions for its tests: for recmtl's own, and for those of packages."""

from recmtl.suite.checks import CHECKS, cases, named
from recmtl.suite.loss_checks import LOSS_CHECKS

__all__ = ["CHECKS", "LOSS_CHECKS", "cases", "named"]
