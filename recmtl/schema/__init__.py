"""What the columns of a log mean: source, split, labels, features and tasks, as frozen values."""

from recmtl.schema.config import Config
from recmtl.schema.contract import Contract
from recmtl.schema.events import Event
from recmtl.schema.features import (
    Bag,
    Categorical,
    Computed,
    Cross,
    Feature,
    History,
    Numeric,
    Vector,
    resolve_features,
)
from recmtl.schema.problem import Problem
from recmtl.schema.rates import Count, Rate
from recmtl.schema.source import Data, FilesSplit, HashSplit, Impressions, Join, Split, TimeSplit
from recmtl.schema.tasks import Task

__all__ = [
    "Bag", "Categorical", "Computed", "Config", "Contract", "Count", "Cross", "Data", "Event",
    "Feature", "FilesSplit", "HashSplit", "History", "Impressions", "Join", "Numeric", "Problem",
    "Rate", "Split", "Task", "TimeSplit", "Vector", "resolve_features",
]
