"""A part of a model as a box of its drawing: what it is called, its shape, and its parameters."""

import re
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from recmtl.page import Block
from recmtl.page.blocks import Role


def box(
    title: str, part: nn.Module, reads: Iterable[Block], told: Iterable[Block] = (),
    role: Role = "network",
) -> Block:
    """A part with its layers: the widths of its linear layers from the first input to the last output."""
    sizes = widths(part)
    lines = (*([shape(sizes)] if sizes else []), parameters(part.parameters()))
    return Block(title, lines, tuple(reads), tuple(told), role, columns=sizes[-1] if sizes else 0)


def stack(owner: str, count: int, lines: Sequence[str], each: int, columns: int) -> Block:
    """`count` experts of one shape with `each` so many parameters, which read nothing yet."""
    title = f"{count} expert{'s' if count > 1 else ''}{owner and f' of {owner}'}"
    said = f"{each:,} parameters{' each' if count > 1 else ''}"
    return Block(title, (*lines, said), copies=count, columns=columns)


def widths(part: nn.Module) -> list[int]:
    """The columns before, between and after the linear layers of a part that stand one on the other."""
    layers = [layer for layer in part.modules() if isinstance(layer, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)] if layers else []


def shape(sizes: Sequence[int]) -> str:
    return " → ".join(f"{size:,}" for size in sizes)


def parameters(weights: Iterable[Tensor]) -> str:
    return f"{sum(weight.numel() for weight in weights):,} parameters"


def spoken(part: nn.Module) -> str:
    """A part's class in words: MultiGateExperts is multi gate experts."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", type(part).__name__).lower()


def distinct(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Each once: views of tasks may be one and the same."""
    return tuple(dict.fromkeys(blocks))
