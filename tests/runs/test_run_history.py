"""The history as CSV: exact numbers, counted epochs, and errors for anything else."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.errors import RunError
from dlcli.runs.file_formats import dump_history, parse_history

FILE = Path("runs/iris/history.csv")

histories = st.integers(0, 4).flatmap(
    lambda epochs: st.dictionaries(
        st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
        st.lists(st.floats(), min_size=epochs, max_size=epochs),
        min_size=1,
    )
)


def bits(columns):
    return {name: np.array(values).tobytes() for name, values in columns.items()}


def test_epochs_count_from_one_before_the_columns():
    written = dump_history({"loss": [0.5, 0.25], "val_loss": [1.0, 1e-7]})
    assert written == "epoch,loss,val_loss\n1,0.5,1.0\n2,0.25,1e-07\n"


def test_a_number_of_single_precision_is_written_exactly():
    # 0.1 in float32 is 13421773 / 2**27 = 0.100000001490116119384765625.
    assert dump_history({"loss": [np.float32(0.1)]}) == "epoch,loss\n1,0.10000000149011612\n"


def test_a_run_without_epochs_has_only_the_header():
    assert dump_history({"loss": []}) == "epoch,loss\n"
    assert parse_history(b"epoch,loss\n", FILE) == {"loss": []}


def test_columns_of_different_lengths_are_rejected():
    with pytest.raises(ValueError, match="shorter"):
        dump_history({"loss": [0.5, 0.25], "val_loss": [1.0]})


@given(histories)
def test_a_history_is_read_to_the_bit(columns):
    # A NaN's sign and payload carry no meaning, and text has no place for them.
    plain = {
        name: [math.nan if math.isnan(value) else value for value in values]
        for name, values in columns.items()
    }
    assert bits(parse_history(dump_history(plain).encode(), FILE)) == bits(plain)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin with the column 'epoch'"),
        (b"\n1\n", "does not begin with the column 'epoch'"),
        (b"epoch,loss\n1,low\n", "is not a table of numbers: could not convert"),
        (b"epoch,loss\n1\n", "is not a table of numbers: zip"),
        (b"epoch,loss\n1,0.5,0.5\n", "is not a table of numbers: zip"),
        (b'epoch,loss\n1,"0.5\n', "is not a table of numbers: unexpected end"),
        (b"epoch,loss\n1,\xff\n", "is not a table of numbers: 'utf-8' codec"),
        (b"loss,epoch\n0.5,1\n", "does not begin with the column 'epoch'"),
        (b"epoch,loss\n2,0.5\n", "does not number its epochs from 1"),
        (b"epoch,loss,loss\n1,0.5,0.5\n", "has two columns with the same name"),
    ],
)
def test_anything_else_is_a_damaged_history(content, message):
    with pytest.raises(RunError, match=rf"runs/iris/history\.csv: {message}"):
        parse_history(content, FILE)
