"""The simplest models of a run, with which the network is compared on other rows, too."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from dlcli.config.config_schema import Ensemble, Output
from dlcli.errors import RunError
from dlcli.network.activations import Floats
from dlcli.network.layers import Weights
from dlcli.network.network import build_network
from dlcli.prediction.predictor import Evaluation, Predictor
from dlcli.preprocessing import ValueIssues
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_reader import Run
from dlcli.tasks.task import DecodedRows


@dataclass(frozen=True)
class BaselineModels:
    """The constant and the linear baseline of a run."""

    predictor: Predictor
    """The run's network."""
    constant: Floats
    """The output of the constant model as trained on, (units,)."""
    linear: Predictor | None
    """The linear model; `None` if there is none."""

    @classmethod
    def of(cls, run: Run, predictor: Predictor) -> BaselineModels:
        """Read those of a run.

        Args:
            run: the run.
            predictor: its network.

        Raises:
            RunError: if they are damaged, or not there.
        """
        if not run.has(RunFile.BASELINE_WEIGHTS):
            message = "has no baselines.npz, which the gates with better_than need; train it again"
            raise RunError(f"{run.path}: {message}")
        linear = _without_hidden_layers(predictor) if "linear" in run.read_baselines() else None
        shapes = {} if linear is None else linear.weight_shapes
        stored = {_stored(name): shape for name, shape in shapes.items()}
        units = predictor.network.outputs
        arrays = run.read_arrays(RunFile.BASELINE_WEIGHTS, {"constant": (units,), **stored})
        if linear is not None:
            linear = replace(linear, weights={name: arrays[_stored(name)] for name in shapes})
        return cls(predictor, arrays["constant"], linear)

    @property
    def arrays(self) -> Weights:
        """The arrays that are stored of them, by name."""
        weights = {} if self.linear is None else self.linear.weights
        return {
            "constant": self.constant,
            **{_stored(name): array for name, array in weights.items()},
        }

    def decoded(self, names: Collection[str], evaluation: Evaluation) -> dict[str, DecodedRows]:
        """Return the rows that the network was evaluated on as baselines predict them.

        Args:
            names: the baselines: `constant`, `linear`.
            evaluation: the network's.

        Returns:
            The rows by baseline, without a linear one that the run does not have.
        """
        outputs = {}
        if "constant" in names:
            constant = self.constant[np.newaxis].astype(np.float64)
            outputs["constant"] = self.predictor.decode(constant).decoded
        if "linear" in names and self.linear is not None:
            issues = ValueIssues(lenient=True)  # the network's have been reported
            outputs["linear"] = self.linear.predict(evaluation.evaluated, issues).decoded
        shape = evaluation.decoded.decoded.shape
        return {
            name: replace(evaluation.decoded, decoded=np.broadcast_to(each, shape))
            for name, each in outputs.items()
        }


def linear_output(output: Output) -> Output:
    """Return the output of the linear model of a network, which always has a bias."""
    return Output(units=output.units, activation=output.activation, scaling=output.scaling)


def _stored(name: str) -> str:
    """Return a weight of the linear model's name in `baselines.npz`."""
    return f"linear/{name}"


def _without_hidden_layers(predictor: Predictor) -> Predictor:
    """Return the linear model of a network, without its weights.

    In an ensemble with folds it has one member for each, trained on the rows of the network's
    member with the same number; otherwise it is a single network.
    """
    config, folds = predictor.config, predictor.config.ensemble_folds
    return replace(
        predictor,
        config=config.model_copy(
            update={
                "hidden": (),
                "ensemble": None if folds is None else Ensemble(members=folds),
            }
        ),
        network=build_network(predictor.encoding.layout, (), linear_output(config.output)),
        weights={},
        tasks=() if folds is None else predictor.tasks[:folds],
        conformal=None,
    )
