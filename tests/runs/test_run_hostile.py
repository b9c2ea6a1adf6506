"""Runs that a stranger has made to do harm, given to every verb: nothing outside is opened or run.

Python tells an audit hook of whatever it opens, starts or unpickles
(https://docs.python.org/3/library/audit_events.html), in a process of its own, as hooks stay.
"""

from __future__ import annotations

import io
import json
import marshal
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest

import dlcli
from dlcli.runs.environment import fingerprint
from dlcli.runs.manifest import Manifest
from tests.catalogue.hand_made import make_run

CONFIG = """\
data: {train: points.csv, target: y}
hidden: []
epochs: 1
"""
WATCHED = """
import json, os, signal, sys

NEVER = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn",
         "pickle.find_class", "socket.connect", "os.symlink", "os.link", "shutil.unpack_archive")
opened, done = [], []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path, _, flags = arguments
        is_link_refused = isinstance(flags, int) and flags & os.O_NOFOLLOW
        resolve = os.path.abspath if is_link_refused else os.path.realpath
        opened.append(os.fsdecode(resolve(path)))
    elif event in NEVER:
        done.append(event)

from click.testing import CliRunner
from dlcli.cli.program import main

sys.addaudithook(watch)
for line in sys.stdin:
    folder, arguments = json.loads(line)
    os.chdir(folder)
    opened.clear(), done.clear()
    signal.alarm(60)  # ends what would wait for ever
    result = CliRunner().invoke(main, arguments)
    error = result.exception
    crash = repr(error) if error and not isinstance(error, SystemExit) else ""
    end = [result.exit_code, result.stderr, crash, sorted(set(opened)), sorted(set(done))]
    print(json.dumps(end), flush=True)
"""
"""A process that takes a command line each line, and answers how it ended and what it opened."""
OWN = [
    os.path.realpath(each) for each in (sys.prefix, sys.base_prefix, Path(dlcli.__file__).parent)
]
"""Where Python, the libraries and dlcli lie."""
SYSTEM = ("/proc/", "/sys/", "/etc/", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom")
"""What they look up there, such as the processor and the time zone."""

VERBS = {
    "predict": ["predict", "runs/points", "new.csv"],
    "evaluate": ["evaluate", "runs/points", "points.csv"],
    "validate, initial weights": ["validate", "next.yaml"],
    "train, initial weights": ["train", "next.yaml"],
    "train, resume": ["train", "--resume", "runs/points"],
    "train, in the place of a config": ["train", "runs/points"],
    "train, output": ["train", "next.yaml", "--output", "runs/points"],
    "validate": ["validate", "runs/points"],
    "inspect": ["inspect", "runs/points"],
    "init": ["init", "runs/points", "--target", "y"],
}
READING = ["predict", "evaluate", "validate, initial weights", "train, initial weights"]
"""The verbs that read what was trained."""
ALWAYS = {
    "train, resume": 5,  # it is finished, or damaged
    "train, in the place of a config": 2,
    "train, output": 2,
    "inspect": 2,
    "init": 2,
}


class Payload:
    """What makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


def forge(run: Path, name: str, content: bytes) -> None:
    """Exchanges a file, and makes the manifest agree."""
    (run / name).write_bytes(content)
    seal(run)


def seal(run: Path) -> None:
    (run / "manifest.json").write_bytes(Manifest.describe(run, "train").to_json())


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def arrays(run: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(run / "weights.npz") as file:
        return {name: file.read(name) for name in file.namelist()}


def pickled(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def a_lambda_layer(run: Path) -> None:
    """A model whose loading would run code, if it were loaded."""
    code = marshal.dumps(compile("import os; os.mkdir('ran')", "lambda", "exec")).hex()
    layer = {"class_name": "Lambda", "config": {"function": {"code": code}}}
    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    forge(run, "model.keras", archive({"config.json": json.dumps(config).encode()}))


def external_links(run: Path) -> None:
    """A model whose weights lie in a file outside."""
    with h5py.File("linked.h5", "w") as file:
        file["layers"] = h5py.ExternalLink(str(Path("outside/secret").absolute()), "/")
    content = Path("linked.h5").read_bytes()
    forge(run, "model.keras", archive({"config.json": b"{}", "model.weights.h5": content}))


def zip_slip(run: Path) -> None:
    members = {**arrays(run), "../../../outside/made.npy": b"", "/outside/made.npy": b""}
    forge(run, "weights.npz", archive(members))


def zip_slip_for_an_array(run: Path) -> None:
    members = {f"../{name}": content for name, content in arrays(run).items()}
    forge(run, "weights.npz", archive(members))


def pickled_arrays(run: Path) -> None:
    array = np.array([[Payload()]], dtype=object)
    forge(run, "weights.npz", archive(dict.fromkeys(arrays(run), pickled(array))))


def pickled_weights(run: Path) -> None:
    forge(run, "weights.npz", pickle.dumps(Payload()))


def weights_that_unpack_to_much(run: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in arrays(run).items():
            file.writestr(name, content.ljust(10**7, b"\0"))
    forge(run, "weights.npz", stream.getvalue())


def alias_bomb(run: Path) -> None:
    lists = "".join(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]\n" for at in range(1, 10))
    forge(run, "resolved.yaml", f"a0: &a0 [x]\n{lists}".encode())


def yaml_tag(run: Path) -> None:
    config = (run / "resolved.yaml").read_text()
    forge(run, "resolved.yaml", f"{config}metrics: !!python/object/apply:os.mkdir [ran]\n".encode())


def deep_yaml(run: Path) -> None:
    forge(run, "resolved.yaml", b"[" * 100_000)


def large_network(run: Path) -> None:
    config = (run / "resolved.yaml").read_text()
    hidden = "hidden: [{units: 1000000}, {units: 1000000}]"
    assert "hidden: []" in config
    forge(run, "resolved.yaml", config.replace("hidden: []", hidden).encode())


def deep_json(run: Path) -> None:
    forge(run, "encoding.json", b"[" * 100_000)


def pickled_encoding(run: Path) -> None:
    forge(run, "encoding.json", pickle.dumps(Payload()))


def deep_manifest(run: Path) -> None:
    (run / "manifest.json").write_bytes(b"[" * 100_000)


def rename_in_manifest(run: Path, name: str) -> None:
    content = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(content.replace('"weights.npz"', json.dumps(name)))


def name_that_leads_up(run: Path) -> None:
    rename_in_manifest(run, "../../outside/secret")


def name_from_the_root(run: Path) -> None:
    rename_in_manifest(run, str(Path("outside/secret").absolute()))


def linked(name: str) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        shutil.move(run / name, f"outside/{name}")
        (run / name).symlink_to(Path(f"outside/{name}").absolute())

    spoil.__name__ = f"{name.partition('.')[0]}_linked"
    return spoil


def piped(name: str) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    spoil.__name__ = f"{name.partition('.')[0]}_piped"
    return spoil


def sparse(name: str) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        os.truncate(run / name, 2**40)  # a tebibyte that takes no room

    spoil.__name__ = f"{name.partition('.')[0]}_sparse"
    return spoil


NAMES = ("manifest.json", "resolved.yaml", "encoding.json", "weights.npz")
HOSTILE: dict[Callable[[Path], None], tuple[int, int]] = {
    a_lambda_layer: (0, 0),
    external_links: (0, 0),
    zip_slip: (5, 0),
    zip_slip_for_an_array: (5, 0),
    pickled_arrays: (5, 0),
    pickled_weights: (5, 0),
    weights_that_unpack_to_much: (5, 0),
    alias_bomb: (5, 0),
    yaml_tag: (5, 0),
    deep_yaml: (5, 0),
    large_network: (5, 0),
    deep_json: (5, 0),
    pickled_encoding: (5, 0),
    deep_manifest: (5, 5),
    name_that_leads_up: (5, 5),
    name_from_the_root: (5, 5),
    **{linked(name): (5, 5) for name in NAMES},
    **{piped(name): (5, 5) for name in NAMES},
    **{sparse(name): (5, 5) for name in NAMES},
}
"""How verbs end that read what was trained, and how `validate RUN` does. That compares each file
with the manifest, which a forger can make to match; it does not look into them."""


class End(NamedTuple):
    """How a verb has ended."""

    code: int
    stderr: str
    crash: str
    """An exception that reached the outside."""
    opened: list[str]
    done: list[str]
    """What was done of that which never may be."""

    def outside(self, folder: Path) -> list[str]:
        """What was opened that is neither the user's, in the folder, nor the program's own."""
        own = (*OWN, *SYSTEM, *(str(each) for each in folder.iterdir() if each.name != "outside"))
        return [path for path in self.opened if not path.startswith(own)]


@pytest.fixture(scope="module")
def watched() -> Iterator[Callable[[list[str]], End]]:
    """Calls verbs in a process that is watched."""
    here = {"PYTHONPATH": str(Path(dlcli.__file__).parents[1])}
    command = [sys.executable, "-c", WATCHED]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **here}
    ) as process:

        def call(arguments: list[str]) -> End:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([os.getcwd(), arguments]) + "\n")
            process.stdin.flush()
            return End(*json.loads(process.stdout.readline()))

        yield call
        process.kill()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good run, a config that starts from it, and a secret."""
    monkeypatch.chdir(tmp_path)
    Path("points.csv").write_text("x,y\n" + "".join(f"{at / 2},{at / 4}\n" for at in range(20)))
    Path("new.csv").write_text("x\n3\n")
    Path("next.yaml").write_text(f"{CONFIG}initial_weights: runs/points\n")
    Path("outside").mkdir()
    Path("outside/secret").write_text("secret")
    return make_run(CONFIG, "points")


def assert_harmless(end: End, folder: Path) -> None:
    assert end.crash == ""
    assert "Traceback" not in end.stderr
    assert "secret" not in end.stderr.replace("outside/secret", "")
    assert end.outside(folder) == []
    assert end.done == []
    assert not (folder / "ran").exists()
    assert not (folder / "outside" / "made.npy").exists()
    assert len([line for line in end.stderr.splitlines() if line.startswith("error: ")]) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_a_hostile_run_does_no_harm(
    spoil: Callable[[Path], None],
    run: Path,
    watched: Callable[[list[str]], End],
    tmp_path: Path,
) -> None:
    spoil(run)
    reading, validating = HOSTILE[spoil]
    codes = {**dict.fromkeys(READING, reading), **ALWAYS, "validate": validating}
    if reading == 0:
        del codes["train, initial weights"]  # it would train
    ends = {verb: watched(VERBS[verb]) for verb in codes}
    for end in ends.values():
        assert_harmless(end, tmp_path)
    assert {verb: end.code for verb, end in ends.items()} == codes


def test_commands_that_predict_never_open_the_keras_model(
    run: Path, watched: Callable[[list[str]], End], tmp_path: Path
) -> None:
    a_lambda_layer(run)
    end = watched(VERBS["predict"])
    assert end.code == 0
    opened = {Path(path).name for path in end.opened if path.startswith(str(tmp_path / "runs"))}
    assert opened == {"manifest.json", "resolved.yaml", "encoding.json", "weights.npz"}


@pytest.mark.slow
def test_opened_files_and_executed_code_are_detected(
    run: Path, watched: Callable[[list[str]], End], tmp_path: Path
) -> None:
    """The watch itself: a table that lies outside, and a link to it."""
    shutil.move("new.csv", "outside/new.yaml")
    Path("linked.yaml").symlink_to("outside/new.yaml")
    for name in ("outside/new.yaml", "linked.yaml"):
        end = watched(["validate", name])
        assert end.outside(tmp_path) == [str((tmp_path / "outside/new.yaml").resolve())]


def bare(content: bytes, name: str = "resolved.yaml") -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        (run / name).write_bytes(content)

    spoil.__name__ = f"{name.partition('.')[0]}_that_is_{content[:20].decode()}"
    return spoil


BEGUN = ("config.yaml", "resolved.yaml", "environment.json", "lock")
UNFINISHED = [
    *map(linked, BEGUN),
    *map(piped, BEGUN),
    *map(sparse, BEGUN[1:3]),
    bare(b"a: &a [x]\nb: &b [*a, *a]\nc: *c\n"),
    bare(f"{CONFIG}metrics: !!python/object/apply:os.mkdir [ran]\n".encode()),
    bare(b"[" * 100_000),
    bare(b"[" * 100_000, "environment.json"),
    bare(pickle.dumps(Payload(), 0), "environment.json"),
]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", UNFINISHED, ids=lambda spoil: spoil.__name__)
def test_a_hostile_unfinished_run_does_no_harm(
    spoil: Callable[[Path], None],
    run: Path,
    watched: Callable[[list[str]], End],
    tmp_path: Path,
) -> None:
    (run / "manifest.json").unlink()
    (run / "environment.json").write_text(json.dumps({"data": [fingerprint(Path("points.csv"))]}))
    (run / "lock").write_text("1\n")
    spoil(run)
    for verb in ("train, resume", "predict", "validate"):
        end = watched(VERBS[verb])
        assert_harmless(end, tmp_path)
        assert end.code == 5, (verb, end.stderr)
    end = watched(VERBS["train, output"])
    assert_harmless(end, tmp_path)
    assert end.code == 2
