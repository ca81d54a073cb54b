"""Scores from a bundle: rows in, a probability per task out."""

from recmtl.scoring.score import Scorer, score_files

__all__ = ["Scorer", "score_files"]
