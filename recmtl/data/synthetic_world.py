"""The planted truth of the synthetic log: a seed goes in, rows and their exact probabilities come out.

Every probability is a function of columns that the log shows, so a model can reach the oracle.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from recmtl.seed import numpy_generator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEGMENTS, TASTES, CATEGORIES, DEVICES, BANDS, TAGS = 6, 3, 8, 4, 2, 12
TAGS_PER_ITEM = 2
CLICK_RATE, CONVERSION_RATE = 0.35, 0.33
MISSING = 0.1  # share of rows without a discount, and of users without an age

# The difficulty, fixed once: standard deviations on the logit scale (docs/synthetic.md).
STRENGTH = {"segment_category": 1.3, "taste_category": 0.15, "device_band": 0.4, "segment_tag": 0.25}
RANK = 2  # of an interaction
MAIN = 0.2  # main effects of an interaction's sides, in units of its strength
SHARED, OWN = 0.9, 0.9  # the conversion's interactions: a part of the click's, and its own
DEAL = 0.9  # price × discount: raises clicks, lowers conversions
LINEAR = 0.15  # users' and items' own appeal


@dataclass(frozen=True)
class Users:
    """One entry a user, (U,)."""

    id: Ints
    segment: Ints
    taste: Ints  # shown by the user's id and clicks alone
    age: Floats  # standard normal, NaN where unknown
    appeal: Floats  # additive effect on the click logit
    intent: Floats  # additive effect on the conversion logit
    share: Floats  # of the impressions


@dataclass(frozen=True)
class Items:
    """One entry an item, (I,); tags (I, TAGS_PER_ITEM)."""

    id: NDArray[np.object_]
    category: Ints
    tags: Ints
    price: Floats  # standard normal: the logarithm of the price
    appeal: Floats
    intent: Floats
    share: Floats


@dataclass(frozen=True)
class Rows:
    """Impressions as indices and numbers, (N,) each."""

    user: Ints
    item: Ints
    device: Ints
    hour: Ints
    discount: Floats  # standard normal, NaN where missing


@dataclass(frozen=True)
class Effects:
    """Interactions on a logit, and the part of them that a linear model finds as well."""

    segment_category: Floats
    taste_category: Floats
    device_band: Floats
    segment_tag: Floats

    def of(self, users: Users, items: Items, rows: Rows) -> Floats:
        """(N,)"""
        segment, category = users.segment[rows.user], items.category[rows.item]
        tags = items.tags[rows.item]  # (N, TAGS_PER_ITEM)
        total: Floats = (
            self.segment_category[segment, category]
            + self.taste_category[users.taste[rows.user], category]
            + self.device_band[rows.device, rows.hour * BANDS // 24]
            + self.segment_tag[segment[:, None], tags].mean(axis=1)
        )
        return total


@dataclass(frozen=True)
class World:
    """Everything that a seed fixes before the first row is drawn."""

    users: Users
    items: Items
    click: Effects
    conversion: Effects
    offset: tuple[float, float] = (0.0, 0.0)
    tie: float = 0.0  # part of the whole click logit in the conversion's

    @classmethod
    def make(cls, seed: int, users: int, items: int, bias: float | None = None) -> "World":
        """The world of a seed, its offsets set so that the base rates hold.

        `bias` is how much the conversion's logit rises, in regression, with a standard deviation of
        the click's: of 0, clicks say nothing of conversions, on average. None leaves what the parts give.
        """
        rng = numpy_generator(seed, "synthetic world")
        click, own = _effects(rng), _effects(rng)
        conversion = Effects(**{
            f.name: SHARED * getattr(click, f.name) + OWN * getattr(own, f.name)
            for f in fields(Effects)
        })
        people = _users(rng, users)
        raw = cls(people, _items(rng, items), click, conversion)
        sample = raw.draw(rng, rng.random(50_000))
        clicks, conversions = raw._logits(sample)
        tie = 0.0 if bias is None else (bias - _slope(conversions, clicks)) / float(clicks.std())
        conversions += tie * clicks
        first = _offset(clicks, np.ones(len(clicks)), CLICK_RATE)
        second = _offset(conversions, _sigmoid(clicks + first), CONVERSION_RATE)
        return cls(people, raw.items, click, conversion, (first, second), tie)

    def draw(self, rng: np.random.Generator, clock: Floats) -> Rows:
        """Impressions at the given times of day, each in [0, 1)."""
        n = len(clock)
        discount = rng.standard_normal(n)
        discount[rng.random(n) < MISSING] = np.nan
        return Rows(
            user=rng.choice(len(self.users.id), n, p=self.users.share),
            item=rng.choice(len(self.items.id), n, p=self.items.share),
            device=rng.choice(DEVICES, n, p=[0.4, 0.3, 0.2, 0.1]),
            hour=(clock * 24).astype(np.int64),
            discount=discount,
        )

    def probabilities(self, rows: Rows) -> tuple[Floats, Floats]:
        """P(click) and P(conversion | click), (N,) each; the latter for unclicked rows too."""
        clicks, conversions = self._logits(rows)
        return _sigmoid(clicks + self.offset[0]), _sigmoid(conversions + self.offset[1])

    def _logits(self, rows: Rows) -> tuple[Floats, Floats]:
        users, items = self.users, self.items
        price = items.price[rows.item]
        deal = np.tanh(2.0 * np.nan_to_num(rows.discount) * price)
        age = np.nan_to_num(users.age[rows.user])
        click = users.appeal[rows.user] + items.appeal[rows.item] + DEAL * deal + 0.2 * age
        conversion = users.intent[rows.user] + items.intent[rows.item] - DEAL * deal - 0.2 * price
        clicks = click + self.click.of(users, items, rows)
        return clicks, conversion + self.conversion.of(users, items, rows) + self.tie * clicks


def _effects(rng: np.random.Generator) -> Effects:
    shapes = {
        "segment_category": (SEGMENTS, CATEGORIES), "taste_category": (TASTES, CATEGORIES),
        "device_band": (DEVICES, BANDS), "segment_tag": (SEGMENTS, TAGS),
    }
    return Effects(**{
        name: _interaction(rng, shape, STRENGTH[name]) for name, shape in shapes.items()
    })


def _interaction(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Floats:
    """A doubly centred matrix of rank RANK with the given standard deviation, and main effects."""
    matrix = rng.standard_normal((shape[0], RANK)) @ rng.standard_normal((RANK, shape[1]))
    matrix = matrix - matrix.mean(0) - matrix.mean(1, keepdims=True) + matrix.mean()
    main = rng.standard_normal((shape[0], 1)) + rng.standard_normal(shape[1])
    scaled: Floats = scale * (matrix / matrix.std() + MAIN * main)
    return scaled


def _users(rng: np.random.Generator, count: int) -> Users:
    age = rng.standard_normal(count)
    age[rng.random(count) < MISSING] = np.nan
    appeal = rng.standard_normal(count)
    return Users(
        id=rng.integers(2**55, 2**62, count),  # ids that a float cannot hold
        segment=rng.integers(0, SEGMENTS, count),
        taste=rng.integers(0, TASTES, count),
        age=age,
        appeal=LINEAR * appeal,
        intent=LINEAR * (0.6 * appeal + 0.8 * rng.standard_normal(count)),
        share=_popularity(rng, count),
    )


def _items(rng: np.random.Generator, count: int) -> Items:
    appeal = rng.standard_normal(count)
    names = np.array([f"item-{number:06d}" for number in range(count)], dtype=object)
    return Items(
        id=names,
        category=rng.integers(0, CATEGORIES, count),
        tags=rng.random((count, TAGS)).argsort(axis=1)[:, :TAGS_PER_ITEM],
        price=rng.standard_normal(count),
        appeal=LINEAR * appeal,
        intent=LINEAR * (0.6 * appeal + 0.8 * rng.standard_normal(count)),
        share=_popularity(rng, count),
    )


def _popularity(rng: np.random.Generator, count: int) -> Floats:
    weight = (np.arange(count) + 10.0) ** -0.5
    shares: Floats = rng.permutation(weight / weight.sum())
    return shares


def _sigmoid(logit: Floats) -> Floats:
    probability: Floats = 1.0 / (1.0 + np.exp(-logit))
    return probability


def _slope(y: Floats, x: Floats) -> float:
    """How much y rises, in regression, with a standard deviation of x."""
    return float(np.cov(x, y, bias=True)[0, 1] / x.std())


def _offset(logit: Floats, weight: Floats, rate: float) -> float:
    """What to add to the logits so that their weighted mean probability is `rate`, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = np.average(_sigmoid(logit + middle), weights=weight)
        low, high = (middle, high) if mean < rate else (low, middle)
    return (low + high) / 2
