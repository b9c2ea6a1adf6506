"""A training that can't fit into memory is refused with the numbers, without TensorFlow."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import dlcli as package
from dlcli.config import load_config
from dlcli.errors import ConfigError, UsageError
from dlcli.pipeline import Events, memory, preflight, prepare
from dlcli.pipeline.footprint import footprint
from dlcli.pipeline.memory import Limit
from dlcli.pipeline.preflight import check_memory

MACHINE = "the machine's memory"
WIDE = "hidden=[{units: 2000}, {units: 2000}]"
"""Of 4,026,001 parameters: 97 MB at a checkpoint with adam, of which 64 MB are for adam's means."""
CONFIG = "data: {train: a.csv, target: y}\nhidden:\n  - {units: 20}\nepochs: 2\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A current folder with a config, and a table of 100 rows of 10 numbers."""
    monkeypatch.chdir(tmp_path)
    names = ",".join([*(f"x{at}" for at in range(10)), "y"])
    rows = [",".join(str((row * at) % 17) for at in range(1, 12)) for row in range(100)]
    Path("a.csv").write_text("\n".join([names, *rows]) + "\n")
    Path("names.csv").write_text("name,y\n" + "".join(f"n{at % 50},{at}\n" for at in range(100)))
    Path("c.yaml").write_text(CONFIG)
    monkeypatch.setattr(preflight, "DEVICES", ())
    return tmp_path


@pytest.fixture
def check(monkeypatch):
    """Checks a training with settings against limits; gives its warnings."""

    def check(*settings, limits, on_disk=False):
        given = [Limit(limit, MACHINE) if isinstance(limit, float) else limit for limit in limits]
        monkeypatch.setattr(preflight, "memory_limits", lambda: given)
        file = load_config(Path("c.yaml"), settings)
        prepared = prepare(file, Events(lambda *_: None))
        told = []
        events = Events(lambda event, fields: told.append(fields["message"]))
        check_memory(prepared, file.config, Path() if on_disk else None, events)
        return told

    return check


def problem_of(check, *settings, **options):
    """Key and message of the error."""
    with pytest.raises(ConfigError) as caught:
        check(*settings, **options)
    [problem] = caught.value.problems
    return problem.path, problem.message


class TestErrors:
    """What is certainly taken is more than there is."""

    def test_tell_all_the_numbers_and_what_each_is_for(self, check):
        assert problem_of(check, WIDE, limits=[200e6]) == (
            "hidden[1].units",
            "training needs 247 MB at least, and 200 MB are left of the machine's memory: 150 MB "
            "for TensorFlow, 97 MB for 4,026,001 parameters, 24 bytes each with adam; take fewer "
            "units, or an optimizer that keeps less, such as sgd",
        )

    def test_name_no_other_optimizer_that_would_not_help(self, check):
        _, message = problem_of(check, WIDE, limits=[160e6])
        assert message.endswith(" with adam; take fewer units")

    def test_begin_where_a_byte_is_missing(self, check):
        file = load_config(Path("c.yaml"), [WIDE])
        prepared = prepare(file, Events(lambda *_: None))
        least = 150e6 + footprint(prepared, file.config, on_disk=False).total
        assert len(check(WIDE, limits=[least])) == 1
        problem_of(check, WIDE, limits=[least - 1])

    def test_are_not_for_what_swap_has_room_for(self, check):
        assert len(check(WIDE, limits=[Limit(200e6, MACHINE, swap=50e6)])) == 1
        _, message = problem_of(check, WIDE, limits=[Limit(200e6, MACHINE, swap=40e6)])
        assert "and 240 MB are left of the machine's memory" in message

    def test_name_the_limit_that_lacks_most(self, check):
        limits = [Limit(200e6, MACHINE), Limit(170e6, "the container's memory"), Limit(1e12, "c")]
        _, message = problem_of(check, WIDE, limits=limits)
        assert "and 170 MB are left of the container's memory" in message

    def test_count_addresses_where_a_limit_does(self, check):
        limit = Limit(1.25e9, "the address space (ulimit -v)", counts="addresses")
        _, message = problem_of(check, WIDE, limits=[limit])
        assert message.startswith(
            "training needs 1.30 GB at least, and 1.25 GB are left of the address space "
            "(ulimit -v): 1.20 GB for TensorFlow, 97 MB for "
        )

    @pytest.mark.parametrize(("counts", "needs"), [("pages", "150 MB"), ("addresses", "1.20 GB")])
    def test_blame_no_key_where_tensorflow_alone_does_not_fit(self, counts, needs, check):
        limit = Limit(149e6, "the container's memory", counts)
        with pytest.raises(UsageError) as caught:
            check(WIDE, limits=[limit])
        assert str(caught.value) == (
            f"TensorFlow alone needs {needs} at least, and 149 MB are left of the container's "
            "memory; raise that limit, or end what else runs"
        )

    def test_say_0_where_more_is_taken_than_allowed(self, check):
        with pytest.raises(UsageError, match="and 0 MB are left of the machine's memory"):
            check(limits=[-1e9])


EMBEDDED = "{type: categorical, encoding: {name: embedding, units: 50}}"
KEYS = {
    "rows": (["hidden=[]"], "data.storage", "set data.storage: disk"),
    "a batch": (["batch_size=1000"], "batch_size", "take a smaller batch_size"),
    "judging": ([], "hidden[0].units", "take fewer units"),
    "a square layer": ([WIDE], "hidden[1].units", "take fewer units"),
    "a layer that narrows": (
        ["hidden=[{units: 3000}, {units: 900}]"],
        "hidden[0].units",
        "take fewer units",
    ),
    "a layer that widens": (
        ["hidden=[{units: 900}, {units: 3000}]"],
        "hidden[1].units",
        "take fewer units",
    ),
    "an output for many classes": (
        ["data={train: names.csv, target: name}", "hidden=[{units: 30}]"],
        "hidden[0].units",
        "take fewer units",
    ),
    "an embedding": (
        ["data.train=names.csv", f"input.features={{name: {EMBEDDED}}}"],
        "input.features.name",
        "give its embedding fewer units",
    ),
}


