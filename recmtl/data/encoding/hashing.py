"""Values in, rows of a fixed number of buckets out: for ids without end, no vocabulary is kept.

The hash is defined here to the bit, so that a saved model reads the same rows on every machine.
"""

from hashlib import blake2b

import numpy as np
import pyarrow as pa

from recmtl.data.vocabulary import NULL, RESERVED


class Buckets:
    """`count` rows after the reserved ones; equal values share a row, different ones may."""

    index = None  # rows are computed, not looked up

    def __init__(self, count: int) -> None:
        self.count = count

    @property
    def size(self) -> int:
        return RESERVED + self.count

    def rows(self, values: pa.Array) -> np.ndarray:
        """(B,) int64 rows of BIGINT or VARCHAR values; null reads the null row."""
        rows = RESERVED + (hashes(values) % np.uint64(self.count)).astype(np.int64)
        if values.null_count:
            rows[values.is_null().to_numpy(zero_copy_only=False)] = NULL
        return rows

    def rare(self, at_most: int) -> np.ndarray:
        """No row is rare: a bucket has no count. (size,) bool."""
        return np.zeros(self.size, dtype=bool)


def hashes(values: pa.Array) -> np.ndarray:
    """A number of each BIGINT or VARCHAR value: uint64 (B,); that of a null means nothing."""
    if pa.types.is_integer(values.type):
        return mix(values.fill_null(0).to_numpy(zero_copy_only=False))
    coded = values.dictionary_encode()  # as it is where it is encoded already
    unique = _digests(coded.dictionary)
    codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return unique[codes] if len(unique) else np.zeros(len(values), dtype=np.uint64)


def mix(ids: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser of 64-bit integers: uint64 (B,). Steele, Lea and Flood, OOPSLA 2014."""
    x = ids.astype(np.int64 if ids.dtype.kind == "i" else np.uint64).view(np.uint64)
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _digests(words: pa.Array) -> np.ndarray:
    """BLAKE2b of the UTF-8 bytes: uint64 (B,)."""
    found = (
        int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
        for word in words.to_pylist()
    )
    return np.fromiter(found, dtype=np.uint64, count=len(words))
