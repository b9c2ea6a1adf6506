"""Hundreds of single changed bytes of a run: each is found, with exit code 5."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlcli.cli.program import main
from dlcli.errors import RunError
from dlcli.runs.manifest import Manifest, RunFile
from dlcli.runs.run_folder import open_run
from tests.catalogue.hand_made import make_run

CONFIG = """\
data: {train: points.csv, target: y}
input: {features: {x: numeric, colour: categorical}}
hidden: []
epochs: 1
"""
FLIPS = int(os.environ.get("DLCLI_FLIPS", "300"))
READ = {"manifest.json", "resolved.yaml", "encoding.json", "weights.npz"}
"""What is read to predict, to score and to start from; `dlcli validate RUN` reads all files, and
`dlcli train --resume RUN` of a finished run the manifest alone."""
BLANKS = b" \t\r\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every file that there may be; those that nothing here looks into hold anything."""
    folder = tmp_path_factory.mktemp("flips")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [f"{at / 2},{['red', 'blue'][at % 2]},{at / 4}\n" for at in range(20)]
        Path("points.csv").write_text("x,colour,y\n" + "".join(rows))
        Path("new.csv").write_text("x,colour,y\n3,red,2\n")
        made = folder / make_run(CONFIG, "points")
    draw = random.Random(1)
    for name in set(RunFile) - {path.name for path in made.iterdir()}:
        (made / name).write_bytes(draw.randbytes(2000))
    (made / "manifest.json").write_bytes(Manifest.describe(made, "train").to_json())
    return made


def flips(run: Path) -> list[tuple[Path, int, int]]:
    """A file, a place in it and a change each, every file as often as another."""
    draw = random.Random(5)
    files = sorted(run.iterdir())
    assert {path.name for path in files} == {*RunFile, "manifest.json"}
    chosen = [draw.choice(files) for _ in range(FLIPS)]
    return [(path, draw.randrange(path.stat().st_size), draw.randint(1, 255)) for path in chosen]


@contextmanager
def flipped(path: Path, place: int, change: int) -> Iterator[None]:
    """A file with one byte of it changed."""
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
    try:
        yield
    finally:
        path.write_bytes(content)


def end_of(*arguments: object) -> tuple[int, int]:
    """A verb's exit code, and how many lines of error it gives."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stderr.count("error: ")


def test_an_unchanged_run_is_valid(run: Path) -> None:
    assert end_of("validate", run) == (0, 0)
    assert end_of("predict", run, run.parents[1] / "new.csv") == (0, 0)


@pytest.mark.slow
def test_validate_finds_each_flipped_byte(run: Path) -> None:
    for path, place, change in flips(run):
        with flipped(path, place, change), pytest.raises(RunError) as caught:
            open_run(run).verify()
        assert str(caught.value).startswith(f"{path}: "), (place, change)
        assert caught.value.exit_code == 5


@pytest.mark.slow
def test_commands_find_each_flipped_byte_in_files_that_they_read(run: Path) -> None:
    table, config = run.parents[1] / "new.csv", run.parents[1] / "next.yaml"
    config.write_text(f"{CONFIG}initial_weights: runs/points\n")
    verbs = [["predict", run, table], ["evaluate", run, table], ["validate", config]]
    read = [flip for flip in flips(run) if flip[0].name in READ]
    for path, place, change in read[:20]:
        with flipped(path, place, change):
            ends = [end_of(*verb) for verb in [*verbs, ["validate", run]]]
        assert ends == [(5, 1)] * 4, (path.name, place, change)


def test_commands_ignore_damage_of_other_files(run: Path) -> None:
    for path in sorted(run.iterdir()):
        with flipped(path, 10, 1):
            if path.name in READ:
                with pytest.raises(RunError, match=path.name):
                    open_run(run).predictor
            else:
                open_run(run).predictor


def test_a_changed_space_in_the_manifest_is_found(run: Path) -> None:
    path = run / "manifest.json"
    content = path.read_bytes()
    blanks = [place for place, byte in enumerate(content) if byte in BLANKS]
    for place in blanks[::9]:
        for other in set(BLANKS) - {content[place]}:
            with (
                flipped(path, place, content[place] ^ other),
                pytest.raises(RunError, match="does not have the whitespace that dlcli writes"),
            ):
                open_run(run)
