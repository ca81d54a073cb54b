"""Arrow's allocator where a log is decoded: one that gives memory back, unless somebody chose another."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest

CODE = """
import pyarrow as pa
from recmtl.data.allocator import use_jemalloc
use_jemalloc()
print(pa.default_memory_pool().backend_name)
"""


@pytest.mark.skipif("jemalloc" not in pa.supported_memory_backends(), reason="no jemalloc in this Arrow")
@pytest.mark.parametrize(("chosen", "taken"), [("", "jemalloc"), ("system", "system")])
def test_it_is_jemalloc_unless_another_was_chosen(chosen: str, taken: str) -> None:
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": chosen}
    if not chosen:
        del environment["ARROW_DEFAULT_MEMORY_POOL"]
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [taken]
