"""The arithmetic and the tables of the benchmarks, and short measurements."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import full_disk, kills, random_tables
from benchmarks.__main__ import main
from benchmarks.encodings import encoding_cases, mixed_table
from benchmarks.forked import Ended
from benchmarks.memory import case_name, memory_cases
from benchmarks.model_selection import TABLES
from benchmarks.processes import process_figures
from benchmarks.results import break_even, outcome_report, significant, target_rows
from benchmarks.runner import Case, Figures, Outcome, run
from benchmarks.targets import TARGETS, Target
from benchmarks.timing import EpochEnd, figures, last_of_each_burst
from benchmarks.whole_processes import LIVE, QUIET, starter_case_name, starter_cases, terminal_cases
from benchmarks.workloads import WORKLOADS, Workload
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run

pytestmark = pytest.mark.release

TOY = Workload("toy", 10, 2, (3,), 0, 4, epochs=3, long=3)


def outcome(**rounds: Sequence[Figures]) -> Outcome:
    return Outcome("small", "a few rows", rounds)


def test_an_epoch_is_timed_from_the_end_of_the_first_to_that_of_the_last() -> None:
    assert figures([EpochEnd(3.0, 1), EpochEnd(3.5, 2), EpochEnd(5.0, 5)]) == {
        "epoch_seconds": 0.5,
        "compile_seconds": 2.5,
        "training_seconds": 5.0,
    }


def test_time_after_the_last_epoch_counts_as_training_but_not_as_an_epoch() -> None:
    measured = figures([EpochEnd(2.0, 10), EpochEnd(4.0, 20), EpochEnd(4.5, 20)])

    assert (measured["epoch_seconds"], measured["training_seconds"]) == (0.2, 4.5)


def test_a_single_end_gives_no_time_per_epoch() -> None:
    assert figures([EpochEnd(3.0, 10), EpochEnd(3.1, 10)]) == {"training_seconds": 3.1}


def test_epochs_reported_at_once_count_at_their_last() -> None:
    ends = [
        EpochEnd(1.0, 1),
        EpochEnd(1.0001, 2),
        EpochEnd(1.0002, 3),
        EpochEnd(1.2, 4),
        EpochEnd(1.2001, 5),
    ]

    assert last_of_each_burst(ends, gap=0.001) == [EpochEnd(1.0002, 3), EpochEnd(1.2001, 5)]


def test_cases_are_measured_in_turn() -> None:
    measured: list[str] = []

    def measure(name: str) -> Figures:
        measured.append(name)
        return {"s": 1.0}

    cases = [Case(name, partial(measure, name)) for name in ("a", "b")]
    run("name", "title", cases, rounds=2)

    assert measured == ["a", "b", "a", "b"]


def test_a_case_that_fails_is_reported_and_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> Figures:
        raise subprocess.CalledProcessError(3, "command", stderr="no such thing\n")

    result = run("name", "title", [Case("a", fail), Case("b", lambda: {"s": 1.0})], rounds=2)

    assert result.rounds == {"b": [{"s": 1.0}, {"s": 1.0}]}
    assert capsys.readouterr().err.count("a failed, exit code 3:\n  no such thing\n") == 1


def test_the_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() -> None:
    slow = [{"s": 10.0}, {"s": 30.0}, {"s": 80.0}]
    fast = [{"s": 1.0}, {"s": 10.0}, {"s": 4.0}]

    assert outcome(slow=slow, fast=fast).ratio("slow", "fast", "s") == 10.0  # of 10, 3 and 20


def test_a_figure_that_a_case_lacks_has_no_median() -> None:
    assert outcome(a=[{"s": 1.0}]).median("a", "bytes") is None


def test_dlcli_is_faster_from_the_epoch_that_makes_up_for_compilation() -> None:
    measured = outcome(
        **{
            "dlcli": [{"epoch_seconds": 0.5, "compile_seconds": 3.2}],
            "Keras fit": [{"epoch_seconds": 1.5, "compile_seconds": 1.0}],
        }
    )

    assert break_even(measured) == 3  # 3.2 + 1.5 = 4.7 against 1.0 + 4.5 = 5.5; after two 4.2 and 4


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00025449, "0.000254"), (1.2, "1.20"), (12.34, "12.3"), (4567.8, "4570"), (0, "0")],
)
def test_three_significant_digits_of_a_number_are_shown(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("at_least", "measured", "verdict"),
    [(True, 2.0, "met"), (True, 1.9, "missed"), (False, 2.0, "met"), (False, 2.1, "missed")],
)
def test_a_target_is_met_at_its_limit(at_least: bool, measured: float, verdict: str) -> None:
    target = Target("small", "text", "s", "a", "b", limit=2.0, at_least=at_least)

    assert target.verdict(measured) == verdict


def test_a_target_may_be_what_a_case_has_more_than_another_in_the_same_round() -> None:
    measured = outcome(
        a=[{"s": 5.0}, {"s": 9.0}, {"s": 4.0}], b=[{"s": 4.0}, {"s": 7.0}, {"s": 1.0}]
    )
    target = Target("small", "text", "s", "a", None, limit=2.0, subtracted="b")

    assert target.measured(measured) == 2.0
    assert target.measured(outcome(a=[{"s": 5.0}])) is None


@pytest.mark.skipif(sys.platform == "win32", reason="wait4 is of Unix")
def test_a_process_is_measured_and_one_that_fails_shows_its_errors() -> None:
    work = "import sys; x = bytearray(300_000_000); sum(range(3_000_000)); print('out')"
    figures = process_figures([sys.executable, "-c", work])

    assert figures["peak_bytes"] > 300e6
    assert figures["cpu_seconds"] > 0
    assert figures["wall_seconds"] > 0
    with pytest.raises(subprocess.CalledProcessError) as caught:
        process_figures([sys.executable, "-c", "import sys; sys.exit('broken')"])
    assert caught.value.returncode == 1
    assert caught.value.stderr.strip() == "broken"


def test_a_target_is_shown_next_to_the_measurement() -> None:
    measured = outcome(
        **{"dlcli": [{"epoch_seconds": 0.01}], "Keras fit": [{"epoch_seconds": 1.0}]}
    )

    assert target_rows([measured]) == [
        ("small", "fit / dlcli, per epoch", "≥ 150", "100", "missed"),
    ]


def test_the_mixed_table_has_a_target_and_thirty_columns_half_of_them_with_missing_values() -> None:
    *features, target = mixed_table(1_000).columns

    assert len(features) == 30
    assert sum(column.null_count > 0 for column in features) == 15
    assert target.null_count == 0


def test_every_target_is_about_an_existing_workload() -> None:
    names = {
        "start-up",
        "tutorial",
        "small-table",
        "encoding",
        "memory",
        "starter",
        "report",
        "terminal",
        *(workload.name for workload in WORKLOADS),
        *(f"{command}-{table}" for command in ("cv", "tune") for table in TABLES),
    }

    assert {target.suite for target in TARGETS} <= names


def test_a_table_shows_medians_and_ratios_to_its_first_case() -> None:
    page = io.StringIO()
    ours, rival = {"epoch_seconds": 0.5, "peak_bytes": 7e8}, {"epoch_seconds": 2.0}

    Console(width=100, file=page).print(outcome_report(outcome(ours=[ours], rival=[rival])))

    rows = [line.replace("│", " ").split() for line in page.getvalue().splitlines()]
    assert ["ours", "0.500", "700", "1.00"] in rows
    assert ["rival", "2.00", "–", "4.00"] in rows


def test_an_unknown_workload_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "tiny"])

    assert "digits" in capsys.readouterr().err


def make_run(run: Path, loss: float = 0.5, **metrics: float) -> Path:
    with new_run(run, "run") as writer:
        writer.write_history({"loss": [loss]})
        if metrics:
            writer.write_json(RunFile.METRICS, {"train": metrics})
        writer.finish()
    return run


def test_a_killed_run_is_compared_with_the_uninterrupted_one(tmp_path: Path) -> None:
    uninterrupted = make_run(tmp_path / "uninterrupted" / "run")
    others = tmp_path / "others"

    assert kills.differences(make_run(others / "1" / "run"), uninterrupted) == ""
    assert kills.differences(make_run(others / "2" / "run", loss=0.25), uninterrupted) == (
        "history.csv"
    )
    assert kills.differences(make_run(others / "3" / "run", mse=1.0), uninterrupted) == (
        "metrics.json exists in only one of them"
    )


class FakeProcess:
    """A command that writes what `init` and `train` do, and ends in a given way."""

    ends: dict[str, Ended] = {}

    def __init__(self, arguments: Sequence[str], folder: Path, log: Path) -> None:
        self._end = self.ends.get(arguments[0], Ended(0, "", ""))
        if arguments[0] in ("init", "train"):
            path = folder / arguments[arguments.index("--output") + 1]
            path = path if arguments[0] == "init" else path / "manifest.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text("input: {features: {a: numeric, b: {type: datetime}}}\n")

    def wait(self, seconds: float | None = None) -> Ended:
        return self._end


def test_commands_that_fail_unexpectedly_on_random_tables_are_reported_with_their_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random_tables, "start_command", FakeProcess)
    monkeypatch.setattr(
        FakeProcess, "ends", {"train": Ended(4, "", ""), "report": Ended(2, "", "no")}
    )
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        failures = [*random_tables.Round(seed, tmp_path / str(seed)).failures()]
        assert failures
        assert {each.partition(": dlcli 'report'")[0] for each in failures} == {
            f"seed {seed}, exit code 2"
        }


def test_files_that_a_kill_leaves_next_to_a_run_or_damages_are_differences(tmp_path: Path) -> None:
    uninterrupted, run = (make_run(tmp_path / name / "run") for name in ("uninterrupted", "other"))

    (run.parent / ".run-1.cache").mkdir()
    assert kills.differences(run, uninterrupted) == ".run-1.cache was left behind"
    (run / "history.csv").write_text("loss\n1\n")
    assert kills.differences(run, uninterrupted).startswith(f"{run / 'history.csv'}: has ")


def test_kills_are_counted_by_the_progress_of_the_training() -> None:
    tally = kills.Tally(kills.SERIES["disk"], again=3, equal=6, different=["a: history.csv"])
    tally.killed.update({"before": 1, "training": 4, "saving": 2})
    page = io.StringIO()
    Console(width=80, file=page).print(kills.report([tally]))

    assert page.getvalue().splitlines()[-2].split() == [
        *("disk", "7"),
        *("1", "4", "2", "0"),
        *("3", "6", "1"),
    ]


FULL = (
    "error: run/lock: could not be stored: No space left on device; free some space, "
    "then train again"
)


@pytest.mark.parametrize(
    ("ended", "complaint"),
    [
        (Ended(0, "", ""), []),
        (Ended(4, "", f"{FULL}\n"), []),
        (Ended(0, "", "warning: odd\n"), ["was done, but printed: warning: odd\n"]),
        (Ended(-11, "", ""), ["ended with -11: "]),
        (Ended(1, "", f"{FULL}\n"), [f"ended with 1: {FULL}\n"]),
        (Ended(4, "", "error: disk\n"), ["printed: error: disk\n"]),
        (Ended(4, "", f"Traceback\n{FULL}\n"), [f"printed: Traceback\n{FULL}\n"]),
    ],
)
def test_a_full_disk_is_reported_in_a_line_with_its_exit_code(
    ended: Ended, complaint: list[str]
) -> None:
    assert list(full_disk.complaints(ended)) == complaint


def test_disks_are_counted_by_how_training_ended() -> None:
    tally = full_disk.Tally("start", resumed=5, problems=["start with 0 bytes: odd"])
    tally.codes.update({0: 1, 4: 8})
    page = io.StringIO()
    Console(width=80, file=page).print(full_disk.report([tally]))

    assert page.getvalue().splitlines()[-2].split() == ["start", "9", "1", "0", "8", "5", "1"]


@pytest.mark.parametrize("rival", ["dlcli_engine", "keras_fit", "numpy_products"])
def test_a_worker_measures_a_workload(rival: str, run_module: Callable[..., Ended]) -> None:
    done = run_module("benchmarks.worker", rival, "3", json.dumps(asdict(TOY)))

    assert done.code == 0, done.errors
    measured = json.loads(done.output.splitlines()[-1])
    assert measured["training_seconds"] > 0
    assert measured["matrix_bytes"] == 10 * 2 * 4
    assert measured["peak_bytes"] > 10e6


def test_every_step_of_the_mixed_table_is_measured(
    tmp_path: Path, forked: Callable[..., None]
) -> None:
    forked("encodings", "output")
    measured = {case.name: case.measure() for case in encoding_cases(tmp_path, rows=300)}

    assert {"pyarrow read", "dlcli encode", "dlcli fit", "dlcli predict"} < set(measured)
    assert all(figures["step_seconds"] > 0 for figures in measured.values())
    assert all(figures["peak_bytes"] > 10e6 for figures in measured.values())


@pytest.mark.release
def test_the_default_training_of_a_table_is_measured(tmp_path: Path) -> None:
    [case] = starter_cases(tmp_path, sizes=(40,))
    figures = case.measure()

    assert case.name == starter_case_name(40) == "dlcli train, 40 rows"
    assert figures["peak_bytes"] > 300e6
    assert figures["cpu_seconds"] > 1
    assert (tmp_path / "starter-0" / "metrics.json").exists()


def test_a_table_on_disk_is_measured_under_a_limit(
    tmp_path: Path, forked: Callable[..., None]
) -> None:
    forked("memory", "output")
    [case] = memory_cases(tmp_path, sizes=(500,), columns=5)
    figures = case.measure()

    assert case.name == case_name(500) == "500 rows"
    assert (
        figures["table_share"]
        == figures["peak_bytes"] / (tmp_path / "memory-500.parquet").stat().st_size
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of processes from /proc")
@pytest.mark.parametrize("limit", [10**10, 10**6])
def test_the_memory_of_workers_is_measured_and_limited(
    tmp_path: Path, run_module: Callable[..., Ended], limit: int
) -> None:
    sizes = ["--rows=3000", "--columns=4", f"--limit={limit}", f"--folder={tmp_path}"]
    done = run_module("benchmarks.cluster_memory", *sizes)

    assert done.code == (limit == 10**6), done.errors
    assert "2 workers" in done.output
    peaks = re.findall(r"(0\.\d\d) GB", done.output.splitlines()[-2])
    assert len([peak for peak in peaks if float(peak) > 0.1]) == 2
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_training_on_a_terminal_updates_the_live_view_and_a_quiet_one_has_none(
    tmp_path: Path,
) -> None:
    measured = {case.name: case.measure() for case in terminal_cases(tmp_path, epochs=5_000)}

    assert measured[QUIET]["updates"] == 0 < measured[LIVE]["updates"] < 100
    assert all(figures["training_seconds"] > 0 for figures in measured.values())


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals and forking")
def test_a_training_is_killed_and_resumed(run_module: Callable[..., Ended]) -> None:
    series = ["--kills=1", "--keras=0", "--disk=0", "--decisions=0"]
    settings = ["early_stopping.start_from_epoch=0", "hidden[0].units=64", "epochs=20"]
    done = run_module("benchmarks.kills", *series, *(f"--set={each}" for each in settings))

    assert done.code == 0, done.errors
    row = done.output.split("compiled")[1].split()
    assert (row[0], row[-2:]) == ("1", ["1", "0"])


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs exists on Linux only")
def test_a_full_disk_and_one_with_enough_space_are_tried(
    run_module: Callable[..., Ended],
) -> None:
    done = run_module("benchmarks.full_disk", f"--step={2**24}")

    if done.code == full_disk.CANNOT_MOUNT:
        pytest.skip(done.errors.splitlines()[-1])
    assert done.code == 0, done.errors
    started, resumed = (done.output.split(name)[1].split() for name in ("start", "resume "))
    assert started[:6] == ["2", "1", "0", "1", "0", "0"]
    assert resumed[:6] == ["2", "1", "0", "1", "1", "0"]
