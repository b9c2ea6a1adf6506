"""A training that can't fit into memory is refused with the numbers, without TensorFlow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.config.training_choices import Optimizer
from dlcli.errors import ConfigError, UsageError
from dlcli.pipeline import preflight
from dlcli.pipeline.events import Events
from dlcli.pipeline.preflight import (
    MemoryLimit,
    available_memory,
    check_plan,
    memory_limits,
    optimizer_slots,
    required_memory,
)
from dlcli.pipeline.preparation import prepare
from dlcli.schema.section import members_of
from dlcli.tables.stored_columns import Storage

resource = pytest.importorskip("resource")

MACHINE = "the machine's memory"
WIDE = "hidden=[{units: 2000}, {units: 2000}]"
SMALL = 10 * 20 + 20 + 20 + 1
"""Parameters of 10 → 20 → 1."""
LARGE = 10 * 2000 + 2000 + 2000 * 2000 + 2000 + 2000 + 1
"""Parameters of 10 → 2000 → 2000 → 1."""
CONFIG = "data: {train: a.csv, target: y}\nhidden:\n  - {units: 20}\nepochs: 2\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A current folder with a config, and a table of 100 rows of 10 numbers."""
    monkeypatch.chdir(tmp_path)
    names = ",".join([*(f"x{at}" for at in range(10)), "y"])
    rows = [",".join(str((row * at) % 17) for at in range(1, 12)) for row in range(100)]
    Path("a.csv").write_text("\n".join([names, *rows]) + "\n")
    Path("c.yaml").write_text(CONFIG)
    monkeypatch.setattr(preflight, "GPUS", ())
    return tmp_path


def prepared_with(*settings):
    file = load_config(Path("c.yaml"), settings)
    return prepare(file, Events())


class TestRequiredMemory:
    """The least memory of a training, by hand and by Keras's count."""

    @pytest.mark.parametrize(
        ("settings", "weights"),
        [
            ([], 3 * SMALL),
            (["optimizer=sgd"], SMALL),
            (["optimizer={name: sgd, momentum: 0.9}"], 2 * SMALL),
            (["early_stopping={monitor: loss}"], 4 * SMALL),
            (["early_stopping={monitor: loss, restore_best_weights: false}"], 3 * SMALL),
            ([WIDE], 3 * LARGE),
        ],
    )
    def test_counts_weights_their_best_copy_and_optimizer_slots(self, settings, weights):
        assert required_memory(*prepared_with(*settings))["weights"] == 4 * weights

    def test_counts_running_means_once(self):
        hidden = "hidden=[{units: 20, batch_normalization: true}]"
        found = required_memory(*prepared_with(hidden))
        assert found["weights"] == 4 * (3 * (SMALL + 2 * 20) + 2 * 20)

    def test_counts_the_largest_network_of_an_ensemble_with_different_settings(self):
        varied = "ensemble={members: 4, folds: 2, vary: {hidden_layers: {units: [900, 901]}}}"
        alike = required_memory(*prepared_with("ensemble={members: 4, folds: 2}"))
        found = required_memory(*prepared_with(varied))
        assert found["weights"] > 10 * alike["weights"]

    def test_counts_encoded_rows_unless_they_are_on_disk(self):
        prepared = prepared_with()
        assert required_memory(*prepared)["rows"] == 4 * 10 * 100
        rows = replace(prepared[0], storage=Storage(Path("rows")))
        assert required_memory(rows, prepared[1])["rows"] == 0

    def test_counts_two_numbers_for_the_bins_of_a_number(self):
        prepared = prepared_with("input.encoding={name: piecewise_linear, bins: 4}")
        assert prepared[1].network.inputs == 10 * 4
        assert required_memory(*prepared)["rows"] == 4 * 10 * 2 * 100

    def test_counts_sparse_rows_only_as_far_as_they_are_filled(self, monkeypatch):
        texts = "".join(f"word{row % 50} and,{row}\n" for row in range(100))
        Path("t.csv").write_text("note,y\n" + texts)
        prepared = prepared_with("data.train=t.csv", "input.features={note: text}")
        words = len(prepared[0].encoding.features[0].tokens)
        assert required_memory(*prepared)["rows"] == 4 * words * 100
        monkeypatch.setattr(preflight, "MOST_FILLED", 100 * words - 1)
        assert required_memory(*prepared)["rows"] == 0

    @pytest.mark.parametrize(
        ("settings", "batch"),
        [
            (["batch_size=7"], 7 * 4 * (10 + 20 + 1)),
            (["batch_size=1000"], 100 * 4 * (10 + 20 + 1)),
            (["batch_size=7", "precision=mixed_bfloat16"], 7 * (4 * 10 + 2 * (20 + 1))),
        ],
    )
    def test_counts_inputs_and_outputs_of_a_batch(self, settings, batch):
        assert required_memory(*prepared_with(*settings))["batch"] == batch

    @pytest.mark.slow
    @pytest.mark.parametrize("section", members_of(Optimizer).values())
    def test_counts_no_more_slots_than_keras_has(self, section):
        import keras

        from dlcli.keras_model import parameters_of

        kernel = keras.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], name="kernel")
        theirs = getattr(keras.optimizers, section.__name__)(**parameters_of(section()))
        theirs.build([kernel])
        slots = sum(variable.shape == (2, 3) for variable in theirs.variables)
        assert optimizer_slots(section()) <= slots <= optimizer_slots(section()) + 1


