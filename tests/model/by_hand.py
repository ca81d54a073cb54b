"""Parts in fp64 with random weights, numpy's words for what they compute, and a check of gradients."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from recmtl.batch import Columns, Embedded
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig

ROWS, WIDTH = 5, 6
COLUMNS = Columns({"item": slice(0, 2), "user": slice(2, 4), "age": slice(4, 6)})
Array = np.ndarray
Weights = dict[str, Array]
M = TypeVar("M", bound=nn.Module)


def built(options: SharingConfig, tasks: Sequence[str]) -> tuple[SharingModule, Weights]:
    """The sharing's module, as `drawn` gives it."""
    return drawn(options.build(COLUMNS, tasks))


def drawn(module: M) -> tuple[M, Weights]:
    """The module in fp64, every parameter drawn anew (fresh biases are 0), and those in numpy."""
    generator = torch.Generator().manual_seed(5)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.7)
    return module, {name: p.detach().numpy() for name, p in module.named_parameters()}


def embedded(tasks: Sequence[str], tables: str) -> Embedded:
    """Random views as the embedding would give them."""
    generator = torch.Generator().manual_seed(9)
    drawn = [torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64) for _ in (*tasks, "all")]
    views = {task: drawn[0] if tables == "shared" else x for task, x in zip(tasks, drawn, strict=False)}
    common = {"shared": drawn[0], "per_task": None, "both": drawn[-1]}
    return Embedded(views, common[tables])


def gradients_are_right(
    module: nn.Module, given: Embedded, outputs: Callable[[Any], list[Tensor]],
    of: Callable[[str], bool] = lambda name: True,
) -> bool:
    """gradcheck of `outputs` by every parameter and view whose name `of` accepts (a view's: its task)."""
    common = {} if given.shared is None else {"shared": given.shared}
    named = {id(x): (name, x) for name, x in {**common, **given.views}.items()}
    leaves = [x.requires_grad_(of(name)) for name, x in (*named.values(), *module.named_parameters())]
    checked = [leaf for leaf in leaves if leaf.requires_grad]
    # It changes each number of the leaves in place, so that the module and the views see it.
    return torch.autograd.gradcheck(lambda *_: tuple(outputs(module(given))), checked)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def expert(w: Weights, prefix: str, k: int, count: int, x: Array) -> Array:
    """Network k of `count`, whose first layers lie in one weight."""
    first, bias = w[f"{prefix}.weight"], w[f"{prefix}.bias"]
    rows = slice(k * len(bias) // count, (k + 1) * len(bias) // count)
    h = relu(x @ first[rows].T + bias[rows])
    return network(w, f"{prefix}.above.{k}", h)


def network(w: Weights, prefix: str, x: Array) -> Array:
    """Linear and ReLU for each layer that is there."""
    layer = 0
    while f"{prefix}.{layer}.weight" in w:
        x = relu(x @ w[f"{prefix}.{layer}.weight"].T + w[f"{prefix}.{layer}.bias"])
        layer += 1
    return x
