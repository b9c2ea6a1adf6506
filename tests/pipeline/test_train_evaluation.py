"""Stored predictions of a run: every held-out row, and training rows up to a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcli.config.config_file import load_config
from dlcli.pipeline import train_run
from dlcli.pipeline.train_run import train
from dlcli.runs.manifest import RunFile
from dlcli.splitting import draw

# Keras's own `Model.save` asks NumPy for a copy in the way of NumPy 1.
pytestmark = [
    pytest.mark.usefixtures("compiled_once"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    rows = [f"{at},{2 * at},{1 + at % 3}\n" for at in range(40)]
    (tmp_path / "t.csv").write_text("x,y,w\n" + "".join(rows))
    path = tmp_path / "t.yaml"
    path.write_text("data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n")
    return path


@pytest.mark.slow
def test_a_run_without_held_out_rows_shows_the_predictions_of_training_rows(config: Path) -> None:
    run = train(load_config(config), config.parent / "run")

    assert not run.has(RunFile.PREDICTIONS)
    sample = run.sample.table.to_pydict()
    assert list(sample) == ["row", "split", "target", "prediction"]
    assert sample["row"] == list(range(1, 41))
    assert set(sample["split"]) == {"train"}
    assert sample["target"] == [2.0 * at for at in range(40)]


@pytest.mark.slow
def test_the_weight_of_a_row_stands_beside_its_prediction(config: Path) -> None:
    settings = ["data.sample_weight=w", "data.test=0.25"]
    run = train(load_config(config, settings), config.parent / "run")

    for table in (run.predictions.table.to_pydict(), run.sample.table.to_pydict()):
        assert table["weight"] == [float(1 + (row - 1) % 3) for row in table["row"]]


@pytest.mark.slow
def test_rows_without_a_target_change_no_weight_and_no_number_of_a_row(config: Path) -> None:
    settings = ["data.sample_weight=w", "data.test=0.25"]
    whole = train(load_config(config, settings), config.parent / "whole")
    table = config.parent / "t.csv"
    header, *lines = table.read_text().splitlines()
    table.write_text("\n".join([header, "7,,-1", *lines[:9], ",,", *lines[9:]]) + "\n")
    run = train(load_config(config, settings), config.parent / "run")

    assert run.metrics == whole.metrics
    for name in ("predictions", "sample"):
        found, expected = (getattr(each, name).table.to_pydict() for each in (run, whole))
        assert found.pop("row") == [row + 1 + (row > 9) for row in expected.pop("row")]
        assert found == expected
    [warning] = (each for each in run.events() if each["event"] == "warning")
    assert warning["message"].endswith(
        "t.csv: 2 of 42 rows have no target ('y') and are skipped: row 1, row 11"
    )


def test_no_more_training_rows_are_kept_than_a_page_shows(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_run, "SAMPLE_ROWS", 5)
    run = train(load_config(config), config.parent / "run")

    sample = run.sample.table.to_pydict()
    assert len(sample["row"]) == 5
    assert sample["target"] == [2.0 * (row - 1) for row in sample["row"]]


def test_a_sample_has_rows_of_the_whole_table_in_order_and_follows_from_the_seed() -> None:
    rows = np.arange(100_000)
    places = draw(rows, 2_000, seed=1)

    assert len(places) == 2_000
    assert (np.diff(places) > 0).all()
    # Each tenth of the table has a tenth of them, give or take five standard deviations.
    assert (np.abs(np.bincount(places // 10_000, minlength=10) - 200) < 5 * 13.5).all()
    assert (places == draw(rows, 2_000, seed=1)).all()
    assert (places != draw(rows, 2_000, seed=2)).any()
