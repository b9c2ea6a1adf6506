"""The loader of models that `dlcli export --format mlflow` writes.

MLflow imports this module by the name in `MLmodel`. Neither MLflow nor TensorFlow is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlcli.api.functions import load
from dlcli.api.models import Model


@dataclass(frozen=True)
class MlflowModel:
    """A model with the interface of MLflow's `python_function` flavor."""

    model: Model

    def predict(self, model_input: Any, params: object = None) -> Any:  # noqa: ANN401  (pandas)
        """Predict each row of a data frame, like `dlcli predict`.

        Args:
            model_input: a data frame with the training columns.
            params: MLflow's parameters of inference; the model has none.

        Returns:
            A data frame with the columns of `dlcli predict`.
        """
        return self.model.predict(model_input).to_pandas()


def _load_pyfunc(path: str) -> MlflowModel:
    """Load the run folder of a model; MLflow calls this function."""
    return MlflowModel(load(path))
