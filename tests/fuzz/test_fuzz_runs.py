"""Run folders changed by a stranger: a page, a comparison and a diagnosis, or an explained error.

10 runs by default. For more: `DLCLI_FUZZ=1000 pytest tests/fuzz/test_fuzz_runs.py`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from mangled_run import FILES, mangle

from dlcli.cli.program import main
from dlcli.config.config_file import load_config
from dlcli.pipeline.train_run import train

# Keras's own `Model.save` asks NumPy for a copy in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RUNS = int(os.environ.get("DLCLI_FUZZ", "10"))
CONFIG = """\
data: {train: t.csv, target: kind, sample_weight: w, validation: 0.2, test: 0.2}
hidden: [{units: 3, activation: relu}]
epochs: 3
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    kinds = ("ash", "box", "elm")
    rows = [f"{at % 7},{kinds[at % 3]}{at % 2},{kinds[at % 3]},{1 + at % 4}\n" for at in range(90)]
    (folder / "t.csv").write_text("x,colour,kind,w\n" + "".join(rows))
    (folder / "t.yaml").write_text(CONFIG)
    return train(load_config(folder / "t.yaml"), folder / "good").path


def ends(good: Path, mangled: Path) -> dict[str, object]:
    """How each verb that looks at runs ends: its exit code, or what went wrong."""
    calls = (
        ("report", str(mangled)),
        ("diagnose", str(mangled)),
        ("compare", str(good), str(mangled)),
    )
    found: dict[str, object] = {}
    for call in calls:
        result = CliRunner().invoke(main, call)
        error = result.exception
        is_crash = error is not None and not isinstance(error, SystemExit)
        found[call[0]] = repr(error) if is_crash else result.exit_code
    return found


@pytest.mark.slow
def test_the_run_is_valid_before_it_is_mangled(good: Path) -> None:
    assert all((good / name).is_file() for name in FILES)
    assert ends(good, shutil.copytree(good, good.with_name("same"))) == {
        "report": 0,
        "diagnose": 0,
        "compare": 0,
    }


@pytest.mark.slow
def test_mangled_runs_end_in_a_result_or_an_explained_error(good: Path) -> None:
    failures, codes = [], []
    for seed in range(RUNS):
        mangled = good.with_name(f"mangled-{seed}")
        shutil.copytree(good, mangled)
        changed = mangle(mangled, seed)
        found = ends(good, mangled)
        failures += [(seed, changed, found)] if set(found.values()) - {0, 5} else []
        codes += found.values()
        shutil.rmtree(mangled)

    assert failures == []
    assert codes.count(0) > RUNS
    assert codes.count(5) > RUNS / 4
