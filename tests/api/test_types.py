"""The types of `import dlcli`, checked on users' scripts."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.project.pages import find_blocks

ROOT = Path(__file__).parents[2]
SCRIPT = """\
from collections.abc import Mapping, Sequence
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


class Curves(dlcli.Tracker):
    def begin(self, run: dlcli.TrackedRun) -> dlcli.events.TrackingEvent:
        return dlcli.events.TrackingEvent(tracker=self.name, place=str(run.folder))

    def log_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        print(epoch, values["loss"])

    def end(self, outcome: str, files: Sequence[Path]) -> None:
        print(outcome, *files)


config = {"data": {"target": "price"}, "hidden": [{"units": 8}], "epochs": 5}
columns = {"price": [1.0, 2.0], "size": [3.0, 4.0]}
house = dlcli.train(config, columns, overrides={"epochs": 3}, progress=show, trackers=Curves())
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


def write_scripts(folder: Path) -> None:
    """Write the scripts of users, and a wrong one that shows that types are read."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = "\n".join(block.text for block in find_blocks(readme, "python"))
    wrong = 'import dlcli\n\ndlcli.open_run("a").metrics["test"]["confusion"] < 0.9\n'
    for name, text in {"script.py": SCRIPT, "readme.py": blocks, "wrong.py": wrong}.items():
        (folder / name).write_text(text)


def check(folder: Path, *command: str) -> None:
    """Run a type checker on the scripts; only the wrong one must have errors."""
    found = subprocess.run(
        [*command, "script.py", "readme.py", "wrong.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    output = found.stdout + found.stderr
    assert re.search(r"wrong\.py:3:.*error", output), output
    assert "script.py:" not in output, output
    assert "readme.py:" not in output, output


@pytest.mark.slow
def test_scripts_of_users_pass_strict_checks(tmp_path: Path) -> None:
    write_scripts(tmp_path)
    options = ("--strict", "--no-error-summary", "--config-file=", f"--cache-dir={tmp_path}/cache")
    check(tmp_path, sys.executable, "-m", "mypy", *options)


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("basedpyright"), reason="basedpyright is not installed")
def test_scripts_of_users_pass_pyright(tmp_path: Path) -> None:
    write_scripts(tmp_path)
    # `strict` would refuse the types of pyarrow, which has none.
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    check(tmp_path, sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable)
