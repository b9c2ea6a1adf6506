"""What is published: the wheel and the source distribution of both packages."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from dlcli import __version__

pytestmark = pytest.mark.release

ROOT = Path(__file__).parents[2]
RUNTIME = "deploy/runtime"
NAMES = {".": "dlcli_keras", RUNTIME: "dlcli_keras_runtime"}
"""The folder of each package's pyproject.toml, with the name of its files."""


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The files of the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("the files of the repository are known to Git only")
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    return [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(
    tracked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    """The files that two checkouts build, which differ in path, permissions and dates."""
    folder = tmp_path_factory.mktemp("distributions")
    return (
        build(checkout(folder / "first", tracked, 0o755), folder / "of-first"),
        build(checkout(folder / "a/second", tracked, 0o700), folder / "of-second"),
    )


def checkout(folder: Path, names: list[str], mode: int) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=mode)
        file.write_bytes((ROOT / name).read_bytes())
        file.chmod(mode & (ROOT / name).stat().st_mode)
        os.utime(file, (mode * 1e6, mode * 1e6))
    (folder / "dlcli/__pycache__").mkdir()
    (folder / "dlcli/__pycache__/errors.cpython-311.pyc").touch()
    (folder / "scratch.csv").touch()
    return folder


def build(checkout: Path, output: Path) -> dict[str, Path]:
    for package in NAMES:
        hatchling("-t", "sdist", "-t", "wheel", "-d", str(output), folder=checkout / package)
    return {path.name: path for path in output.iterdir()}


def hatchling(*arguments: str, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_two_checkouts_build_the_same_bytes(built) -> None:
    first, second = built

    assert [*sorted(first)] == [
        f"{name}-{__version__}{end}"
        for name in NAMES.values()
        for end in ("-py3-none-any.whl", ".tar.gz")
    ]
    for name, file in first.items():
        assert file.read_bytes() == second[name].read_bytes(), name


@pytest.mark.parametrize("name", NAMES.values())
def test_a_source_distribution_builds_the_same_wheel(built, tmp_path: Path, name: str) -> None:
    files, _ = built
    with tarfile.open(files[f"{name}-{__version__}.tar.gz"]) as archive:
        archive.extractall(tmp_path, filter="data")

    hatchling("-t", "wheel", "-d", str(tmp_path), folder=tmp_path / f"{name}-{__version__}")

    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.read_bytes() == files[wheel.name].read_bytes()


def test_the_distributions_have_the_files_of_the_repository(built, tracked: list[str]) -> None:
    files, _ = built
    of_runtime = {f"{RUNTIME}/{name}" for name in ("LICENSE", "README.md", "hatch_build.py")}
    of_runtime |= {f"{RUNTIME}/pyproject.toml", ".gitignore", "docs/glossary.md"}
    package = {name for name in tracked if name.startswith("dlcli/")}
    examples = {name for name in tracked if name.startswith(("configs/", "data/"))}
    in_wheel = package | {"dlcli/glossary.md"}

    assert contents(files, "dlcli_keras", ".tar.gz") == {*tracked, "PKG-INFO"}
    assert contents(files, "dlcli_keras_runtime", ".tar.gz") == {
        *(name.removeprefix(f"{RUNTIME}/") for name in package | of_runtime),
        "PKG-INFO",
    }
    assert contents(files, "dlcli_keras", "-py3-none-any.whl") == {
        *in_wheel,
        *(f"dlcli/examples/{name}" for name in examples),
    }
    assert contents(files, "dlcli_keras_runtime", "-py3-none-any.whl") == in_wheel


def contents(files: Mapping[str, Path], name: str, end: str) -> set[str]:
    """The files of a distribution, but for the metadata of a wheel."""
    file = files[f"{name}-{__version__}{end}"]
    if end == ".tar.gz":
        with tarfile.open(file) as archive:
            return {each.removeprefix(f"{name}-{__version__}/") for each in archive.getnames()}
    with zipfile.ZipFile(file) as archive:
        return {each for each in archive.namelist() if ".dist-info/" not in each}


@pytest.mark.parametrize("name", NAMES.values())
def test_the_metadata_are_valid_and_include_the_licence(built, name: str) -> None:
    files, _ = built
    with zipfile.ZipFile(files[f"{name}-{__version__}-py3-none-any.whl"]) as archive:
        folder = f"{name}-{__version__}.dist-info"
        metadata = Metadata.from_email(archive.read(f"{folder}/METADATA"))
        licence = archive.read(f"{folder}/licenses/LICENSE")
        commands = archive.read(f"{folder}/entry_points.txt").decode()

    assert metadata.name.replace("-", "_") == name
    assert (metadata.license_expression, metadata.license_files) == ("Apache-2.0", ["LICENSE"])
    assert metadata.description_content_type == "text/markdown" and metadata.description
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert "dlcli = dlcli.__main__:run" in commands
