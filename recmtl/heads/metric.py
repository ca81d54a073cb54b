"""What each metric is called and which way it is better: one name means one thing for all types."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How people read it, and whether less of it is better; None: it is best in between."""

    shown: str
    lower: bool | None = False


METRICS: Mapping[str, Metric] = {
    "auc": Metric("AUC"),
    "rmse": Metric("RMSE", lower=True),
    "auc_weighted": Metric("AUC, by rows"),
    "logloss": Metric("log loss", lower=True),
    "logloss_weighted": Metric("log loss, by rows", lower=True),
    "pcoc": Metric("PCOC", lower=None),
    "mae": Metric("MAE", lower=True),
    "r2": Metric("R²"),
    "xauc": Metric("XAUC"),
    "nrmse": Metric("RMSE / spread", lower=True),
    "nmae": Metric("MAE / spread", lower=True),
    "kappa": Metric("quadratic kappa"),
    "accuracy": Metric("accuracy"),
    "top3": Metric("top 3"),
    "top5": Metric("top 5"),
}
MONITORED = tuple(name for name, metric in METRICS.items() if metric.lower is not None)
