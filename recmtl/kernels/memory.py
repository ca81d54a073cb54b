"""Memory that a step frees stays with the process, as the next needs the same again, until the last."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # glibc's mallopt(3)
KEPT = 1 << 29  # bytes of the heap's end
LARGEST, MAPPED = 1 << 25, 1 << 16  # bytes of a block that is not mapped by itself; blocks that may be


def keep_freed_memory() -> None:
    """Tell glibc so; elsewhere nothing happens.

    It would give a batch's activations back to the system after each step, which clears each page of
    them before it hands them out again: a sixth of the time of a step in fp32, and two fifths where they
    are larger than what it would keep by any threshold, as those of 65,536 rows. So none are mapped.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, KEPT)


def give_freed_memory_back() -> None:
    """After the last step: what comes next needs its own, and large blocks of it are mapped again."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(MMAP_MAX, MAPPED)
        libc.malloc_trim(0)
