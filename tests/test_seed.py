"""Streams of random numbers: repeatable, and independent by name."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from recmtl.seed import numpy_generator, seed_everything, stream


@given(st.integers(), st.lists(st.text(max_size=5), max_size=3))
def test_a_stream_is_63_bits_and_repeats(seed: int, names: list[str]) -> None:
    assert 0 <= stream(seed, *names) < 2**63
    assert stream(seed, *names) == stream(seed, *names)


def test_streams_differ_by_seed_and_by_every_name() -> None:
    streams = [
        stream(1), stream(2), stream(1, "a"), stream(1, "b"), stream(1, "a", 0), stream(1, "a", 1),
        stream(1, "a0"), stream(11), stream(1, 1),
    ]
    assert len(set(streams)) == len(streams)


def test_generators_repeat_and_do_not_touch_the_global_ones() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = numpy_generator(3, "x").random(5)
    assert np.array_equal(first, numpy_generator(3, "x").random(5))
    assert not np.array_equal(first, numpy_generator(3, "y").random(5))
    assert np.array_equal(before, np.random.get_state()[1])


def test_seeding_everything_repeats_what_torch_and_numpy_draw() -> None:
    draws = []
    for _ in range(2):
        seed_everything(5, "model")
        draws.append((torch.rand(3), np.random.rand(3)))
    assert torch.equal(draws[0][0], draws[1][0])
    assert np.array_equal(draws[0][1], draws[1][1])
