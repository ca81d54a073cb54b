"""The one door for randomness: a seed and the names of what it is for give an own stream."""

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def stream(seed: int, *names: object) -> int:
    """A 63-bit seed for one purpose, e.g. `stream(7, "loader", epoch)`; independent by name."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def numpy_generator(seed: int, *names: object) -> np.random.Generator:
    """NumPy's generator for one purpose."""
    return np.random.default_rng(stream(seed, *names))


def seed_everything(seed: int, *names: object) -> None:
    """Seed the global generators, which torch's initialisation and dropout read."""
    import torch

    value = stream(seed, *names)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)


@contextmanager
def sums_in_order(wanted: bool) -> Iterator[None]:
    """Where `wanted`, a GPU takes every sum in an order that is the same in each run, which is slower."""
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