@pytest.fixture
def check(monkeypatch):
    """Checks a training with settings against limits."""

    def check(*settings, limits, on_disk=False):
        given = [MemoryLimit(each, MACHINE) if isinstance(each, float) else each for each in limits]
        monkeypatch.setattr(preflight, "memory_limits", lambda: given)
        rows, plan = prepared_with(*settings)
        stored = Storage(Path("rows") if on_disk else None)
        check_plan(replace(rows, storage=stored), plan, Events())

    return check


class TestRefusal:
    """More is certainly taken than there is."""

    def test_has_all_the_numbers_and_what_each_is_for(self, check):
        with pytest.raises(ConfigError) as caught:
            check(WIDE, limits=[190e6])
        [problem] = caught.value.problems
        assert (problem.path, problem.message) == (
            "hidden[1].units",
            "training requires at least 199 MB, but the machine's memory has 190 MB left: 48 MB "
            "for 4,026,001 parameters with adam, 0 MB for encoded rows, 1 MB for a batch, 150 MB "
            "for TensorFlow; use fewer units",
        )

    def test_begins_where_a_byte_is_missing(self, check):
        total = 150e6 + sum(required_memory(*prepared_with(WIDE)).values())
        check(WIDE, limits=[total])
        with pytest.raises(ConfigError):
            check(WIDE, limits=[total - 1])

    def test_counts_swap_space(self, check):
        check(WIDE, limits=[MemoryLimit(150e6, MACHINE, swap=50e6)])
        with pytest.raises(ConfigError, match="but the machine's memory has 190 MB left"):
            check(WIDE, limits=[MemoryLimit(150e6, MACHINE, swap=40e6)])

    def test_names_the_tightest_limit(self, check):
        limits = [MemoryLimit(180e6, MACHINE), MemoryLimit(170e6, "the container's memory")]
        with pytest.raises(ConfigError, match="but the container's memory has 170 MB left"):
            check(WIDE, limits=limits)

    def test_blames_no_key_where_tensorflow_alone_does_not_fit(self, check):
        limit = MemoryLimit(149e6, "the address space (ulimit -v)", tensorflow=1_200_000_000)
        with pytest.raises(UsageError) as caught:
            check(WIDE, limits=[limit])
        assert str(caught.value) == (
            snapshot(
                "TensorFlow alone requires at least 1.20 GB, but the address space (ulimit -v) has 149 MB left; raise that limit, or close other programs"
            )
        )

    @pytest.mark.parametrize(
        ("settings", "key", "way_out"),
        [
            (["hidden=[]", "batch_size=1"], "data.storage", "set data.storage: disk"),
            (["hidden=[{units: 90}]", "batch_size=100"], "batch_size", "use a smaller batch_size"),
            ([WIDE], "hidden[1].units", "use fewer units"),
            (["hidden=[{units: 3000}, {units: 900}]"], "hidden[0].units", "use fewer units"),
            (["hidden=[{units: 900}, {units: 3000}]"], "hidden[1].units", "use fewer units"),
        ],
    )
    def test_names_the_key_that_takes_most(self, settings, key, way_out, check):
        total = 150e6 + sum(required_memory(*prepared_with(*settings)).values())
        with pytest.raises(ConfigError) as caught:
            check(*settings, limits=[total - 1])
        [problem] = caught.value.problems
        assert (problem.path, problem.message.rpartition("; ")[2]) == (key, way_out)

    def test_is_not_for_what_may_train_on_a_gpu(self, check, monkeypatch):
        monkeypatch.setattr(preflight, "GPUS", (Path("absent"), Path("a.csv")))
        check(WIDE, limits=[150e6])
        with pytest.raises(ConfigError):
            check(WIDE, "device=cpu", limits=[150e6])