@pytest.mark.parametrize(("settings", "key", "way_out"), KEYS.values(), ids=KEYS)
def test_the_key_that_weighs_most_is_named(settings, key, way_out, check):
    file = load_config(Path("c.yaml"), settings)
    prepared = prepare(file, Events(lambda *_: None))
    least = 150e6 + footprint(prepared, file.config, on_disk=False).total
    path, message = problem_of(check, *settings, limits=[least - 1])
    assert path == key
    assert (
        message.partition("; ")[2].removesuffix(", or an optimizer that keeps less, such as sgd")
        == way_out
    )


def test_a_linear_model_is_as_wide_as_its_columns(check):
    settings = ("hidden=[]", "batch_size=1")
    path, message = problem_of(check, *settings, limits=[150e6], on_disk=True)
    assert (path, message.partition("; ")[2]) == ("input", "read fewer columns, or less of them")


class TestWarnings:
    """What is usually taken comes near to what there is: two times 97 MB and 600 MB."""

    @pytest.mark.parametrize("left", [900e6, 991e6])
    def test_tell_what_is_usual(self, left, check):
        assert check(WIDE, limits=[left]) == [
            f"training may not fit: it usually takes 793 MB, and {left / 1e6:.0f} MB are left of "
            "the machine's memory; take fewer units (hidden[1].units)"
        ]

    @pytest.mark.parametrize("limits", [[992e6], [1e12], []])
    def test_are_not_given_where_there_is_room(self, limits, check):
        assert check(WIDE, limits=limits) == []

    def test_do_not_count_swap_which_is_slow(self, check):
        assert len(check(WIDE, limits=[Limit(900e6, MACHINE, swap=1e12)])) == 1

    def test_name_the_limit_that_is_tightest(self, check):
        limits = [
            Limit(900e6, MACHINE),
            Limit(2e9, "the address space (ulimit -v)", "addresses"),
            Limit(400e6, "the data segment (ulimit -d)", "data"),
        ]
        [warning] = check(WIDE, limits=limits)
        assert "usually takes 493 MB, and 400 MB are left of the data segment" in warning


class TestDevices:
    """What trains on a device with a memory of its own doesn't count."""

    @pytest.fixture(autouse=True)
    def device(self, folder, monkeypatch):
        monkeypatch.setattr(preflight, "DEVICES", (folder / "absent", folder / "a.csv"))

    def test_it_takes_less_here(self, check):
        assert len(check(WIDE, limits=[200e6])) == 1

    def test_it_counts_if_the_processor_is_asked_for(self, check):
        problem_of(check, WIDE, "device=cpu", limits=[200e6])


def test_what_the_process_does_not_need_is_given_back_before_it_is_refused(check, monkeypatch):
    given = iter([[Limit(200e6, MACHINE)], [Limit(1e12, MACHINE)]])
    told = []
    monkeypatch.setattr(preflight, "_give_back", lambda: told.append("given back"))
    check(limits=[1e12])
    assert told == []
    monkeypatch.setattr(preflight, "memory_limits", lambda: next(given))
    file = load_config(Path("c.yaml"), [WIDE])
    prepared = prepare(file, Events(lambda *_: None))
    check_memory(prepared, file.config, None, Events(lambda event, _: told.append(event)))
    assert told == ["given back"]


def test_what_a_container_has_left_counts(folder, monkeypatch):
    group = folder / "groups" / "outer"
    for path, text in {
        folder / "proc/meminfo": "MemAvailable: 90000000 kB\n",
        folder / "proc/self/cgroup": "0::/outer\n",
        group / "memory.max": "300000000\n",
        group / "memory.current": "100000000\n",
        group / "memory.stat": "inactive_file 0\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(memory, "PROC", folder / "proc")
    monkeypatch.setattr(memory, "CGROUPS", folder / "groups")
    file = load_config(Path("c.yaml"), [WIDE])
    prepared = prepare(file, Events(lambda *_: None))
    with pytest.raises(ConfigError, match="and 200 MB are left of the container's memory: "):
        check_memory(prepared, file.config, None, Events(lambda *_: None))


WITHOUT_TENSORFLOW = """
import sys
from dlcli.cli import main
try:
    main(prog_name="dlcli")
finally:
    assert "tensorflow" not in sys.modules
"""


@pytest.mark.parametrize("verb", ["train", "validate"])
def test_two_layers_of_a_million_units_are_refused_at_their_place(verb):
    million = "  - {units: 1000000}\n"
    Path("c.yaml").write_text(CONFIG.replace("  - {units: 20}\n", 2 * million))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, verb, "c.yaml"],
        env={"PYTHONPATH": str(Path(package.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    *_, line = done.stderr.splitlines()
    assert re.sub(r"and \S+ GB are left of [^:]+", "and ... are left of ...", line) == (
        "error: c.yaml:4:13: hidden[1].units: training needs 24000.46 GB at least, and ... are "
        "left of ...: 24000.31 GB for 1,000,013,000,001 parameters, 24 bytes each with adam; take "
        "fewer units"
    )
    assert not Path("runs").exists()
