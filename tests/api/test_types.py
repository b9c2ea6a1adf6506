"""The types of `import dlcli`, checked on users' scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.pages import find_blocks

ROOT = Path(__file__).parents[2]
SCRIPT = """\
from pathlib import Path

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


def show(event: dlcli.events.Event) -> None:
    if isinstance(event, dlcli.events.EpochEvent):
        print(event.epoch)


config = {"data": {"target": "price"}, "hidden": [{"units": 8}], "epochs": 5}
columns = {"price": [1.0, 2.0], "size": [3.0, 4.0]}
house = dlcli.train(config, columns, overrides={"epochs": 3}, progress=show)
losses: list[float] = house.history["loss"]
page: Path = house.report()
model = dlcli.load(house.path)
found = model.predict(columns, interval=0.9)
assert found.lower is not None and found.upper is not None
widths = found.upper - found.lower
print(float(widths.mean()), min(losses), page.name, len(found), found.to_arrow().num_rows)
scores = model.evaluate(columns)
print(scores["rmse"] / 2)
search = dlcli.tune("house.yaml", columns, overrides={"tune.trials": 4})
best: Path = search.path
for finding in dlcli.diagnose(house).findings:
    print(finding)
print(dlcli.compare(house.path, best), house.export("onnx", "export").path)
print(dlcli.inspect(columns).columns[0]["type"])
"""


def check(folder: Path, *names: str) -> str:
    """Return the output of mypy for scripts in a folder."""
    options = ("--strict", "--no-error-summary", "--config-file=", f"--cache-dir={folder}/cache")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *names],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout + found.stderr


@pytest.mark.slow
def test_scripts_of_users_pass_strict_checks(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "readme.py").write_text(
        "\n".join(block.text for block in find_blocks(readme, "python"))
    )
    wrong = 'import dlcli\n\ndlcli.open_run("a").metrics["test"]["confusion"] < 0.9\n'
    (tmp_path / "wrong.py").write_text(wrong)
    found = check(tmp_path, "script.py", "readme.py", "wrong.py")
    assert "wrong.py:3: error" in found  # the types of the package were read
    assert "script.py" not in found, found
    assert "readme.py" not in found, found
