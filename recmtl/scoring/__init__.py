"""Scores from a bundle: rows in, a probability per task out."""

from recmtl.scoring.files import score_files
from recmtl.scoring.score import Scorer

__all__ = ["Scorer", "score_files"]
