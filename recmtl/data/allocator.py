"""Which allocator Arrow takes buffers from, where a whole log is decoded."""

import os

import pyarrow as pa

_CHOICE = "ARROW_DEFAULT_MEMORY_POOL"  # Arrow's own variable


def use_jemalloc() -> None:
    """Take it where Arrow has it and nobody chose: it gives freed blocks back, and is no slower.

    Arrow's usual one, mimalloc, holds more the longer a log is.
    """
    if not os.environ.get(_CHOICE) and "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
