"""What tests of several packages share."""

from __future__ import annotations

import os
import runpy
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from functools import cache, wraps
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# Several test processes share the cores, and threads of OpenBLAS would wait for each other there.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from dlcli import is_command_line
from dlcli.config.config_schema import Engine
from dlcli.pipeline.fit import pause_collection
from tests.forks import Forks

if TYPE_CHECKING:
    from dlcli.training.compiled_engine import ProgramCache
    from dlcli.training.compiled_program import ResidentProgram
    from dlcli.training_job import Checkpointer, EpochProgress, Job, TrainingResult

_HIDING = Path(__file__).parent / "without_pandas"
if "DLCLI_TESTS_BESIDE_PANDAS" not in os.environ:
    runpy.run_path(str(_HIDING / "sitecustomize.py"))
    # Of the processes that tests start, in any folder, even if the package is not installed.
    paths = [str(_HIDING), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))

LONGEST = "test_beside_pandas"
"""The file with the longest test, which takes more than half a minute."""
EXAMPLES = int(os.environ.get("DLCLI_FUZZ", "25"))
"""Examples of each property that names no number of its own."""
settings.register_profile("untimed", deadline=None, max_examples=EXAMPLES)  # machines may be busy
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what test modules load, TensorFlow above all, out of all later garbage collections.

    Searching it for garbage takes as long as a short training, and most trainings do it.
    """
    with pause_collection():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test and those of the project, so that none of them is last.

    Tests for a release are slow ones, too.
    """
    items.sort(key=lambda item: (item.path.stem != LONGEST, "project" not in item.path.parts))
    for item in items:
        if item.get_closest_marker("release"):
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Leave files to the system: those of tests need not survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs commands of dlcli in processes of their own."""
    if not hasattr(os, "fork"):
        pytest.skip("there are no forks")
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@pytest.fixture
def preloaded_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers be forks of a process that has loaded TensorFlow, and has no threads yet."""
    if "forkserver" in get_all_start_methods():
        context = get_context("forkserver")
        context.set_forkserver_preload(["dlcli.pipeline.fit", "dlcli.training.engines"])
        monkeypatch.setattr("dlcli.pipeline.worker_pool.get_context", lambda _: context)


@pytest.fixture
def handles_signals() -> Iterator[None]:
    """Handle signals as in the process of a command."""
    token = is_command_line.set(True)
    yield
    is_command_line.reset(token)


MOST_PROGRAMS = 20
"""Programs to keep, which share graphs of some 20 MB each."""


@cache
def shared_programs() -> ProgramCache:
    """Return the cache of programs that tests with `compiled_once` share."""
    from dlcli.training.compiled_engine import ProgramCache

    return ProgramCache(any_size=True)


@pytest.fixture(scope="module")
def compiled_once() -> Iterator[None]:
    """Trace each graph once: it takes most of the time of a training on a few rows.

    What a cache of programs would trace may be there from another test, and a training without a
    cache uses it, too. Not for tests that compare bits: a program that is shared has as variables
    what another one has as constants, and may round otherwise.
    """
    from dlcli.training import compiled_engine, engines
    from dlcli.training.compiled_engine import ProgramCache, program_key
    from dlcli.training_job import NO_CHECKPOINTS

    programs, train_job = shared_programs(), engines.train_job

    class SharedPrograms(ProgramCache):
        """Lends the programs of all tests, and counts those that it would have made."""

        def __init__(self, *, any_size: bool = False) -> None:
            super().__init__(any_size=any_size)
            self.keys = set[str]()

        def program(self, job: Job, jit_compile: bool) -> AbstractContextManager[ResidentProgram]:
            self.keys.add(program_key(job, jit_compile))
            self.made = len(self.keys)
            return programs.program(job, jit_compile)

    @wraps(train_job)
    def train_with_cache(
        job: Job,
        engine: Engine,
        progress: EpochProgress,
        checkpointer: Checkpointer = NO_CHECKPOINTS,
        programs: ProgramCache | None = None,
    ) -> TrainingResult:
        programs = programs or shared_programs()
        return train_job(job, engine, progress, checkpointer, programs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_engine, "MOST_PROGRAMS", MOST_PROGRAMS)
        patch.setattr(compiled_engine, "ProgramCache", SharedPrograms)
        patch.setattr(engines, "train_job", train_with_cache)
        yield


@pytest.fixture(scope="module")
def no_linear_baseline() -> Iterator[None]:
    """Omit the linear model, which takes longer to train than the small networks of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlcli.pipeline.baselines.is_affordable", lambda network: False)
        yield
