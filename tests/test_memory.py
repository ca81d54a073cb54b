"""Freed memory stays with the process until it is given back."""

import platform
import subprocess
import sys

import pytest

HELD = """
import torch
from pathlib import Path
from recmtl.memory import give_freed_memory_back, keep_freed_memory

def held():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) // 1024

keep_freed_memory()
blocks = [torch.ones(size << 18) for size in [16, 64] * 9]  # so many MB each, 720 in all
full = held()
del blocks
kept = held()
give_freed_memory_back()
given = held()
block = torch.ones(800 << 18)  # larger than any hole that they left
then = held()
del block
print(full - kept, full - given, then - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this machine has no glibc")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    lost, given, then = map(int, said.stdout.split())
    assert lost < 16
    assert given > 700
    assert then > 780  # whoever comes after the last step gives large blocks back at once
