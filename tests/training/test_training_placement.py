"""Rows on their way to the device: without a copy of all of them in between."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs, SelectedInputs
from dlcli.training import compiled_program


def test_some_of_the_rows_of_a_matrix_are_not_copied():
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    some = EncodedRows(InMemoryInputs(matrix), np.zeros(4)).select(np.array([3, 1])).inputs
    assert isinstance(some, SelectedInputs)
    assert some.stored.dense is matrix
    assert some.is_resident
    assert some.take(np.arange(2)).tolist() == [[9, 10, 11], [3, 4, 5]]


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 100])
def test_rows_are_placed_in_parts_of_any_size_and_padded_with_zeros(rows_at_once, monkeypatch):
    monkeypatch.setattr(compiled_program, "CHUNK_BYTES", rows_at_once * 3 * 4)
    matrix = np.arange(15, dtype=np.float32).reshape(5, 3)
    some = EncodedRows(InMemoryInputs(matrix), np.zeros(5)).select(np.array([4, 0, 2, 1, 3])).inputs
    placed = compiled_program.place(some, 7)
    assert isinstance(placed, tf.Tensor)
    assert placed.numpy().tolist() == [*matrix[[4, 0, 2, 1, 3]].tolist(), [0, 0, 0], [0, 0, 0]]
