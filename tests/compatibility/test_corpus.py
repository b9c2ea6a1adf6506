"""What released versions wrote is read: configs, runs, exports and the checkpoint of a training.

`write.py` explains the corpus.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pyarrow import parquet

import dlcli
from dlcli.cli.program import main

CORPUS = Path(__file__).parent / "corpus"
VERSIONS = sorted(each.name for each in CORPUS.iterdir())
each_version = pytest.mark.parametrize("version", VERSIONS)


def all_of(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(CORPUS)) for path in CORPUS.glob(f"*/{pattern}"))


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the corpus, which commands may write to; the folder of the first version."""
    copy = shutil.copytree(CORPUS, tmp_path / "corpus")
    monkeypatch.chdir(copy)
    return copy


def test_there_is_a_corpus() -> None:
    assert dlcli.__version__ in VERSIONS


@pytest.mark.parametrize("config", all_of("*.yaml"))
def test_configs_are_valid(config: str) -> None:
    result = CliRunner().invoke(main, ["validate", str(CORPUS / config)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("stored", all_of("*.parquet"))
def test_runs_predict_the_same(stored: str) -> None:
    """Another processor may round differently."""
    path = CORPUS / stored
    expected = parquet.read_table(path)
    predicted = dlcli.load(path.parent / "runs" / path.stem).predict(path.parent / "new.csv")
    found = predicted.to_arrow()
    assert found.column_names == expected.column_names
    for name in found.column_names:
        values, others = found[name].to_numpy(), expected[name].to_numpy()
        if np.issubdtype(others.dtype, np.floating):
            np.testing.assert_allclose(values, others, rtol=1e-5, atol=1e-7)
        else:
            assert values.tolist() == others.tolist()


@pytest.mark.slow
@each_version
def test_runs_are_evaluated_compared_and_reported(version: str, copied: Path) -> None:
    folder = copied / version
    for stored in sorted(folder.glob("*.parquet")):
        path = str(folder / "runs" / stored.stem)
        for command in ("evaluate", "report", "diagnose"):
            table = [str(folder / "table.csv")] if command == "evaluate" else []
            result = CliRunner().invoke(main, [command, path, *table])
            assert result.exit_code == 0, (command, path, result.output)
    for name in ("validated", "searched"):
        result = CliRunner().invoke(main, ["report", str(folder / "runs" / name)])
        assert result.exit_code == 0, result.output
    assert dlcli.compare(folder / "runs" / "regression", folder / "runs" / "quantiles")


@pytest.mark.slow
@pytest.mark.parametrize("export", all_of("exports/*"))
def test_exports_give_their_stored_predictions(export: str, copied: Path) -> None:
    result = CliRunner().invoke(main, ["validate", str(copied / export)])
    assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*the weights may differ:dlcli.DataWarning")
@each_version
def test_an_interrupted_training_is_resumed(version: str, copied: Path) -> None:
    run = dlcli.resume(copied / version / "runs" / "interrupted", progress=False)
    assert isinstance(run, dlcli.TrainingRun)
    assert len(run.history["loss"]) == 12
