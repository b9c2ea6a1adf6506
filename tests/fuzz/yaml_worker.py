"""Gives mangled configs to the code behind `validate`, and to that which writes `resolved.yaml`.

Called as `yaml_worker.py FIRST COUNT`, in a folder of its own. It prints a line of JSON for each
config that ends in something else than an answer or an error that dlcli explains: another exception
or a warning, a problem without file, line and column, over 10 s of the processor's time, or over
1 GB of memory. The last line sums up.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from csv_worker import MOST_BYTES, MOST_SECONDS, TooSlowError
from mangled_yaml import SHIPPED, TABLE, mangled

from benchmarks.worker import peak_bytes
from dlcli.config.config_file import dump_config, load_config
from dlcli.errors import ConfigError, DlcliError
from dlcli.pipeline.preflight import check

ROWS = 40
_FAR_TOO_MUCH = 6 * 10**9
"""Room at which the system stops a config that would fill the machine."""
_CONFIG = Path("configs") / "c.yaml"
_AGAIN = Path("configs") / "resolved.yaml"
_PLACE = re.compile(rf"{re.escape(str(_CONFIG))}:[1-9]\d*:[1-9]\d*")


def main(first: int, count: int) -> None:
    """Goes through configs by their seeds."""
    warnings.simplefilter("error")
    signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (_FAR_TOO_MUCH, _FAR_TOO_MUCH))
    furnish()
    through: Counter[str] = Counter()
    longest = 0.0
    for seed in range(first, first + count):
        _CONFIG.write_bytes(mangled(seed))
        begun = time.process_time()
        if failure := _failure(through):
            print(json.dumps({"seed": seed, "failure": failure}), flush=True)
        longest = max(longest, time.process_time() - begun)
    summary = {"configs": count, "longest": round(longest, 2), "max_archive_bytes": peak_bytes()}
    print(json.dumps({**summary, **through}))


def furnish() -> None:
    """Puts the first rows of the tables that the configs name where they are looked for."""
    _CONFIG.parent.mkdir()
    _CONFIG.with_name("t.csv").write_text(TABLE, encoding="utf-8")
    tables = SHIPPED[0].parents[1] / "data"
    Path("data").mkdir()
    Path("data", "digits_png").symlink_to(tables / "digits_png")
    for table in tables.glob("*.csv"):
        lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
        Path("data", table.name).write_text("".join(lines[: 1 + ROWS]), encoding="utf-8")


def _failure(through: Counter[str]) -> str:
    """What is wrong about a config's treatment."""
    most = max(MOST_BYTES, peak_bytes())
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        _load_and_check(through)
    except DlcliError as error:
        return _unexplained(error)
    except Exception:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return f"took {used:,} bytes" if (used := peak_bytes()) > most else ""


def _load_and_check(through: Counter[str]) -> None:
    """Goes as far as a config goes, and counts how far."""
    file = load_config(_CONFIG)
    through["loaded"] += 1
    _AGAIN.write_text(dump_config(file.config), encoding="utf-8")
    assert load_config(_AGAIN).config == file.config
    check(file)
    through["checked"] += 1


def _unexplained(error: DlcliError) -> str:
    """What an error should say and doesn't."""
    if error.exit_code == 1 or not str(error).strip():
        return f"says nothing: {error!r}"
    problems = error.problems if isinstance(error, ConfigError) else ()
    homeless = [each for each in problems if not _PLACE.fullmatch(str(each.position))]
    return f"has no place: {homeless[0]!r}" if homeless else ""


def _stop(*_: object) -> None:
    raise TooSlowError(f"took over {MOST_SECONDS} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
