"""Memory that a step frees stays with the process, as the next needs the same again, until the last."""

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
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, NEVER)


def give_freed_memory_back() -> None:
    """After the last step: what comes next needs its own, and blocks that fit no hole are mapped."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(MMAP_MAX, MAPPED)
        libc.mallopt(MMAP_THRESHOLD, LARGEST)
        libc.mallopt(TRIM_THRESHOLD, KEPT)
        libc.malloc_trim(0)
