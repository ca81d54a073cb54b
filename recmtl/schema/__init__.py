"""What the columns of a log mean: source, split, labels, features and tasks, as frozen values."""

from recmtl.schema.config import Config
from recmtl.schema.features import (
    Bag,
    Categorical,
    Cross,
    Feature,
    History,
    Numeric,
    Vector,
    resolve_features,
)
from recmtl.schema.problem import Problem
from recmtl.schema.source import Data, FilesSplit, HashSplit, Impressions, Join, Split, TimeSplit
from recmtl.schema.tasks import Task

__all__ = [
    "Bag", "Categorical", "Config", "Cross", "Data", "Feature", "FilesSplit", "HashSplit", "History",
    "Impressions", "Join", "Numeric", "Problem", "Split", "Task", "TimeSplit", "Vector",
    "resolve_features",
]
