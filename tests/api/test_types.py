"""The types of `import dlcli`, checked on a user's script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
import dlcli

run = dlcli.train("iris.yaml", "data/iris.csv")
if run.metrics["test"]["accuracy"] < 0.9:
    print(round(run.metrics["test"]["accuracy"], 2))
for row in run.metrics["test"]["confusion"]:
    print(sum(row))
print(run.metrics["test"]["by_label"]["spam"]["auc"] + run.baselines["linear"]["test"]["r2"])
print(dlcli.cross_validate("iris.yaml").metrics["r2"] > 0.5)
rows = dlcli.load("runs/iris").encode({"a": [1.0]})
print(rows.shape[1] + len(run.model.inputs))
"""


@pytest.mark.slow
def test_a_script_with_metrics_passes_strict_checks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    wrong = tmp_path / "wrong.py"
    wrong.write_text('import dlcli\n\ndlcli.open_run("a").metrics["test"]["confusion"] < 0.9\n')
    options = ("--strict", "--no-error-summary", "--config-file=", f"--cache-dir={tmp_path}/cache")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *options, script.name, wrong.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "script.py" not in found.stdout, found.stdout + found.stderr
    assert "wrong.py:3: error" in found.stdout  # the types of the package were read
