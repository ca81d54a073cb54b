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

def made():
    return [torch.ones(size << 18) for size in (16, 64, 16, 64, 16, 64)]  # so many MB each

keep_freed_memory()
blocks = made()
full = held()
del blocks
kept = held()
give_freed_memory_back()
given = held()
blocks = made()[1::2]
some = held()
del blocks
print(full - kept, full - given, some - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this machine has no glibc")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    lost, given, then = map(int, said.stdout.split())
    assert lost < 16
    assert given > 200
    assert then > 150  # whoever comes after the last step gives large blocks back at once
