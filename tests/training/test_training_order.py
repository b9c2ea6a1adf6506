"""The order of rows is random, and follows from seed and epoch alone."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.encoding import encoded_rows
from dlcli.training import randomness
from dlcli.training.randomness import epoch_order


@pytest.mark.parametrize("rows", [1, 2, 13, 5000])
def test_every_row_comes_once(rows):
    assert sorted(epoch_order(rows, 1, seed=7, epoch=3)) == list(range(rows))


def test_the_order_is_a_function_of_seed_and_epoch():
    first = epoch_order(100, 1, seed=7, epoch=3)
    epoch_order(50, 1, seed=8, epoch=4)
    np.random.default_rng(0).permutation(100)
    assert (epoch_order(100, 1, seed=7, epoch=3) == first).all()


def test_the_order_of_a_seed_and_epoch_never_changes():
    # Drawn from the Philox generator apart from dlcli; another order would change every run.
    philox = np.random.Philox(key=np.array([7, 3], dtype=np.uint64))
    assert (
        epoch_order(10, 1, seed=7, epoch=3).tolist()
        == np.random.Generator(philox).permutation(10).tolist()
    )


@pytest.mark.parametrize(("seed", "epoch"), [(7, 4), (8, 3), (3, 7)])
def test_another_seed_or_epoch_gives_another_order(seed, epoch):
    assert (epoch_order(100, 1, seed=7, epoch=3) != epoch_order(100, 1, seed, epoch)).sum() > 90


def test_the_largest_seed_has_an_order():
    assert sorted(epoch_order(9, 1, seed=2**32 - 1, epoch=10**8)) == list(range(9))


def test_each_row_comes_at_each_place_equally_often():
    # 2000 permutations of 5 rows: each of the 25 counts is 400 ± 18; five deviations are 90.
    places = np.array([epoch_order(5, 1, seed=0, epoch=epoch) for epoch in range(2000)])
    counts = np.array([np.bincount(column, minlength=5) for column in places.T])
    assert np.abs(counts - 400).max() < 90


@pytest.fixture
def small_groups(monkeypatch):
    """Shuffle in two levels from 13 rows on: blocks of 3 rows, 2 blocks a group."""
    monkeypatch.setattr(encoded_rows, "BLOCK_ROWS", 3)
    monkeypatch.setattr(randomness, "GROUP", 2)
    monkeypatch.setattr(randomness, "WHOLE_GROUPS", 2)


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("rows", [13, 14, 15, 18, 100])
def test_every_row_comes_once_in_a_two_level_order(rows):
    assert sorted(epoch_order(rows, 1, seed=1, epoch=2)) == list(range(rows))


@pytest.mark.usefixtures("small_groups")
def test_the_rows_of_a_block_stay_within_their_group():
    for epoch in range(20):
        blocks = epoch_order(30, 1, seed=1, epoch=epoch) // 3
        groups = blocks.reshape(5, 6)  # ten blocks of three rows, two blocks a group
        assert [len(set(group)) for group in groups.tolist()] == [2] * 5


@pytest.mark.usefixtures("small_groups")
def test_the_blocks_and_their_rows_are_both_shuffled():
    orders = [epoch_order(30, 1, seed=1, epoch=epoch) for epoch in range(20)]
    assert len({tuple(order[:6] // 3) for order in orders}) > 10
    within = [tuple(order[order // 3 == 0]) for order in orders]
    assert set(within) == {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}


@pytest.mark.usefixtures("small_groups")
def test_a_table_up_to_the_bound_is_shuffled_as_a_whole():
    firsts = [set(epoch_order(12, 1, seed=1, epoch=epoch)[:6] // 3) for epoch in range(20)]
    assert max(len(blocks) for blocks in firsts) == 4
