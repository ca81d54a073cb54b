"""The loops of a training step that torch makes in several passes over memory, each in one.

On CPU, in fp32 and bf16, they run in C++ (`loops.cpp`), compiled at first use where there is a compiler,
and so do whole networks in fp32 where torch's products leave half of a processor unused (`products.cpp`);
on a GPU in Triton (`gpu.py`), which torch for CUDA brings along; elsewhere, in torch's own operators. All
give the same up to the order of sums.
"""

from recmtl.kernels.dense import clipped_product, masked, mix, side_by_side, unmix
from recmtl.kernels.library import engine
from recmtl.kernels.products import Layer, chain_gradients, chain_values, ours
from recmtl.kernels.table import Reads, adagrad, adds_up, look_up, merge, owners

__all__ = [
    "Layer", "Reads", "adagrad", "adds_up", "chain_gradients", "chain_values", "clipped_product",
    "engine", "look_up", "masked", "merge", "mix", "ours", "owners", "side_by_side", "unmix",
]
