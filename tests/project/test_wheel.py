"""What an installed wheel brings, besides the code."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem for path in (ROOT / "configs").glob("*.yaml")}
TABLES = EXAMPLES - {"steering_search"}  # it shares that of steering


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_a_wheel_brings_the_examples_types_and_licence(installed: Path) -> None:
    package = installed / "dlcli"

    assert {path.stem for path in package.glob("examples/configs/*.yaml")} == EXAMPLES
    assert {path.stem for path in package.glob("examples/data/*.csv")} == TABLES
    assert "## Dropout" in (package / "glossary.md").read_text(encoding="utf-8")
    assert (package / "py.typed").is_file()
    assert (package / "reports/templates/page.html.j2").is_file()
    assert files_of(ROOT / "dlcli") <= files_of(package)
    assert list(installed.glob("dlcli_keras-*.dist-info/licenses/LICENSE"))


@pytest.mark.slow
def test_the_wheel_without_training_has_the_same_code(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT / "deploy" / "runtime", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("dlcli_keras_runtime-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    package = tmp_path / "site" / "dlcli"
    assert files_of(ROOT / "dlcli") <= files_of(package)
    assert (package / "glossary.md").is_file()
    assert not [*package.rglob("*.pyc")]


def files_of(package: Path) -> set[Path]:
    """The files of a package, but for the bytecode."""
    files = (each for each in package.rglob("*") if each.is_file())
    return {each.relative_to(package) for each in files if each.parent.name != "__pycache__"}


@pytest.mark.slow
def test_a_wheel_without_a_checkout_has_something_to_train(installed: Path, tmp_path: Path) -> None:
    """Training itself is tested in the checkout, whose files the wheel has."""

    def dlcli(*arguments: str) -> str:
        command = [sys.executable, "-m", "dlcli", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    dlcli("init", "--example", "xor")
    result = dlcli("validate", "xor.yaml")

    assert "hidden_1  Dense tanh" in result
