"""A numeric feature's scale, fitted on train in SQL; then numbers in, scaled numbers out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import log10
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from sqlglot import exp

from recmtl.data import native
from recmtl.data.database import Database
from recmtl.data.encoding.counter import add_up
from recmtl.data.query import column, statement
from recmtl.schema import Count, Numeric, Rate

KNOTS = 1001
DIGITS = 10  # of a moment: the last of all change with the order in which threads add up
_EDGE = 1e-7  # as scikit-learn's QuantileTransformer: a normal has no value at 0 and 1


@dataclass(frozen=True)
class Scale:
    """`transform` of the schema's Numeric with what it was fitted to.

    `known` counts the finite values on train; without any the feature is 0 everywhere.
    """

    transform: str
    known: int
    mean: float = 0.0
    deviation: float = 1.0
    knots: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls, db: Database, name: str, transform: str, rows: str = "train"
    ) -> "Scale":
        """Read the column `name` of the view `rows` once, in bounded memory."""
        if transform == "quantile":
            return _fit_quantiles(db, name)
        file = "statistics_log_moments" if transform == "log1p" else "statistics_moments"
        query = statement(file, column_=column(name), train=exp.to_table(rows))
        return cls.of(transform, *db.execute(query).fetchall()[0])

    @classmethod
    def of(
        cls, transform: str, mean: float, deviation: float, known: int, least: float, most: float
    ) -> "Scale":
        """Of the moments of transformed numbers: mean, deviation, how many, and their ends."""
        if transform == "none" or not known:
            return cls(transform, known)
        if least == most:  # a constant would be divided by 0: it becomes 0 and stays so
            return cls(transform, known, least)
        lost = max(round(log10(abs(mean) / deviation)), 0) if mean else 0  # of squares that nearly cancel
        return cls(transform, known, _kept(mean, DIGITS), _kept(deviation, max(DIGITS - lost, 3)))

    def apply(self, numbers: pa.Array) -> np.ndarray:
        """(B,) float64 → (B, 2) float32: scaled value, and 1 where it is null, NaN or infinite."""
        values = numbers.to_numpy(zero_copy_only=False)
        missing = ~np.isfinite(values)
        scaled = _TRANSFORMS[self.transform](np.where(missing, 0.0, values), self)
        value = np.where(missing | (self.known == 0), 0.0, scaled)
        return np.stack([value, missing], axis=1).astype(np.float32)

    @property
    def is_linear(self) -> bool:
        """Whether it is (x − mean) / deviation and no more."""
        return self.known > 0 and self.transform in ("standardise", "none")

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, object]) -> "Scale":
        knots: list[float] = value["knots"]  # type: ignore[assignment]
        return cls(**{**value, "knots": tuple(knots)})  # type: ignore[arg-type]


class Moments:
    """Mean, population deviation, number and ends of finite numbers that come block by block."""

    def __init__(self) -> None:
        self._known, self._mean, self._squares = 0, np.longdouble(0), 0.0
        self._ends = (np.inf, -np.inf)

    def add(self, numbers: pa.Array, wanted: np.ndarray) -> None:
        """Add (B,) float64 numbers, those `wanted`, (B,) bool, that are finite; C++ adds them up."""
        new = add_up(numbers, wanted)
        if not (count := int(new["known"])):
            return
        # What a sum of floats loses is taken along in SQL, too: means are to agree in all digits kept.
        mean, known = np.longdouble(new["sum"]) / count, self._known + count
        apart = mean - self._mean
        # Chan, Golub and LeVeque, The American Statistician 37(3), 1983, equation 1.5
        self._squares += float(new["squares"]) + float(apart**2) * self._known * count / known
        self._mean, self._known = self._mean + apart * count / known, known
        self._ends = min(self._ends[0], float(new["least"])), max(self._ends[1], float(new["most"]))

    def scale(self, transform: str) -> Scale:
        """The scale of numbers that were transformed before."""
        deviation = float(np.sqrt(self._squares / max(self._known, 1)))
        return Scale.of(transform, float(self._mean), deviation, self._known, *self._ends)


def transformed(numbers: pa.Array, transform: str) -> pa.Array:
    """(B,) float64 numbers as their moments are to be taken."""
    if transform != "log1p":
        return numbers
    return pa.array(_signed_log(numbers.to_numpy(zero_copy_only=False)))


def _signed_log(x: np.ndarray) -> np.ndarray:
    logs: np.ndarray = np.sign(x) * np.log1p(np.abs(x))
    return logs


class Scaled(NamedTuple):
    """Numbers, (B,) float64, and the columns of a matrix that they and their missing indicator fill."""

    scale: Scale
    numbers: pa.Array
    into: int
    flag: int  # −1 for none


def fill(columns: Sequence[Scaled], out: np.ndarray) -> None:
    """Fill columns of `out`, (B, D) float32: the linear ones in one pass where C++ is compiled."""
    linear = []
    for scale, numbers, into, flag in columns:
        if scale.is_linear and native.compiled():
            linear.append(native.Number(numbers, scale.mean, scale.deviation, into, flag))
            continue
        scaled = scale.apply(numbers)
        out[:, into] = scaled[:, 0]
        if flag >= 0:
            out[:, flag] = scaled[:, 1]
    if linear:
        native.scale(linear, out)


def _kept(moment: float, digits: int) -> float:
    return float(f"{moment:.{digits}g}")


def scales_of(name: str, feature: Numeric | Rate | Count) -> list[tuple[str, str, str]]:
    """The numbers that a feature scales: the column, the name of its scale, and the transform."""
    if isinstance(feature, Numeric):
        return [(feature.column or name, name, feature.transform)]
    if isinstance(feature, Count):
        return [(name, name, "log1p")]
    rate, rows = feature.inputs(name)
    return [(rate, name, "standardise"), (rows, rows, "log1p")]


def _fit_quantiles(db: Database, name: str) -> Scale:
    """Evenly spaced exact quantiles, interpolated between order statistics."""
    moments = statement("statistics_moments", column_=column(name))
    known = db.execute(moments).fetchall()[0][2]
    if not known:
        return Scale("quantile", 0)
    place = np.linspace(0.0, known - 1.0, min(KNOTS, known))
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, known - 1)
    wanted = np.unique(np.concatenate([below, above]))
    found = _order_statistics(db, statement("statistics_sorted", column_=column(name)), wanted)
    low, high = (found[np.searchsorted(wanted, index)] for index in (below, above))
    knots = np.maximum.accumulate(low + (place - below) * (high - low))
    return Scale("quantile", known, knots=tuple(knots.tolist()))


def _order_statistics(db: Database, query: str, wanted: np.ndarray) -> np.ndarray:
    """The values at the places `wanted` of a sorted stream."""
    pieces, start = [], 0
    for batch in db.sql(query).to_arrow_reader(1 << 20):
        first, last = np.searchsorted(wanted, [start, start + batch.num_rows])
        pieces.append(batch.column(0).to_numpy()[wanted[first:last] - start])
        start += batch.num_rows
    return np.concatenate(pieces)


def _standardise(x: np.ndarray, scale: Scale) -> np.ndarray:
    return (x - scale.mean) / scale.deviation


def _log1p(x: np.ndarray, scale: Scale) -> np.ndarray:
    return _standardise(_signed_log(x), scale)


def _quantile(x: np.ndarray, scale: Scale) -> np.ndarray:
    """Rank among the knots, ties in the middle of their ranks, then the normal's inverse."""
    from scipy.special import ndtri

    if not scale.knots:
        return x
    knots = np.array(scale.knots)
    ranks = np.linspace(0.0, 1.0, len(knots))
    rising = np.interp(x, knots, ranks)
    falling = -np.interp(-x, -knots[::-1], -ranks[::-1])
    normal: np.ndarray = ndtri(np.clip((rising + falling) / 2, _EDGE, 1 - _EDGE))
    return normal


_TRANSFORMS: dict[str, Callable[[np.ndarray, Scale], np.ndarray]] = {
    "standardise": _standardise,
    "log1p": _log1p,
    "quantile": _quantile,
    "none": lambda x, scale: x,
}
