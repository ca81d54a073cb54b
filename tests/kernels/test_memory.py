"""Freed memory stays with the process until it is given back."""

import platform
import subprocess
import sys

import pytest

HELD = """
import torch
from pathlib import Path
from recmtl.kernels import give_freed_memory_back, keep_freed_memory

def held():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) // 1024

keep_freed_memory()
blocks = [torch.ones(4 << 20) for _ in range(8)]  # of 16 MB
full = held()
del blocks
kept = held()
give_freed_memory_back()
print(full - kept, full - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this machine has no glibc")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    lost, given = map(int, said.stdout.split())
    assert lost < 16
    assert given > 100