WITHOUT_TENSORFLOW = """
import sys
from dlcli.cli.program import main
try:
    main(prog_name="dlcli")
finally:
    assert "tensorflow" not in sys.modules
"""


@pytest.mark.slow
def test_two_layers_of_a_million_units_are_refused_at_their_position():
    million = "  - {units: 1000000}\n"
    Path("c.yaml").write_text(CONFIG.replace("  - {units: 20}\n", 2 * million))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, "train", "c.yaml"],
        env={"PYTHONPATH": os.environ["PYTHONPATH"]},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    *_, line = done.stderr.splitlines()
    assert re.sub(r"but [^:]+ has \S+ GB left", "but ... has ... left", line) == (
        "error: c.yaml:4:13: hidden[1].units: training requires at least 12000.56 GB, but ... has "
        "... left: 12000.16 GB for 1,000,013,000,001 parameters with adam, 0 MB for encoded "
        "rows, 256 MB for a batch, 150 MB for TensorFlow; use fewer units"
    )
    assert not Path("runs").exists()


MEASURE = """\
import json, os, re, sys
from pathlib import Path
from dlcli.config.config_file import load_config
from dlcli.pipeline import train_run
from dlcli.pipeline.train_run import train
from dlcli.pipeline.preflight import required_memory

def now(name):
    text = Path("/proc/self/status").read_text()
    return int(re.search(name + r":\\s+(\\d+)", text)[1]) * 1024

def check(rows, plan, events):
    found["least"] = sum(required_memory(rows, plan).values())
    found["before"] = now("VmRSS")

def end(event):
    if event.kind == "trained":  # what follows is not estimated, and takes longer
        print(json.dumps(found | {"peak": now("VmHWM")}), flush=True)
        os._exit(0)

found = {}
train_run.check_plan = check
train(load_config(Path("c.yaml"), sys.argv[1:]), None, end)
"""


