"""Which samples a batch holds is a function of (seed, number)."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.training.order import BatchOrder, Share, generator

shapes = st.lists(st.sampled_from([(64, 64), (64, 128), (128, 64)]), min_size=1, max_size=40)


@given(shapes, st.integers(1, 7), st.integers(0, 3))
def test_an_epoch_holds_every_sample_once_in_batches_of_one_shape(shapes, batch, seed):
    order = BatchOrder(shapes, batch, seed)
    for epoch in (0, 1):
        seen = Counter()
        for place in range(order.batches_per_epoch):
            found, indices = order[epoch * order.batches_per_epoch + place]
            assert found == epoch
            assert 1 <= len(indices) <= batch
            assert len({shapes[i] for i in indices}) == 1
            seen.update(indices)
        assert seen == Counter(range(len(shapes)))


def test_a_batch_does_not_depend_on_what_was_asked_before():
    forwards = BatchOrder([0] * 23, 4, seed=5)
    backwards = BatchOrder([0] * 23, 4, seed=5)
    numbers = range(3 * forwards.batches_per_epoch)
    assert [forwards[n] for n in numbers] == [backwards[n] for n in reversed(numbers)][::-1]


def test_an_order_reaches_the_reading_processes_of_any_system():
    """Where they are not forked it is pickled."""
    order = BatchOrder([0] * 23, 4, seed=5)
    expected = order[3]
    assert pickle.loads(pickle.dumps(order))[3] == expected


def test_epochs_and_seeds_differ():
    order, other = BatchOrder([0] * 50, 10, seed=0), BatchOrder([0] * 50, 10, seed=1)
    assert order[0][1] != order[5][1]
    assert order[0][1] != other[0][1]


def test_generator_is_the_same_everywhere():
    # Philox keyed by SHA-256: these numbers are part of what makes a run repeatable on another machine.
    assert generator(0, "sample", 1, 2).integers(0, 1000, 4).tolist() == [952, 649, 729, 435]
    assert not np.array_equal(generator(0, "a").random(4), generator(0, "b").random(4))


@given(st.lists(st.integers(0, 99), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 3))
def test_the_shares_of_all_processes_are_the_batch(batch, processes, passes):
    parts = [
        Share(process, processes, passes).of(batch, which)
        for process in range(processes)
        for which in range(passes)
    ]
    assert sorted(index for own, weight in parts for index in own if weight) == sorted(batch)
    assert sum(weight for _, weight in parts) == pytest.approx(1.0)
    assert all(own for own, _ in parts)  # a process with nothing to add still goes through the net
