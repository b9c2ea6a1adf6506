"""The simplest models of a run, with which the network is compared on other rows, too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Ensemble, Output
from dlcli.network.activations import Floats
from dlcli.network.layers import Weights
from dlcli.network.network import build_network
from dlcli.prediction.predictor import Evaluation, Predictor
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
    def without_weights(cls, predictor: Predictor, has_linear: bool) -> BaselineModels:
        """Return models whose weights are yet to be read.

        Args:
            predictor: the run's network.
            has_linear: whether the run has a linear model.
        """
        constant = np.zeros(predictor.network.outputs, np.float32)
        return cls(predictor, constant, _without_hidden_layers(predictor) if has_linear else None)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the arrays that are stored of them, by name."""
        shapes = {} if self.linear is None else self.linear.weight_shapes
        stored = {_stored(name): shape for name, shape in shapes.items()}
        return {"constant": self.constant.shape, **stored}

    def with_arrays(self, arrays: Mapping[str, Floats]) -> BaselineModels:
        """Return the models with the arrays that are stored of them, by name."""
        linear = self.linear
        if linear is not None:
            weights = {name: arrays[_stored(name)] for name in linear.weight_shapes}
            linear = replace(linear, weights=weights)
        return replace(self, constant=arrays["constant"], linear=linear)

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
            problems = ValueProblems(lenient=True)  # the network's have been reported
            outputs["linear"] = self.linear.predict(evaluation.evaluated, problems).decoded
        shape = evaluation.decoded.decoded.shape
        return {
            name: replace(evaluation.decoded, decoded=np.broadcast_to(each, shape))
            for name, each in outputs.items()
        }


def linear_output(output: Output) -> Output:
    """Return the output of the linear model of a network, which always has a bias."""
    return Output(units=output.units, activation=output.activation, scaling=output.scaling)


def _stored(name: str) -> str:
    """Return a weight of the linear model's name in a run folder."""
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