@pytest.mark.release
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("engine", ["compiled", "keras"])
@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (50, ["hidden=[{units: 3700}, {units: 3700}]", "early_stopping={monitor: loss}"]),
        (20_000, ["hidden=[{units: 4000, activation: relu}, {units: 9}]", "batch_size=20000"]),
    ],
    ids=["weights", "batch"],
)
def test_the_estimate_is_never_more_than_is_really_taken(rows, settings, engine):
    lines = "".join(f"{row % 13},{row % 7}\n" for row in range(rows))
    Path("a.csv").write_text("x,y\n" + lines)
    Path("c.yaml").write_text("data: {train: a.csv, target: y}\nhidden: []\nepochs: 1\n")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, f"engine={engine}", *settings],
        env={"PYTHONPATH": os.environ["PYTHONPATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert 200_000_000 < found["least"] < found["peak"] - found["before"]


class TestAvailableMemory:
    """The least of what machine, containers and shell leave."""

    @pytest.fixture(autouse=True)
    def system(self, tmp_path, monkeypatch):
        """Writes what a system reports: 5000 kB left, and a process in no group."""
        limits = dict.fromkeys((resource.RLIMIT_AS, resource.RLIMIT_DATA), resource.RLIM_INFINITY)

        def report(file="", text="", **shell):
            if file:
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / file).write_text(text)
            names = {getattr(resource, f"RLIMIT_{name}"): value for name, value in shell.items()}
            limits.update(names)

        monkeypatch.setattr(preflight, "PROC", tmp_path / "proc")
        monkeypatch.setattr(preflight, "CGROUPS", tmp_path / "groups")
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], 10**12))
        report("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    5000 kB\nHugePages_Total: 0\n")
        report("proc/self/status", "Name:\tdlcli\nVmSize:\t   1000 kB\nVmData:\t    200 kB\n")
        report("proc/self/cgroup", "1:cpu,cpuacct:/other\n0::/outer/inner\n")
        return report

    @pytest.fixture
    def group(self, system):
        """Writes what the system reports of a control group."""

        def report(path, limit, used=None, files=0):
            system(f"groups/{path}/memory.max", f"{limit}\n")
            if used is not None:
                system(f"groups/{path}/memory.current", f"{used}\n")
            half = files // 2
            stat = f"inactive_file {half}\nactive_file {half}\nshmem 7\n"
            system(f"groups/{path}/memory.stat", stat)

        return report

    def test_is_what_the_machine_has_left(self):
        assert available_memory() == 5_120_000

    def test_is_all_memory_where_the_system_does_not_report_it(self, tmp_path, monkeypatch):
        (tmp_path / "proc/meminfo").unlink()
        monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
        assert available_memory() == 4_096_000

    def test_is_what_a_container_has_left_and_files_are_given_up(self, group):
        group("outer/inner", 4000, used=1000, files=600)
        assert available_memory() == 3600

    def test_is_the_least_of_all_groups_around_the_process(self, group):
        group("outer/inner", 4000, used=500)
        group("outer", 4000, used=1500)
        group("", 4000, used=1000)
        group("other", 4000, used=3000)
        assert available_memory() == 2500

    @pytest.mark.parametrize("limit", ["max", "", "?"])
    def test_has_no_limit_where_a_group_has_none(self, limit, group):
        group("outer/inner", limit, used=1000)
        assert available_memory() == 5_120_000

    def test_leaves_swap_space_aside(self, group, system):
        group("outer/inner", 4000)
        system("proc/meminfo", "MemAvailable: 5 kB\nSwapTotal: 20 kB\nSwapFree: 10 kB\n")
        limits = [(limit.name, limit.swap) for limit in memory_limits()]
        assert limits == [(MACHINE, 10_240), ("the container's memory", 10_240)]
        assert available_memory() == 4000

    def test_is_what_a_shell_allows_less_what_is_taken(self, system):
        system(AS=3_000_000, DATA=2_000_000)
        assert available_memory() == 2_000_000 - 204_800
        _, addresses, data = memory_limits()
        assert (addresses.left, addresses.name) == (1_976_000, "the address space (ulimit -v)")
        assert (data.name, data.tensorflow) == ("the data segment (ulimit -d)", 150_000_000)

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
    def test_is_read_from_the_real_system(self, monkeypatch):
        monkeypatch.undo()
        assert available_memory() > 0
        assert {limit.name for limit in memory_limits()} >= {MACHINE}
