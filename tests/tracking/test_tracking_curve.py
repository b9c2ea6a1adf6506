"""Which epochs of a long training are tracked."""

from __future__ import annotations

from dlcli.tracking.tracked_events import is_tracked


def on_curve(first, last):
    return [epoch for epoch in range(first, last + 1) if is_tracked(epoch)]


def test_every_epoch_of_a_short_training_is_on_the_curve():
    assert on_curve(1, 500) == list(range(1, 501))


def test_later_on_it_is_every_second_then_every_fourth():
    assert on_curve(499, 506) == [499, 500, 502, 504, 506]
    assert on_curve(997, 1010) == [998, 1000, 1004, 1008]
    assert on_curve(1999, 2020) == [2000, 2008, 2016]


def test_points_grow_with_the_logarithm_of_the_epochs():
    # 500, then 250 for each doubling up to 8,000, then (10,000 - 8,000) / 32
    assert len(on_curve(1, 10_000)) == 500 + 4 * 250 + 62
