"""Check that no command fails unexpectedly on random tables and configs.

`python -m benchmarks.random_tables` writes a table of odd columns in an odd format, and the config
of `init`. The config must train, and the run must predict its training table. Then other rows are
predicted, and random changes of the config are passed to `train`, `cv` and `tune`, which may refuse
it, but must not end with exit code 1, which indicates a bug. Such failures are printed with the
seed that repeats them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from pyarrow import parquet

from benchmarks.forked import Ended, load, start_command
from dlcli.config.config_schema import Config

SIZES = (3, 8, 20, 40, 120, 300)
"""Numbers of rows."""
NAMES = (
    *("a", "b c", "x.y", "q[0]", "日期", "1", "price ($)", "a,b", 'say "hi"', "y'", "with: colon"),
    *("#hash", "null", "true", "*", "a*", "p?", "{b}", "&x", "!t", "%p", "prediction", "weight"),
)
WORDS = (
    *(("yes", "no"), ("中", "文", "é"), ("", "x"), ("c,d", 'e"f'), ("1", "2", "x"), ("NA", "none")),
    *(("line\nbreak", "tab\there"), (" lead", "lead "), tuple(f"k{at}" for at in range(60))),
)
DATES = ("%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y", "%b %Y", "%Y")
ODD = ("inf", "1e400", "0x1A", "1_000", "NULL", "?", "--", "½", "1.2.3", "=1+1", "#REF!", "9" * 23)
OTHER_VALUES = ("", "zzz", "1e999", "-5", "2031-01-01", "0")
"""Values of other rows to predict."""
REGULARIZERS = ("null", "l1", "l2", "l1_l2", "orthogonal_regularizer")
SCHEDULES = (
    *("cosine_decay", "{name: reduce_on_plateau, monitor: loss, patience: 1}"),
    *(
        "{name: cosine_decay, warmup_epochs: 2}",
        "{name: exponential_decay, decay_epochs: 1, decay_rate: 0.5}",
    ),
)
MAY_REFUSE = (0, 2, 3, 4, 6)
"""Exit codes of commands with a config that may not suit its table."""
SECONDS = 300
"""Time limit after which a command counts as hanging."""

Texts = list[str]


def random_column(rng: random.Random, rows: int) -> Texts:
    """Return a random column."""
    draw = np.random.default_rng(rng.randrange(2**31))
    normal, levels = draw.normal(size=rows), rng.choice(WORDS)
    scale = 10.0 ** rng.randint(-6, 9)
    form, zone = rng.choice(DATES), rng.choice(("", "+02:00", "Z"))
    days = [date(2020, 1, 1) + timedelta(days=int(each)) for each in draw.integers(0, 2000, rows)]
    kinds: tuple[Callable[[int], str], ...] = (
        *2 * (lambda at: repr(float(normal[at] * scale)),),
        lambda at: str(round(normal[at] * 3)),
        lambda at: repr(float(np.exp(5 * normal[at]))),
        *2 * (lambda at: rng.choice(levels),),
        lambda at: str(bool(normal[at] < 0)),
        lambda at: f"{days[at]:{form}}",
        lambda at: f"{days[at]} {at % 24:02d}:{at * 7 % 60:02d}:00{zone}",
        lambda at: str(1_600_000_000 + 3600 * at),
        lambda at: f"{abs(normal[at]) * 10:.1f} %",
        lambda at: f"{normal[at] * 1000:.2f} €",
        lambda at: f"{rng.randrange(100_000):05d}",
        lambda at: levels[0],
        lambda at: f"ID-{at:05d}",
        str,
        lambda at: " ".join(
            rng.choices(("red", "old", "house", "big", "房子"), k=rng.randint(0, 9))
        ),
        lambda at: f"({-normal[at]:,.2f})" if normal[at] < 0 else f"{1000 * normal[at]:,.2f}",
        lambda at: f"{abs(normal[at]):.1f} kg",
        lambda at: f"{normal[at]:.2f}".replace(".", ","),
        lambda at: rng.choice(ODD) if rng.random() < 0.3 else f"{normal[at]:.3f}",
        lambda at: "|".join(sorted(rng.sample("pqrs", rng.randint(0, 3)))),
    )
    kind, gaps = rng.choice(kinds), rng.choice((0, 0, 0, 0.05, 0.5))
    return ["" if rng.random() < gaps else kind(at) for at in range(rows)]


def write(table: dict[str, Texts], stem: Path, rng: random.Random) -> Path:
    """Write a table in a random format."""
    if rng.random() < 0.15:
        parquet.write_table(pa.table(table), stem.with_suffix(".parquet"))
        return stem.with_suffix(".parquet")
    stream = io.StringIO(newline="")
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    ending = rng.choice(("\n", "\r\n"))
    writer = csv.writer(
        stream, None, delimiter=rng.choice(",,;\t"), quoting=quoting, lineterminator=ending
    )
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    path = stem.with_suffix(".csv")
    path.write_bytes(stream.getvalue().encode(rng.choice(("utf-8", "utf-8-sig", "utf-16"))))
    return path


def variations(rng: random.Random, features: Mapping[str, str], target: str) -> list[str]:
    """Return some random settings, as for `--set`.

    Args:
        rng: the random generator.
        features: the type of each feature in the config of `init`.
        target: the name of the target.
    """
    column, name = json.dumps(rng.choice(list(features))), json.dumps(target)
    kind = rng.choice(("categorical", "numeric", "count", "multi_label"))
    activation, regularizer = rng.choice(_names("Hidden", "activation")), rng.choice(REGULARIZERS)
    known = (
        *(
            ("ensemble={members: 2}", "data.validation=null"),
            ("ensemble={members: 3, folds: none}",),
        ),
        *(("ensemble=null",), ("data.split=stratified",), ("class_weight=balanced",)),
        *(("data.test=null",), ("data.validation=null", "early_stopping=null"), ("hidden=[]",)),
        ("hidden=[{units: 3, activation: tanh, batch_normalization: true, dropout: 0.5}]",),
        *(("optimizer={name: adam, learning_rate: 1e6}",), ("batch_size=1000",), ("batch_size=1",)),
        *(("data.storage=disk",), ("input.encoding=periodic",), ("input.scaling=quantile",)),
        *(("precision=mixed_bfloat16",), ("precision=mixed_float16",), ("engine=keras",)),
        *(("output={scaling: log1p}",), ("loss=poisson",), ("threads=1",), ("seed=4294967295",)),
        *(("loss=mean_absolute_error",), ("loss=hinge",), ("gates={test.rmse: {at_most: 1}}",)),
        *((f"data.split={{name: {split}, column: {column}}}",) for split in ("group", "time")),
        *((f"data.sample_weight={column}",), (f"data.target=[{name}, {column}]",)),
        (f"data.target={{column: {name}, type: {kind}}}",),
        *((f"loss={rng.choice(_names('Config', 'loss'))}",) for _ in range(3)),
        *((f"optimizer={rng.choice(_names('Config', 'optimizer'))}",) for _ in range(2)),
        *((f"learning_rate_schedule={each}",) for each in SCHEDULES),
        (f"hidden=[{{units: 4, activation: {activation}, kernel_regularizer: {regularizer}}}]",),
        ("ensemble=null", "data.validation=0.3", "data.train_on_validation=true"),
        *(("data.missing=[]",), ('data.missing=["0", "x", "yes"]',), ("data.validation=0.4",)),
        ("ensemble=null", "data.validation=0.3", "early_stopping={monitor: val_loss, patience: 1}"),
        *(
            (f"input.features[{json.dumps(each)}]={_feature(rng, features[each])}",) * 2
            for each in rng.sample(list(features), min(2, len(features)))
        ),
    )
    return [setting for each in rng.sample(known, rng.randint(1, 4)) for setting in each]


def _feature(rng: random.Random, kind: str) -> str:
    """Return a feature of a type with random parameters, or sometimes of another type."""
    kinds = ("numeric", "categorical", "text", "datetime", "boolean", "ignored", "auto")
    kind = rng.choice(kinds) if rng.random() < 0.2 else kind
    section = kind.capitalize()
    keys = [key for key in ("scaling", "encoding", "missing") if _names(section, key)]
    chosen = {key: rng.choice(_names(section, key)) for key in keys if rng.random() < 0.6}
    if kind == "categorical":
        chosen |= rng.choice(({}, {"min_count": "3"}, {"max_categories": "2"}, {"unseen": "error"}))
    if kind == "datetime":
        chosen |= rng.choice(({}, {"parts": "[elapsed]"}, {"parts": "[weekday, hour, year]"}))
    return f"{{{', '.join(f'{key}: {value}' for key, value in {'type': kind, **chosen}.items())}}}"


@cache
def _names(section: str, key: str) -> tuple[str, ...]:
    """Return the names of the choices of a key that need no parameters."""
    schema = Config.model_json_schema()
    known = (schema if section == "Config" else schema["$defs"][section])["properties"].get(key, {})
    return tuple(each["const"] for each in known.get("anyOf", ()) if each.get("const"))


class Round:
    """The commands on one table.

    Args:
        seed: the random seed.
        folder: an empty folder.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self._rng = random.Random(seed)
        self._seed, self._folder, self._log = seed, folder, folder / "log"
        self._log.mkdir()
        self.commands = 0

    def failures(self) -> Iterator[str]:
        """Run the commands; yield a description of each that failed unexpectedly."""
        rng, rows = self._rng, self._rng.choice(SIZES)
        *features, target = rng.sample(NAMES, rng.randint(2, 8))
        table = {name: random_column(rng, rows) for name in (*features, target)}
        file = write(table, self._folder / "rows", rng).name
        preset = rng.choice(("simple", "good"))
        yield from self._run("inspect", file, codes=(0, 3))
        yield from self._run("inspect", file, "--target", target, "--json", codes=(0, 3))
        start = ("init", file, "--target", target, "--preset", preset, "--output", "c.yaml")
        yield from self._run(*start, codes=(0, 2, 3))
        if not (self._folder / "c.yaml").exists():
            return
        declared = yaml.safe_load((self._folder / "c.yaml").read_text("utf-8"))["input"]
        types = {
            str(name): each if isinstance(each, str) else each["type"]
            for name, each in declared["features"].items()
        }
        few = ("--set", "epochs=3", "--quiet")
        yield from self._run("train", "c.yaml", *few, "--output", "run", codes=(0, 3, 4))
        if (self._folder / "run" / "manifest.json").exists():
            yield from self._use("run", file)
            others = {name: [self._other(value) for value in table[name]] for name in features}
            other = write(others, self._folder / "others", rng).name
            yield from self._run("predict", "run", other, codes=(0, 3))
            bad_rows = rng.choice((("warn",), ("reject", "--rejected", "rejected.csv")))
            options = ("--interval", rng.choice(("0.5", "0.9")), "--keep", rng.choice(features))
            form = ("--format", rng.choice(("csv", "jsonl")), "--on-bad-row", *bad_rows)
            yield from self._run("predict", "run", other, *form, *options, codes=(0, 2, 3))
            yield from self._run("evaluate", "run", file, "--interval", "0.8", codes=(0, 2, 3))
        for number in range(3):
            changes = variations(rng, types, target)
            sets = [part for each in changes for part in ("--set", each)]
            command = rng.choice(("train", "cv", "tune"))
            if command == "tune":
                folds = rng.choice((", folds: 2", ""))
                sets += ["--set", f"tune={{trials: 2, metric: val_loss{folds}}}"]
            output = f"varied-{number}"
            yield from self._run("validate", "c.yaml", *sets, codes=(0, 2, 3))
            arguments = (command, "c.yaml", *few, *sets, "--output", output)
            yield from self._run(*arguments, codes=MAY_REFUSE)
            if not (self._folder / output / "manifest.json").exists():
                continue
            if command != "train":
                yield from self._run("report", output, codes=(0,))
                continue
            yield from self._use(output, file)
            yield from self._run("compare", "run", output, codes=(0, 2, 3, 5))
            yield from self._run("reproduce", output, "--output", f"{output}-again", codes=(0, 3))

    def _use(self, run: str, file: str) -> Iterator[str]:
        yield from self._run("predict", run, file, codes=(0,))
        yield from self._run("evaluate", run, file, codes=(0, 3))
        yield from self._run("report", run, codes=(0,))
        yield from self._run("diagnose", run, codes=(0,))
        form = self._rng.choice(("onnx", "saved_model", "litert", "keras", "python", "card"))
        output = f"{run}-{form}"
        yield from self._run("export", run, "--format", form, "--output", output, codes=(0, 7))
        if form in ("onnx", "saved_model") and (self._folder / output).exists():
            yield from self._run("validate", output, codes=(0,))

    def _other(self, value: str) -> str:
        return self._rng.choice(OTHER_VALUES) if self._rng.random() < 0.1 else value

    def _run(self, *arguments: str, codes: Sequence[int]) -> Iterator[str]:
        """Run a command; yield a description of its end unless it has one of these exit codes."""
        self.commands += 1
        process = start_command(arguments, self._folder, self._log)
        ended = process.wait(SECONDS)
        if ended is None:
            process.kill()
            process.wait()
            ended = Ended(-1, "", f"hangs after {SECONDS} s")
        if ended.code not in codes or "Traceback" in ended.errors:
            command = " ".join(map(repr, arguments))
            lines = "\n  ".join(ended.errors.strip().splitlines()[-4:])
            yield f"seed {self._seed}, exit code {ended.code}: dlcli {command}\n  {lines}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rounds; exit with 1 if a command failed unexpectedly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="[default: 50]")
    parser.add_argument("--seed", type=int, default=0, help="Of the first round. [default: 0]")
    options = parser.parse_args(arguments)
    load()
    failures, commands = 0, 0
    for seed in range(options.seed, options.seed + options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            one = Round(seed, Path(folder))
            for failure in one.failures():
                failures += 1
                print(failure, flush=True)
            commands += one.commands
    print(f"{commands} commands on {options.rounds} tables, {failures} unexpected failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
