"""A retrieval task: logits of more classes than a score can hold in, the likeliest of them out."""

from typing import TYPE_CHECKING, Any

import numpy as np

from recmtl.batch import Batch
from recmtl.heads.head import Numbers, Start
from recmtl.heads.measures import CLIP, Weighted, weighted_mean
from recmtl.heads.multiclass import OfClasses, log_priors

if TYPE_CHECKING:
    from torch import Tensor

ROWS, COLUMNS = 256, 1 << 15  # of logits that are computed at a time, 32 MB


class Retrieval(OfClasses):
    """Raw output: logits (N, K), in factors; its score (N, 2 · top), of their softmax over all classes.

    First the numbers of the `top` likeliest classes, falling, then their probabilities. Metrics are of
    that score: what it leaves of 1 is the same for each of the other classes.
    """

    headline = "logloss"
    says = "Likeliest classes of"

    @property
    def beside(self) -> tuple[str, ...]:
        """Top k where more than k classes are scored."""
        return ("accuracy", *(f"top{k}" for k in (3, 5) if k < self.top), "hit_rate")

    @property
    def top(self) -> int:
        assert self.task.top is not None
        return self.task.top

    @property
    def columns(self) -> int:
        return 2 * self.top

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The logarithm of each class's prior."""
        priors = mean if isinstance(mean, tuple) else (1.0,) * self.task.class_count
        return Start(self.task.class_count, shift=log_priors(priors), factored=True)

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        import torch

        return torch.cat([self._likeliest(hidden, raw.table) for hidden in raw.hidden.split(ROWS)])

    def _likeliest(self, hidden: "Tensor", table: "Tensor") -> "Tensor":
        """The score of some rows, from all columns, some at a time: what is kept does not grow with K."""
        import torch

        best = hidden.new_empty(len(hidden), 0)
        number, total = best.long(), hidden.new_full((len(hidden),), -torch.inf)
        for first in range(0, len(table), COLUMNS):
            logits = hidden @ table[first : first + COLUMNS].t()
            found = logits.topk(min(self.top, logits.shape[1]), dim=1)
            total = torch.logaddexp(total, logits.logsumexp(1))
            values = torch.cat([best, found.values], 1)
            best, place = values.topk(min(self.top, values.shape[1]), dim=1)
            number = torch.cat([number, first + found.indices], 1).gather(1, place)
        likeliest = (best - total.unsqueeze(1)).exp()
        return torch.cat([number.to(likeliest.dtype), likeliest], 1)

    def steady(self, score: np.ndarray) -> np.ndarray:
        """Probabilities: classes of about the same one may change places."""
        return score[:, self.top :]

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        """`hit_rate` is the share of rows whose class is scored; else as of a multiclass task."""
        metrics = {"rows": float(len(label))}
        if len(label) == 0:
            return metrics
        place, within = self._place(label, score), {"accuracy": 1, "top3": 3, "top5": 5}
        metrics["logloss"] = float(self._logloss(label, score).mean())
        for name in self.beside:
            metrics[name] = float((place < within.get(name, self.top)).mean())
        return metrics

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        return weighted_mean(self._logloss(label, score), code)

    def _place(self, label: np.ndarray, score: np.ndarray) -> np.ndarray:
        """How many classes stand before a row's own (N,); `top` where that is not scored."""
        own = score[:, : self.top] == np.asarray(label)[:, None]
        place: np.ndarray = np.where(own.any(axis=1), own.argmax(axis=1), self.top)
        return place

    def _logloss(self, label: np.ndarray, score: np.ndarray) -> np.ndarray:
        """−log of the probability of a row's class, in nats (N,) float64; it is kept at eps or above."""
        given = score[:, self.top :].astype(np.float64)
        rest = (1.0 - given.sum(axis=1)) / (self.task.class_count - self.top)
        place = self._place(label, score)[:, None]
        own = np.take_along_axis(np.column_stack([given, rest]), place, axis=1)[:, 0]
        loss: np.ndarray = -np.log(np.maximum(own, CLIP))
        return loss
