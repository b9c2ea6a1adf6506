"""Run dlcli's commands on all tables of packages of public data sets, and check their agreement.

`python -m benchmarks.real_tables` takes each table file of the packages, by default `pydataset`,
through `inspect`, `init` and `validate`, and a random share through `train`, `evaluate` and
`predict`. It lists the refusals (exit codes 2 to 5) by reason, and fails if one of these is
violated:

- no command ends with a traceback, with exit code 1, by a signal or at the time limit;
- no column without a name in the file is a feature;
- `inspect`, `init` and `train` agree on the type of every column, except where `init` decides by a
  test that numbers are codes, ignores a part of the time by which it splits, or declares stray
  words as missing;
- a column that one command ignores is ignored by all, and `predict` doesn't need it.

Each table is tried with two targets: its last column, and another one at random from the seed.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import json
import multiprocessing
import os
import random
import re
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TextIO

import yaml
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.forked import Ended, Process, load, start_command
from benchmarks.processes import output
from dlcli.config.config_file import load_config
from dlcli.errors import DlcliError
from dlcli.pipeline.events import Event, FeaturesEvent
from dlcli.pipeline.preflight import check
from dlcli.tables.table_formats import file_format

PACKAGE = "pydataset"
"""The package whose tables are read by default."""
LARGEST_BYTES = 20_000_000
"""Larger files are skipped."""
REFUSED = (2, 3, 4, 5)
"""Exit codes of expected errors: config, data, training, run folder."""
ALL_INFERRED = 'input.features={"*": auto}'
"""A setting with which the type of every column is inferred from the training rows."""
INFERRED = "train (types inferred)"
"""Name of the types that training infers with that setting."""
EXAMPLES = 3
"""Examples shown of each kind of violation."""

_FIND = (
    "import importlib.util as u, sys; s = u.find_spec(sys.argv[1]); "
    "print(s.submodule_search_locations[0] if s else '')"
)
_ARCHIVES = (".tar.gz", ".zip")
_NAMELESS = re.compile(r"\ufeff?(\"\"|'')?[,;\t|]")
"""The start of a header whose first column has no name. Others without a name may be features."""

Types = Mapping[str, str]
"""The type of each column; `ignored` for one that is not a feature."""


@dataclass(frozen=True)
class Options:
    """The settings of all tables."""

    seed: int
    share: float
    """Share of the targets with which a network is trained."""
    epochs: int
    seconds: float
    """Time limit of a command."""


@dataclass(frozen=True)
class Step:
    """A command that ended."""

    command: str
    code: int
    """Exit code; negative for a signal."""
    seconds: float
    reason: str
    """The first error line."""


@dataclass(frozen=True)
class Violation:
    """A violated expectation."""

    kind: str
    detail: str


@dataclass
class Trial:
    """The commands run on a table with one target."""

    table: str
    target: str | None
    """`None` for the `inspect` without a target that comes first."""
    steps: list[Step] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def run(self, name: str, start: Callable[[], Process], limit: float) -> Ended:
        """Run a command and record its end.

        Args:
            name: the command.
            start: starts it.
            limit: its time limit in seconds.
        """
        started_at = time.monotonic()
        process = start()
        ended = process.wait(limit)
        if is_late := ended is None:
            process.kill()
            ended = process.wait()
        assert ended is not None
        reason = _error_line(ended.errors) if ended.code else ""
        self.steps.append(Step(name, ended.code, time.monotonic() - started_at, reason))
        if is_late:
            self._violate("time limit", f"{name} took more than {limit:g} s")
        elif "Traceback" in ended.errors:
            self._violate("traceback", f"{name}: {ended.errors.splitlines()[-1]}")
        elif ended.code not in (0, *REFUSED):
            self._violate(f"exit code {ended.code}", f"{name}: {reason}")
        return ended

    def compare(self, types: Mapping[str, Types], nameless: str | None) -> None:
        """Record commands that disagree on a column, or use a column without a name as a feature.

        Args:
            types: the type of each column, by command.
            nameless: the name that dlcli gave to a column without one.
        """
        by_column: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for command, columns in types.items():
            for column, type_ in columns.items():
                by_column[column][type_].append(command)
        for column, commands in by_column.items():
            text = "; ".join(f"{type_} for {', '.join(names)}" for type_, names in commands.items())
            if column == nameless and commands.keys() != {"ignored"}:
                self._violate("column without a name is a feature", text)
            elif len(commands) > 1:
                kind = "ignored by some commands only" if "ignored" in commands else "types differ"
                self._violate(kind, f"{column}: {text}")

    def compare_predictions(self, whole: Path, needed: Path) -> None:
        """Record if predictions of a table depend on columns that are not features."""
        if whole.read_bytes() != needed.read_bytes():
            self._violate("predictions depend on an ignored column", "predict")

    def _violate(self, kind: str, detail: str) -> None:
        self.violations.append(Violation(kind, detail))


def try_table(options: Options, name: str, path: Path) -> list[Trial]:
    """Run the commands on a table, with each of its targets.

    Args:
        options: the settings of all tables.
        name: the table's name in the results.
        path: its file.
    """
    rng = random.Random(f"{options.seed} {name}")
    first = Trial(name, None)
    trials = [first]
    with tempfile.TemporaryDirectory(prefix="dlcli-real-tables-") as folder:
        log = Path(folder)
        inspect = partial(start_command, ["inspect", path, "--json"], log, log)
        inspected = first.run("inspect", inspect, options.seconds)
        if inspected.code:
            return trials
        columns = list(_types_of_inspection(inspected.output))
        nameless = columns[0] if _NAMELESS.match(_first_line(path)) else None
        named = [column for at, column in enumerate(columns, 1) if column != f"column_{at}"]
        others = rng.sample(named[:-1], min(1, len(named) - 1))
        for number, target in enumerate([*others, *named[-1:]]):
            is_trained = rng.random() < options.share
            work = log / str(number)
            work.mkdir()
            trial = Trial(name, target)
            _try_target(trial, path, work, options, nameless, is_trained=is_trained)
            trials.append(trial)
    return trials


def _try_target(
    trial: Trial,
    path: Path,
    folder: Path,
    options: Options,
    nameless: str | None,
    *,
    is_trained: bool,
) -> None:
    def run(name: str, *arguments: str | Path) -> Ended:
        process = partial(start_command, [name, *arguments], folder, folder)
        return trial.run(name, process, options.seconds)

    assert trial.target is not None
    config = folder / "config.yaml"
    target = ("--target", trial.target)
    types: dict[str, Types] = {}
    inspected = run("inspect", path, "--json", *target)
    if not inspected.code:
        types["inspect"] = _types_of_inspection(inspected.output)
    if not run("init", path, *target, "--preset", "simple", "--output", config).code:
        types["init"] = _types_of_config(config)
        decided = _decided_by_init(config)
        is_valid = not run("validate", config, "--data").code
        start = partial(Process, partial(_print_types, config), folder, folder)
        inferred = trial.run(INFERRED, start, options.seconds)
        if inferred.output:  # also if a value of a column is refused afterwards
            types[INFERRED] = json.loads(inferred.output)
        for command in types.keys() & {"inspect", INFERRED}:
            types[command] = {n: t for n, t in types[command].items() if n not in decided}
        if is_valid and is_trained:
            types |= _train(trial, path, folder, options, run)
    trial.compare(types, nameless)


def _train(
    trial: Trial, path: Path, folder: Path, options: Options, run: Callable[..., Ended]
) -> dict[str, Types]:
    """Train, evaluate and predict; return the types that the run folder states."""
    run_folder = folder / "run"
    settings = ("--set", f"epochs={options.epochs}", "--set", "threads=1")
    training = run("train", folder / "config.yaml", "--json", *settings, "--output", run_folder)
    if training.code:
        return {}
    events = map(json.loads, training.output.splitlines())
    columns = next(event["columns"] for event in events if event["event"] == "features")
    trained = {name: column["type"] for name, column in columns.items()}
    encoding = json.loads((run_folder / "encoding.json").read_text("utf-8"))
    encoded = {feature["column"]: feature["type"] for feature in encoding["features"]}
    run("evaluate", run_folder, path, "--json")
    whole, needed = folder / "whole.csv", folder / "needed.csv"
    if not run("predict", run_folder, path, "--output", whole).code and _keep_columns(
        path, needed, list(trained), encoded
    ):
        predicted = folder / "predicted.csv"
        if not run("predict", run_folder, needed, "--output", predicted).code:
            trial.compare_predictions(whole, predicted)
    return {
        "train": trained,
        "resolved.yaml": _types_of_config(run_folder / "resolved.yaml"),
        "encoding.json": {column: encoded.get(column, "ignored") for column in trained},
    }


def _types_of_inspection(text: str) -> Types:
    columns = json.loads(text.splitlines()[-1])["columns"]
    return {column["name"]: column["type"] for column in columns if column["type"] != "target"}


def _types_of_config(path: Path) -> Types:
    """Return the types of the columns that a config names, without patterns and `auto`."""
    features = load_config(path).config.input.features or {}
    types = {name: feature.type for name, feature in features.items()}
    return {name: type_ for name, type_ in types.items() if type_ != "auto" and "*" not in name}


_DECISIONS = (
    "codes, not quantities|earlier rows do not have the values|only later rows have a value"
    "|another name of"
)
"""The comments of `init` on types that follow from a test or from the split."""


def _decided_by_init(path: Path) -> set[str]:
    """Return the columns whose type `init` decides by a test, its split, or words declared missing.

    `inspect` and inference show the types of the file without these decisions.
    """
    config = load_config(path)
    words = config.config.data.missing
    name = r"('(?:[^']|'')*'|\"[^\"]*\"|[^'\":][^:]*)"
    decided = re.findall(rf"^ *{name}: .*# (?:{_DECISIONS})", config.text, re.MULTILINE)
    return {*(words if isinstance(words, Mapping) else ()), *(yaml.safe_load(n) for n in decided)}


def _print_types(config: Path) -> int:
    """Print the types that training infers without declared types, as JSON."""

    def listener(event: Event) -> None:
        if isinstance(event, FeaturesEvent):
            print(json.dumps({name: column.type for name, column in event.columns.items()}))

    try:
        check(load_config(config, (ALL_INFERRED,)), read_rows=True, listener=listener)
    except DlcliError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _open_text(path: Path) -> TextIO:
    """Open a file, also a compressed one, as text of any encoding."""
    unpack: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    opened: TextIO = unpack(path, "rt", encoding="utf-8", errors="surrogateescape", newline="")
    return opened


def _first_line(path: Path) -> str:
    with _open_text(path) as file:
        return file.readline()


def _keep_columns(path: Path, copy: Path, columns: Sequence[str], kept: Iterable[str]) -> bool:
    """Write a table with some of its columns; return False if commas don't separate them."""
    if file_format(path.name) != "csv":
        return False
    kept = set(kept)
    with _open_text(path) as file:
        header, *rows = csv.reader(file)
    if len(header) <= len(columns):  # the header has all columns and the target
        return False
    header = [name or f"column_{at}" for at, name in enumerate(header, start=1)]
    positions = [at for at, name in enumerate(header) if name in kept]
    with copy.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows([row[at] for at in positions] for row in [header, *rows] if row)
    return True


