"""Watch time by its quantile among items that last about as long: a logit of it in, the time out."""

from typing import TYPE_CHECKING, Any

import numpy as np

from recmtl.batch import Batch, Layout
from recmtl.heads.head import Numbers, Start
from recmtl.heads.watch_time import WatchTime
from recmtl.schema.losses import D2Q

if TYPE_CHECKING:
    from recmtl.heads.duration_groups import DurationGroups


class WatchQuantile(WatchTime):
    """Raw output: a logit z (N,); its score is F⁻¹(σ(z)), F the distribution of times in a row's group.

    Groups are of train rows, by the task's `duration`. What z is held to is F(w), of a watch time w.

    Reference: Zhan et al., Deconfounding Duration Bias in Watch-time Prediction, KDD 2022.
    """

    def keep(self, layout: Layout) -> "DurationGroups":
        from recmtl.heads.duration_groups import DurationGroups

        assert isinstance(self.loss, D2Q) and self.task.duration is not None
        return DurationGroups(layout.numbers(self.task.duration), self.loss.groups)

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The median of each group."""
        return Start()

    def target(self, label: Any, batch: Batch | None = None) -> Any:
        assert self.kept is not None and batch is not None
        return self.kept(batch).quantile(label)

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        assert self.kept is not None and batch is not None
        return self.kept(batch).time(raw.sigmoid())

    def steady(self, score: np.ndarray) -> np.ndarray:
        """As a part of the longest time: between two quantiles that lie far apart F⁻¹ is steep."""
        assert self.kept is not None
        return score / self.kept.knots.max().item()
