"""Which allocator Arrow takes buffers from, where a whole log is decoded."""

import os

import pyarrow as pa

_CHOICE = "ARROW_DEFAULT_MEMORY_POOL"  # Arrow's own variable


def use_jemalloc() -> None:
    """Take it in place of mimalloc, Arrow's usual one, where Arrow has it and nobody chose.

    It gives freed blocks back and is no slower; mimalloc holds more the longer a log is.
    """
    usual = pa.default_memory_pool().backend_name == "mimalloc" and not os.environ.get(_CHOICE)
    if usual and "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
