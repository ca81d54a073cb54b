"""Memory that a step frees stays with the process, as the next needs the same again, until the last."""

import ctypes

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # glibc's mallopt(3)
LARGEST, KEPT = 1 << 25, 1 << 29  # bytes: of a block that is kept; of all that are


def keep_freed_memory() -> None:
    """Tell glibc so; elsewhere nothing happens.

    It would give a batch's activations back to the system after each step, which clears each page of
    them before it hands them out again: a sixth of the time of a step in fp32.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(TRIM_THRESHOLD, KEPT)


def give_freed_memory_back() -> None:
    """After the last step: what comes next needs its own."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
