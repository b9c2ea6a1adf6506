"""Types of columns that are not declared, as training infers them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config import load_config
from dlcli.errors import DataError
from dlcli.pipeline import Events, prepare

CONFIG = "data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepares training on a column `x` beside another, and gives what was told."""
    monkeypatch.chdir(tmp_path)

    def run(values):
        rows = "".join(f"{value},{at / 7},{at / 3}\n" for at, value in enumerate(values))
        Path("t.csv").write_text(f"x,z,y\n{rows}")
        Path("t.yaml").write_text(CONFIG)
        told = []
        events = Events(lambda event, fields: told.append((event, fields)))
        try:
            prepare(load_config(Path("t.yaml")), events)
        except DataError as error:
            told.append(("error", {"message": str(error)}))
        return [fields["message"] for event, fields in told if event in ("warning", "error")]

    return run


def test_a_column_ignored_for_its_unit_is_a_warning(prepared):
    assert prepared([f"{number} kg" for number in range(20)]) == [
        "t.csv: ignored, since as categories they would not be amounts: "
        "'x' (numbers with a unit, as '0 kg'; write the numbers alone)"
    ]


def test_words_among_numbers_end_training_with_the_row_and_the_way_out(prepared):
    warning, error = prepared([*(3 * at for at in range(19)), "NA"])
    assert warning.startswith("t.csv: read as numbers, so training will refuse the other values; ")
    assert error == (
        "t.csv: row 20, column 'x': expected a finite number, got 'NA'; "
        'if it means a missing value, set data.missing: ["NA"]'
    )
