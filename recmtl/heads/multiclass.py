"""A multiclass task: a logit a class in, a probability a class out."""

import math
from typing import Any

import numpy as np

from recmtl.batch import Batch
from recmtl.heads.head import Domain, Head, Numbers, Start
from recmtl.heads.measures import CLIP, Weighted, auc, weighted_mean

RARE = 1e-6  # the share that a class is given which train lacks


class OfClasses(Head):
    """What its score is of: a probability of each class (N, K), in the order of `classes`, or of some."""

    says = "Probability of each class of"
    formula = "P({})"
    wanted = "two classes or more"

    @property
    def columns(self) -> int:
        return self.task.class_count

    @property
    def domain(self) -> Domain:
        listed = self.task.classes if isinstance(self.task.classes, tuple) else ()
        return Domain(classes=self.task.class_count, values=listed)

    def summed(self, target: np.ndarray, about: Any = None) -> tuple[Any, Any]:
        """Of one-hot rows, which would be (N, K): the mean is the prior of each class."""
        rows, times = len(target), np.bincount(target.astype(np.int64), minlength=self.task.class_count)
        sums = times if about is None else times * (1 - about) ** 2 + (rows - times) * about**2
        return np.full(len(times), rows), sums

    def nothing(self, mean: Numbers, std: Numbers) -> str | None:
        return f"only class {mean.index(1.0)}" if isinstance(mean, tuple) and 1.0 in mean else None


class Multiclass(OfClasses):
    """Raw output: logits (N, K); its score: their softmax."""

    headline = "logloss"

    @property
    def beside(self) -> tuple[str, ...]:
        """Top k where there are more than k classes."""
        return ("accuracy", *(f"top{k}" for k in (3, 5) if k < self.task.class_count), "auc")

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The logarithm of each class's prior."""
        priors = mean if isinstance(mean, tuple) else (1.0,) * self.columns
        return Start(self.columns, shift=log_priors(priors))

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        return raw.softmax(-1)

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        metrics = class_metrics(label, score)
        return {name: value for name, value in metrics.items() if name in (*self.metrics, "rows")}

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        return weighted_mean(class_logloss(label, score), code)


def log_priors(priors: tuple[float, ...]) -> tuple[float, ...]:
    """log π of each class, finite for those that train lacks."""
    return tuple(math.log(max(prior, RARE)) for prior in priors)


def class_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Metrics of probabilities `score` (N, K) for the classes `label` (N,).

    `rows`, `logloss` (nats a row), `accuracy`, `top3` and `top5` (share of rows whose class is among the
    so many likeliest; equal ones in the order of classes), and `auc`: the AUC of a class against all
    others, as the mean over classes that some rows are of. What the rows do not define is absent.
    """
    metrics = {"rows": float(len(label))}
    if len(label) == 0:
        return metrics
    metrics["logloss"] = float(class_logloss(label, score).mean())
    place = class_place(label, score)
    for name, k in (("accuracy", 1), ("top3", 3), ("top5", 5)):
        metrics[name] = float((place < k).mean())
    areas = [
        auc(label == k, score[:, k]) for k in range(score.shape[1])
        if 0 < np.count_nonzero(label == k) < len(label)
    ]
    if areas:
        metrics["auc"] = float(np.mean(areas))
    return metrics


def class_logloss(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """−log of the probability of a row's class, in nats (N,) float64; it is kept at eps or above."""
    own = np.take_along_axis(score, np.asarray(label, dtype=np.int64)[:, None], axis=1)[:, 0]
    return -np.log(np.maximum(own.astype(np.float64), CLIP))


def class_place(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """How many classes stand before a row's own (N,), likeliest first."""
    number = np.asarray(label, dtype=np.int64)[:, None]
    own = np.take_along_axis(score, number, axis=1)
    earlier = np.arange(score.shape[1]) < number
    place: np.ndarray = ((score > own) | ((score == own) & earlier)).sum(axis=1)
    return place
