"""The compact form of bins and categories, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.columns.layout import Block, Layout, Run


def block(inputs, compact=None):
    return Block("x", "numeric", ("",) * inputs, compact=compact)


def expanded(layout, *rows):
    return layout.expansion.expand(np.array(rows, np.float32)).tolist()


def test_bins_are_the_index_of_an_input_and_that_input():
    layout = Layout((block(3, "bins"), block(3, "bins")))
    assert (layout.width, layout.compact_width) == (6, 4)
    assert expanded(layout, [0, -0.5, 2, 1.5], [1, 0.25, 0, 0]) == [
        [-0.5, 0, 0, 1, 1, 1.5],
        [1, 0.25, 0, 0, 0, 0],
    ]


def test_a_category_is_the_index_of_its_input_and_none_is_the_number_of_inputs():
    assert expanded(Layout((block(3, "one_hot"),)), [0], [2], [3]) == [
        [1, 0, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


def test_forms_are_side_by_side_in_the_order_of_blocks():
    layout = Layout((block(1), block(2), block(2, "one_hot"), block(2, "bins"), block(1)))
    assert expanded(layout, [7, 8, 9, 1, 1, 0.5, 6]) == [[7, 8, 9, 0, 1, 1, 0.5, 6]]


def test_adjacent_blocks_of_one_form_and_width_are_a_run():
    layout = Layout((block(2), block(1), block(4, "bins"), block(4, "bins"), block(5, "bins")))
    expected = Run(None, 3), Run("bins", 4, 2), Run("bins", 5)
    assert layout.expansion.runs == expected


def test_inputs_without_a_compact_form_have_no_expansion():
    assert Layout((block(2), block(1))).expansion is None


@pytest.mark.parametrize("form", ["bins", "one_hot"])
def test_no_rows_expand_to_no_rows(form):
    layout = Layout((block(3, form),))
    compact = np.zeros((0, layout.compact_width), np.float32)
    assert layout.expansion.expand(compact).shape == (0, 3)
