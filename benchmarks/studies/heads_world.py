"""A log of one question a row: eight with classes of their own, unlike in number, share and kinship.

A seed in, the log of a world out; every probability follows from the row's user and item.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recmtl.folder import write_folder
from recmtl.seed import numpy_generator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Question(NamedTuple):
    """How many classes it has, the share of rows that ask it, and its correlation with what all share."""

    classes: int
    share: float
    kinship: float


QUESTIONS: Mapping[str, Question] = {
    "a": Question(2, 0.40, 0.9), "b": Question(5, 0.20, 0.9), "c": Question(20, 0.14, 0.5),
    "d": Question(3, 0.10, 0.9), "e": Question(10, 0.07, 0.0), "f": Question(4, 0.05, 0.9),
    "g": Question(15, 0.02, 0.9), "h": Question(2, 0.02, 0.0),
}
USERS, ITEMS = 300, 150
TASTES, FACTORS = 6, 8  # numbers that a user or item is, and that a question reads of a pair
SHARPNESS = 2.0  # standard deviation of logits over classes, about


@dataclass(frozen=True)
class World:
    """P(class | user, item) = softmax(V (ρ f₀ + √(1 − ρ²) f₁)), f = tanh(M [u; v; u ⊙ v]).

    u and v are standard normal, ρ is the question's kinship; f₀ is the same for all questions, f₁ of an M
    of its own. `users` (USERS, TASTES), `items` (ITEMS, TASTES), M (FACTORS, 3 TASTES), V (classes,
    FACTORS).
    """

    users: Floats
    items: Floats
    shared: Floats
    own: Mapping[str, Floats]
    classes: Mapping[str, Floats]

    @classmethod
    def make(cls, seed: int) -> "World":
        rng = numpy_generator(seed, "heads world")

        def normal(*shape: int, spread: float = 1.0) -> Floats:
            return spread * rng.standard_normal(shape)

        def mixing() -> Floats:
            return normal(FACTORS, 3 * TASTES, spread=(3 * TASTES) ** -0.5)

        return cls(
            normal(USERS, TASTES), normal(ITEMS, TASTES), mixing(),
            {name: mixing() for name in QUESTIONS},
            {name: normal(question.classes, FACTORS, spread=2 * SHARPNESS * FACTORS**-0.5)
             for name, question in QUESTIONS.items()},
        )

    def probabilities(self, name: str, user: Ints, item: Ints) -> Floats:
        """Of each class of a question, (N, classes), for pairs (N,) of a user's and an item's number."""
        u, v = self.users[user], self.items[item]
        read, kinship = np.concatenate([u, v, u * v], axis=1), QUESTIONS[name].kinship
        shared, own = (np.tanh(read @ mixing.T) for mixing in (self.shared, self.own[name]))
        logits = (kinship * shared + (1 - kinship**2) ** 0.5 * own) @ self.classes[name].T
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def write_log(folder: Path, rows: int, seed: int) -> Path:
    """The file of a log: `row`, `user`, `item`, and a column a question, null but for the row's own."""
    world, rng = World.make(seed), numpy_generator(seed, "heads log")
    user, item = rng.integers(0, USERS, rows), rng.integers(0, ITEMS, rows)
    asked = rng.choice(len(QUESTIONS), rows, p=[question.share for question in QUESTIONS.values()])
    drawn = rng.random((rows, 1))
    columns = {"row": pa.array(np.arange(rows)), "user": pa.array(user), "item": pa.array(item)}
    for number, name in enumerate(QUESTIONS):
        below = world.probabilities(name, user, item).cumsum(axis=1)[:, :-1]
        columns[name] = pa.array((drawn > below).sum(axis=1), mask=asked != number)
    with write_folder(folder, {"rows": rows, "seed": seed}) as made:
        pq.write_table(pa.table(columns), made / "log.parquet")
    return folder.absolute() / "log.parquet"
