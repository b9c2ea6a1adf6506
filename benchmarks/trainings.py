"""The cases of a workload: dlcli and its rivals, each measurement in a fresh process."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial

from benchmarks.processes import output
from benchmarks.runner import Case, Figures
from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Rival:
    """A library that trains a workload."""

    module: str
    """Its module in `benchmarks.rivals`."""
    package: str
    """The package that the module imports."""
    is_ours: bool
    """True if dlcli depends on the package, so it runs in dlcli's environment."""
    compiles: bool = False
    """True if the first epoch includes compilation, so more epochs are trained."""


RIVALS: Mapping[str, Rival] = {
    "dlcli": Rival("dlcli_engine", "dlcli", is_ours=True, compiles=True),
    "NumPy sgemm": Rival("numpy_products", "numpy", is_ours=True),
    "Keras fit": Rival("keras_fit", "keras", is_ours=True),
    "JAX": Rival("jax_scan", "jax", is_ours=False, compiles=True),
    "PyTorch": Rival("torch_loop", "torch", is_ours=False),
    "scikit-learn": Rival("sklearn_mlp", "sklearn", is_ours=False),
}
"""Rivals by their name in tables, in order of measurement."""


@dataclass(frozen=True)
class Interpreters:
    """The Python interpreters that run the rivals."""

    rivals: str
    """The interpreter with libraries that dlcli does not depend on."""

    def of(self, rival: Rival) -> str:
        """Return the interpreter that runs a rival."""
        return sys.executable if rival.is_ours else self.rivals

    def have(self, rival: Rival) -> bool:
        """Return whether the package of a rival is installed."""
        find = f"import importlib.util as u; print(u.find_spec({rival.package!r}) is not None)"
        if self.of(rival) == sys.executable:
            return importlib.util.find_spec(rival.package) is not None
        return output([self.rivals, "-c", find]).strip() == "True"


def training_cases(workload: Workload, interpreters: Interpreters) -> Iterator[Case]:
    """Yield dlcli and the rivals of a workload, except those that are not installed."""

    def case(name: str, rival: Rival, trained: Workload, epochs: int) -> Case:
        return Case(name, partial(_measure, interpreters.of(rival), rival, trained, epochs))

    for name in ("dlcli", *workload.rivals):
        rival = RIVALS[name]
        if interpreters.have(rival):
            epochs = workload.long if rival.compiles else workload.epochs
            yield case(name, rival, workload, epochs)
    ours = RIVALS["dlcli"]
    if workload.long != workload.epochs:
        yield case(f"dlcli, {workload.epochs} epochs", ours, workload, workload.epochs)
    if workload != workload.plain:
        yield case("dlcli, plain", ours, workload.plain, workload.long)


def _measure(python: str, rival: Rival, workload: Workload, epochs: int) -> Figures:
    worker = [python, "-m", "benchmarks.worker", rival.module, str(epochs)]
    lines = output([*worker, json.dumps(asdict(workload))]).splitlines()
    figures: Figures = json.loads(lines[-1])
    return figures