def _error_line(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return next((line for line in lines if line.lower().startswith("error: ")), (lines or [""])[-1])


def kind_of_reason(reason: str) -> str:
    """Replace table-specific parts of an error message: paths, names and numbers."""
    text = re.sub(r"^error: ", "", reason, flags=re.IGNORECASE)
    text = re.sub(r"\S+\.(csv|tsv|jsonl?|xlsx?|ods|yaml)(\.gz|\.bz2)?(:\d+)*", "FILE", text)
    text = re.sub(r"(struct|list)<.*>", "nested values", text)
    text = re.sub(r"'[^']*'", "NAME", text)
    text = re.sub(r"NAME(, NAME)+( and \d+ more)?", "NAMES", text)
    return re.sub(r"-?\d[\d,.]*(e[+-]?\d+)?", "N", text)


def refusals(trials: Sequence[Trial]) -> list[dict[str, object]]:
    """Group the commands that were refused by command, exit code and kind of reason."""
    groups: dict[tuple[str, int, str], list[str]] = defaultdict(list)
    for trial in trials:
        for step in trial.steps:
            if step.code in REFUSED:
                key = (step.command, step.code, kind_of_reason(step.reason))
                groups[key].append(f"{trial.table}, target {trial.target}: {step.reason}")
    keys = ("command", "code", "reason", "count", "examples")
    return [
        dict(zip(keys, (*key, len(texts), texts), strict=True))
        for key, texts in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]


def violations(trials: Sequence[Trial]) -> dict[str, list[str]]:
    """Return all violations by kind, the most frequent kind first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for trial in trials:
        for violation in trial.violations:
            where = f"{trial.table}, target {trial.target}"
            groups[violation.kind].append(f"{where}: {violation.detail}")
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def report(trials: Sequence[Trial]) -> Iterator[Table]:
    """Yield tables of the commands, the refusals and the violations."""
    commands = Table(
        "command", "done", "refused", "failed", "seconds", title="commands", box=SIMPLE
    )
    names = dict.fromkeys(step.command for trial in trials for step in trial.steps)
    for name in names:
        steps = [step for trial in trials for step in trial.steps if step.command == name]
        codes = Counter("refused" if step.code in REFUSED else step.code for step in steps)
        failed = len(steps) - codes[0] - codes["refused"]
        seconds = sum(step.seconds for step in steps)
        cells = (codes[0], codes["refused"], failed, f"{seconds:.0f}")
        commands.add_row(name, *map(str, cells))
    yield commands
    refused = Table("count", "command", "code", "reason", title="refusals", box=SIMPLE)
    for group in refusals(trials):
        refused.add_row(*(str(group[key]) for key in ("count", "command", "code", "reason")))
    yield refused
    violated = Table("count", "violation", "examples", title="violations", box=SIMPLE)
    for kind, texts in violations(trials).items():
        violated.add_row(str(len(texts)), kind, "\n".join(texts[:EXAMPLES]))
    yield violated


def find_package(python: str, name: str = PACKAGE) -> Path:
    """Return the folder of a package, which is not imported: most of them need pandas.

    Args:
        python: an interpreter that has the package.
        name: the package's name in an import.
    """
    folder = output([python, "-c", _FIND, name]).strip()
    if not folder:
        sys.exit(f"{name} is not installed: pip install -e '.[benchmark]', or use --tables")
    return Path(folder)


def find_tables(source: Path, folder: Path) -> dict[str, Path]:
    """Return the paths of all tables by their names: the path relative to the source.

    Args:
        source: a folder of tables in any format that dlcli reads, and of archives with tables; or
            an archive.
        folder: an empty folder to unpack archives to.
    """
    files = [source] if source.is_file() else sorted(source.rglob("*"))
    base = source.parent if source.is_file() else source
    for path in files:
        if path.name.endswith(_ARCHIVES):
            _unpack(path, folder / path.relative_to(base))
    tables = {str(path.relative_to(base)): path for path in files if _is_table(path)}
    unpacked = sorted(path for path in folder.rglob("*") if _is_table(path))
    return tables | {str(path.relative_to(folder)): path for path in unpacked}


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as files:
            files.extractall(folder)
    else:
        with tarfile.open(archive) as members:
            members.extractall(folder, filter="data")


def _is_table(path: Path) -> bool:
    return (
        file_format(path.name) is not None
        and not path.name.startswith("._")
        and path.is_file()
        and path.stat().st_size <= LARGEST_BYTES
    )


def _find_all(parsed: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Return the paths of all chosen tables by name; archives are unpacked to the folder."""
    packages = [] if parsed.tables else parsed.package or [PACKAGE]
    sources = {name: find_package(parsed.rivals_python, name) for name in packages}
    if parsed.tables:
        sources[""] = parsed.tables
    found = {
        str(PurePath(source, name)): path
        for source, place in sources.items()
        for name, path in find_tables(place.resolve(), folder / source).items()
    }
    if parsed.limit is not None and parsed.limit < len(found):
        found = dict(sorted(random.Random(parsed.seed).sample([*found.items()], parsed.limit)))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all commands on all tables, print the results, and fail if there are violations."""
    parsed = _parse(arguments)
    options = Options(parsed.seed, parsed.share, parsed.epochs, parsed.time_limit)
    load()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dlcli-real-tables-") as folder:
        tables = _find_all(parsed, Path(folder))
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(parsed.jobs, mp_context=context) as pool:
            results = pool.map(partial(try_table, options), tables, tables.values())
            progress = track(results, total=len(tables), console=Console(stderr=True))
            trials = [trial for table in progress for trial in table]
    seconds = time.monotonic() - start
    console = Console()
    for table in report(trials):
        console.print(table)
    console.print(f"{len(tables)} tables in {seconds:.0f} s")
    if parsed.json:
        document = {
            "tables": len(tables),
            "seconds": seconds,
            "options": asdict(options),
            "refusals": refusals(trials),
            "violations": violations(trials),
            "trials": [asdict(trial) for trial in trials],
        }
        parsed.json.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    if violations(trials):
        sys.exit(1)


def table_parser(
    module: str, description: str | None, packages: str = "pydataset"
) -> argparse.ArgumentParser:
    """Return the parser of a benchmark over public tables, with options to find them.

    Args:
        module: the benchmark's module.
        description: its docstring.
        packages: the packages that the rivals' interpreter needs, for the help.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    python_help = f"Interpreter that has {packages}. [default: this one]"
    parser.add_argument("--rivals-python", default=sys.executable, metavar="PATH", help=python_help)
    tables_help = "Folder or archive of tables to use instead of packages."
    parser.add_argument("--tables", type=Path, metavar="PATH", help=tables_help)
    return parser


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = table_parser("benchmarks.real_tables", __doc__)
    add = parser.add_argument
    package_help = "Package whose tables are read; repeatable. [default: pydataset]"
    add("--package", action="append", metavar="NAME", help=package_help)
    limit_help = "Number of tables, sampled at random. [default: all]"
    add("--limit", type=int, metavar="N", help=limit_help)
    share_help = "Share of the targets to train with. [default: 0.1]"
    add("--share", type=float, default=0.1, metavar="SHARE", help=share_help)
    cores = len(os.sched_getaffinity(0))
    jobs_help = "Number of worker processes. [default: number of cores]"
    add("--jobs", type=int, default=cores, metavar="N", help=jobs_help)
    add("--epochs", type=int, default=3, metavar="N", help="Epochs of a training. [default: 3]")
    time_help = "Time limit of a command. [default: 120]"
    add("--time-limit", type=float, default=120, metavar="SECONDS", help=time_help)
    add("--seed", type=int, default=0, metavar="N", help="Random seed. [default: 0]")
    add("--json", type=Path, metavar="FILE", help="Write all results to a file.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
