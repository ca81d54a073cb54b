"""The made-up layout and batches, where tests look for them."""

from recmtl.suite.made_up import LAYOUT, TASKS, make_batch, permute

__all__ = ["LAYOUT", "TASKS", "make_batch", "permute"]
