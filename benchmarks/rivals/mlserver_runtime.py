"""A runtime of MLServer around an exported graph, see `benchmarks.serving`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving_rivals import Graph


class Runtime(MLModel):  # type: ignore[misc]
    """The graph of the run that the model's URI names."""

    async def load(self) -> bool:
        """Load the graph."""
        self.graph = Graph(Path(self.settings.parameters.uri))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Predict the rows of a request, with an output for each of the graph's."""
        columns: dict[str, Any] = {
            each.name: (
                NumpyCodec.decode_input(each).ravel().tolist()
                if self.graph.is_number[each.name]
                else StringCodec.decode_input(each)
            )
            for each in payload.inputs
        }
        found = zip(self.graph.outputs, self.graph.predict(columns), strict=True)
        outputs = [
            StringCodec.encode_output(name, array.tolist())
            if array.dtype == object
            else NumpyCodec.encode_output(name, array)
            for name, array in found
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
