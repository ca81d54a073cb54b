"""Memory that is free within the process: kept for the next step, as it needs the same, or given back."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # glibc's mallopt(3)
NEVER = -1
# Afterwards: free bytes at the heap's end that stay; of a block that is not mapped; blocks that may be.
KEPT, LARGEST, MAPPED = 1 << 29, 1 << 25, 1 << 16


def keep_freed_memory() -> None:
    """Tell glibc so; elsewhere nothing happens.

    It would give a batch's activations back to the system after each step, which clears each page of
    them before it hands them out again: a sixth of the time of a step in fp32, and two fifths where they
    are larger than what it would keep by any threshold, as those of 65,536 rows. So none of the main
    thread's are mapped, and its heap is never cut: glibc would cut all that is free at the end.
    """
    _glibc("mallopt", MMAP_MAX, 0)
    _glibc("mallopt", TRIM_THRESHOLD, NEVER)


def give_freed_memory_back() -> None:
    """After the last step: what comes next needs its own, and blocks that fit no hole are mapped."""
    _glibc("mallopt", MMAP_MAX, MAPPED)
    _glibc("mallopt", MMAP_THRESHOLD, LARGEST)
    _glibc("mallopt", TRIM_THRESHOLD, KEPT)
    trim()


def trim() -> None:
    """Give back what is free now, and change nothing about what is freed later."""
    _glibc("malloc_trim", 0)


def _glibc(function: str, *arguments: int) -> None:
    """Call it, where the system has it."""
    found = getattr(ctypes.CDLL(None), function, None)
    if found is not None:
        found(*arguments)
