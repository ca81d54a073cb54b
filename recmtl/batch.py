"""The messages between the parts: Layout, Batch, Embedded, Output. They hold, they do not act."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from recmtl.errors import RecmtlError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """One look-up: a feature, the width of its embedding, and where its values begin in the table."""

    name: str
    width: int
    first: int  # first row of its vocabulary in the fused table of that width
    size: int  # rows of its vocabulary, reserved rows included


@dataclass(frozen=True)
class Layout:
    """How encoded rows are laid out: what the model needs to know of the encoder.

    `rows` has one column a slot, in this order; `lists` are ragged; `dense` maps a feature to its
    number of columns; `tables` maps an embedding width to the rows of its fused table.
    """

    slots: tuple[Slot, ...]
    lists: tuple[Slot, ...]
    dense: Mapping[str, int]
    tables: Mapping[int, int]
    labels: tuple[str, ...]

    @property
    def widths(self) -> dict[str, int]:
        """Each feature that is looked up → the width of its embedding."""
        return {slot.name: slot.width for slot in (*self.slots, *self.lists)}

    def numbers(self, feature: str) -> slice:
        """A feature's columns of `Batch.dense`. Raises RecmtlError where it has none."""
        begin = 0
        for name, width in self.dense.items():
            if name == feature:
                return slice(begin, begin + width)
            begin += width
        raise RecmtlError(f"no feature {feature!r} of numbers", fix=nearest(feature, self.dense))

    def to_json(self) -> dict[str, object]:
        return {
            "slots": [vars(s) for s in self.slots],
            "lists": [vars(s) for s in self.lists],
            "dense": dict(self.dense),
            "tables": {str(w): n for w, n in self.tables.items()},
            "labels": list(self.labels),
        }

    @classmethod
    def from_json(cls, value: dict[str, object]) -> "Layout":
        content: dict[str, list[dict[str, object]]] = value  # type: ignore[assignment]
        return cls(
            slots=tuple(Slot(**s) for s in content["slots"]),  # type: ignore[arg-type]
            lists=tuple(Slot(**s) for s in content["lists"]),  # type: ignore[arg-type]
            dense=dict(value["dense"]),  # type: ignore[call-overload]
            tables={int(w): n for w, n in dict(value["tables"]).items()},  # type: ignore[call-overload]
            labels=tuple(value["labels"]),  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Ragged:
    """Lists of different lengths: row i holds values[offsets[i]:offsets[i + 1]]; others are none's."""

    values: "Tensor"  # (V,)
    offsets: "Tensor"  # (B + 1,)


@dataclass(frozen=True)
class Batch:
    """B impressions, encoded. A null label is NaN: read it through a task, which masks it."""

    rows: "Tensor"  # (B, S) integer rows of the fused tables
    dense: "Tensor"  # (B, D) float32
    lists: Mapping[str, Ragged]
    labels: Mapping[str, "Tensor"]  # (B,) float32 each
    weight: "Tensor"  # (B,) float32
    origin: "Tensor"  # (B, 2) source file and row in it
    whole: int | None = None  # rows of the batch that this is one process's part of
    turn: int = 0  # whose it is, where tasks take turns
    together: "Tensor | None" = None  # (B,) int64: rows of one user or request have one number, in a row

    def __len__(self) -> int:
        return self.rows.shape[0]

    @property
    def size(self) -> int:
        """Rows that a loss is the mean over: those of all processes together."""
        return len(self) if self.whole is None else self.whole

    def to(self, device: "torch.device") -> "Batch":
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        return self._each(lambda tensor: tensor.pin_memory())

    def with_room(self, factor: float) -> "Batch":
        """A copy with room for so many times the values in each list; they end where offsets say so."""
        copy = self._each(lambda tensor: tensor.clone())
        lists = {}
        for name, ragged in copy.lists.items():
            values = ragged.values.new_zeros(int(len(ragged.values) * factor) + 1)
            values[: len(ragged.values)] = ragged.values
            lists[name] = Ragged(values, ragged.offsets)
        return replace(copy, lists=lists)

    def fits_into(self, other: "Batch") -> bool:
        """Whether the other has as many rows, and room for the values in each list."""
        return len(self) == len(other) and all(
            len(ragged.values) <= len(other.lists[name].values) for name, ragged in self.lists.items()
        )

    def tensors(self) -> Iterator["Tensor"]:
        """Every tensor, in an order that is the same for batches of one layout."""
        yield from (self.rows, self.dense, self.weight, self.origin, *self.labels.values())
        if self.together is not None:
            yield self.together
        for ragged in self.lists.values():
            yield from (ragged.values, ragged.offsets)

    def _each(self, change: Callable[["Tensor"], "Tensor"]) -> "Batch":
        return replace(
            self,
            rows=change(self.rows), dense=change(self.dense), weight=change(self.weight),
            origin=change(self.origin),
            labels={name: change(label) for name, label in self.labels.items()},
            lists={n: Ragged(change(r.values), change(r.offsets)) for n, r in self.lists.items()},
            together=None if self.together is None else change(self.together),
        )


@dataclass(frozen=True)
class Columns:
    """What the columns of a view hold: each feature's slice of them, side by side from 0."""

    slices: Mapping[str, slice]

    @property
    def width(self) -> int:
        return max((s.stop for s in self.slices.values()), default=0)

    def beside(self, name: str, width: int) -> "Columns":
        """These columns and `width` more after them. Raises RecmtlError where a feature has the name."""
        if name in self.slices:
            raise RecmtlError("columns of a model have this name", where=f"[features] {name!r}",
                              fix="give the feature another name, and say `column`")
        return Columns({**self.slices, name: slice(self.width, self.width + width)})

    def of(self, features: Iterable[str]) -> list[int]:
        """The columns of some features, in their order. Raises RecmtlError for one that is not there."""
        places: list[int] = []
        for name in features:
            if name not in self.slices:
                raise RecmtlError(f"no feature {name!r} in a view", fix=nearest(name, self.slices))
            places += range(self.slices[name].start, self.slices[name].stop)
        return places


@dataclass(frozen=True)
class Embedded:
    """A batch after the look-up: one tensor a task, the same one where tables are shared.

    `shared` is the view of the tables that all tasks share, None where each task has its own alone.
    """

    views: Mapping[str, "Tensor"]  # task → (B, W)
    shared: "Tensor | None" = None  # (B, W)

    @property
    def distinct(self) -> tuple["Tensor", ...]:
        """Every view once."""
        views = (*self.views.values(), *([] if self.shared is None else [self.shared]))
        return tuple({id(view): view for view in views}.values())


@dataclass(frozen=True)
class Gate:
    """How much of a view comes from each of K experts, row by row."""

    weights: "Tensor"  # (B, K), rows sum to 1
    experts: tuple[str, ...]  # the name of each: the same name is the same expert in every gate


@dataclass(frozen=True)
class Shared:
    """What a sharing gives: one view a task; gates, and named scalars for the loss, where it has them."""

    views: Mapping[str, "Tensor"]  # task → (B, H)
    gates: Mapping[str, Gate] = field(default_factory=dict)  # task, or what else has one, → its gate
    penalties: Mapping[str, "Tensor"] = field(default_factory=dict)


@dataclass(frozen=True)
class Factored:
    """A raw output (B, K) that nobody has computed, in its two factors: hidden · tableᵀ.

    Its columns are too many for all at once: a loss reads some, a head some after the other. `rows` gives
    those of the table by number, (N,) → (N, W), with a gradient to these alone.
    """

    hidden: "Tensor"  # (B, W)
    table: "Tensor"  # (K, W)
    rows: Callable[["Tensor"], "Tensor"]

    @property
    def dtype(self) -> "torch.dtype":
        return self.hidden.dtype

    @property
    def device(self) -> "torch.device":
        return self.hidden.device

    def to(self, dtype: "torch.dtype") -> "Factored":
        return replace(self, hidden=self.hidden.to(dtype))


Raw = Any  # of a task: a tensor (B,) or (B, C), or Factored; its head knows which


@dataclass(frozen=True)
class Related:
    """What a relation gives: the tasks' raw outputs, weights of rows in a task's loss, named scalars."""

    raw: Mapping[str, Raw]
    weights: Mapping[str, "Tensor"] = field(default_factory=dict)  # task → (B,), without gradient
    penalties: Mapping[str, "Tensor"] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What a model gives for a batch.

    `raw` is what a task's head makes its score of. `weights` say how much a row counts for in a task's
    loss, in place of 1 / the share of train rows that the task lives on; `penalties` are named scalars
    added to the loss; `embedded` has each view that the sharing read.
    """

    raw: Mapping[str, Raw]
    gates: Mapping[str, Gate]
    weights: Mapping[str, "Tensor"]  # task → (B,)
    penalties: Mapping[str, "Tensor"]
    embedded: tuple["Tensor", ...] = ()  # (B, W) each
