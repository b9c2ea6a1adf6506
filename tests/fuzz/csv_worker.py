"""Run the code behind `inspect`, `init` and `validate --data` on mangled CSV files.

Called as `csv_worker.py FIRST COUNT`, in an empty folder. It prints a line of JSON for each step
that does not end in a result or an error that dlcli explains: another exception or a warning, over
10 s of CPU time, or over 1 GB of memory. The last line is the summary.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from mangled_csv import ENCODINGS, mangled

from benchmarks.worker import peak_bytes
from dlcli.config.config_file import load_config
from dlcli.data_checks.inspection import Inspection, inspect_table
from dlcli.errors import DlcliError
from dlcli.pipeline.preflight import check
from dlcli.reports.command_views import inspection_view
from dlcli.reports.views import render_text
from dlcli.starter.config_writing import starter_config
from dlcli.tables.table_files import read_header, read_table

MOST_SECONDS = 10
MOST_BYTES = 10**9
_FAR_TOO_MUCH = 6 * 10**9
"""The limit at which the system stops a file that would fill the memory."""
_TYPES = (
    *("numeric", "categorical", "text", "datetime", "boolean", "ignored", "auto"),
    "{type: categorical, encoding: {name: embedding, units: 2}}",
    "{type: numeric, encoding: {name: piecewise_linear, bins: 4}}",
    *("{type: numeric, scaling: quantile}", "{type: numeric, scaling: log1p}"),
    *("{type: text, encoding: count}", "{type: datetime, format: unix}"),
    "{type: image, shape: [2, 2, 1]}",
)


class TooSlowError(Exception):
    """A file took too much CPU time."""


def main(first: int, count: int) -> None:
    """Try files by their seeds."""
    warnings.simplefilter("error")
    signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (_FAR_TOO_MUCH, _FAR_TOO_MUCH))
    through = 0
    for seed in range(first, first + count):
        failures, is_read = tried(seed)
        through += is_read
        for failure in failures:
            print(json.dumps({"seed": seed, **failure}), flush=True)
    print(json.dumps({"files": count, "read": through, "max_archive_bytes": peak_bytes()}))


def tried(seed: int) -> tuple[list[dict[str, str]], bool]:
    """Return the failures of the steps for a file, and whether it is a table."""
    name, content = mangled(seed)
    Path(name).write_bytes(content)
    del content
    most = max(MOST_BYTES, peak_bytes())  # what it took to mangle the file is no fault of dlcli's
    Path("c.yaml").write_text(_config(name, random.Random(f"config {seed}")), encoding="utf-8")
    failures, ended_well = [], []
    for step in (_inspect, _inspect_target, _start, _validate):
        failure = _failure(step, name, ended_well)
        if not failure and (used := peak_bytes()) > most:
            most, failure = used, f"took {used:,} bytes"
        if failure:
            failures.append({"step": step.__name__, "failure": failure})
    Path(name).unlink()
    return failures, bool(ended_well)


def _failure(step: Callable[[str], None], name: str, ended_well: list[str]) -> str:
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        step(name)
        ended_well.append(step.__name__)
    except DlcliError as error:
        return "" if str(error).strip() and error.exit_code > 1 else f"says nothing: {error!r}"
    except Exception:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


def assert_printable(text: str) -> None:
    """Check that lines hold no control characters for a terminal."""
    wrong = [line for line in text.split("\n") if not line.isprintable()]
    assert not wrong, wrong


def _inspect(name: str) -> None:
    _check_inspection(inspect_table(read_table(name)))


def _inspect_target(name: str) -> None:
    table = read_table(name)
    _check_inspection(inspect_table(table, table.columns[-1]))


def _check_inspection(inspection: Inspection) -> None:
    assert_printable(render_text(inspection_view(inspection), 100))
    json.dumps(asdict(inspection), allow_nan=False)


def _start(name: str) -> None:
    target = read_header(name)[-1]
    text = starter_config(Path(name), target, config_folder=Path())
    assert_printable(text)
    Path("started.yaml").write_text(text, encoding="utf-8")
    assert load_config(Path("started.yaml")).config.data.target.columns == (target,)


def _validate(_: str) -> None:
    check(load_config(Path("c.yaml")), read_rows=True)


def _config(name: str, draw: random.Random) -> str:
    """Make a config for a file, which may refer to things that are not there."""
    columns = _columns(name)
    data = [f"train: {name}", f"target: {draw.choice([columns[-1], *columns])}"]
    data += draw.choice(([], ["validation: 0.2"], ["validation: 0.2", "test: 0.2"]))
    data += [f"format: {{name: csv, {each}}}" for each in _format(draw)]
    if draw.random() < 0.1:
        data.append(f"weight: {draw.choice(columns)}")
    if draw.random() < 0.1 and "validation: 0.2" in data:
        way = draw.choice(("group", "time"))
        data.append(f"split: {{name: {way}, column: {draw.choice(columns)}}}")
    if draw.random() < 0.2:
        data.append(f"missing: [{draw.choice(('NA', '?', '-999', 'nan'))!r}]")
    features = {draw.choice([*columns, '"*"']): draw.choice(_TYPES) for _ in range(3)}
    declared = "".join(f"\n    ? {column}\n    : {kind}" for column, kind in features.items())
    chosen = f"input:\n  features:{declared}\n" if draw.random() < 0.5 else ""
    return f"data: {{{', '.join(data)}}}\n{chosen}hidden: []\nepochs: 1\n"


def _format(draw: random.Random) -> Iterator[str]:
    if draw.random() < 0.15:
        yield draw.choice(
            (
                *(f"encoding: {name}" for name in ENCODINGS),
                *("delimiter: ';'", 'delimiter: "\\t"', "decimal: ','", "thousands: ' '"),
            )
        )


def _columns(name: str) -> list[str]:
    """Return the columns of a file as YAML, or invented ones."""
    try:
        return [json.dumps(column) for column in read_header(name)[:200]]
    except Exception:  # the steps report it
        return ["a", "b"]


def _stop(*_: object) -> None:
    raise TooSlowError(f"took over {MOST_SECONDS} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
