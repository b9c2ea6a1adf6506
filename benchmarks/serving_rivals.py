"""Servers that `benchmarks.serving` compares with `dlcli serve`.

`python -m benchmarks.serving_rivals NAME RUN PORT` runs one of them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import uvicorn

Application = Callable[..., Awaitable[None]]


def main() -> None:
    """Run the server that is named."""
    name, run, port = sys.argv[1:]
    if name == "MLServer":
        serve_by_mlserver(Path(run), int(port))
        return
    make = {
        "fastapi, pydantic": fastapi_application,
        "onnxruntime": onnx_application,
        "MLflow": mlflow_application,
    }[name]
    uvicorn.run(make(Path(run)), port=int(port), log_level="warning", lifespan="off")


def fastapi_application(run: Path) -> Any:  # noqa: ANN401
    """Return an application of fastapi, with a pydantic model of the columns."""
    from fastapi import FastAPI
    from pydantic import ConfigDict, Field, create_model

    from dlcli.serving.served_model import ServedModel

    served = ServedModel.load(run.name, run)
    types: dict[str, Any] = {"number": float | None, "unix": float | None}
    fields: dict[str, Any] = {
        f"field_{at}": (types.get(column.kind, str | None), Field(alias=column.name))
        for at, column in enumerate(served.inputs)
    }
    row = create_model("Row", __config__=ConfigDict(extra="forbid"), **fields)
    answer = create_model("Answer", **{name: (Any, ...) for name in served.output_types})
    application = FastAPI()

    def predict(rows: list[row]) -> list[answer]:  # type: ignore[valid-type]
        records = [each.model_dump(by_alias=True) for each in rows]  # type: ignore[attr-defined]
        return served.predict(records).records

    async def handle(rows: list[row]) -> list[answer]:  # type: ignore[valid-type]
        return predict(rows)

    handle.__annotations__ = {"rows": list[row], "return": list[answer]}  # type: ignore[valid-type]
    application.post("/predict")(handle)
    return application


class Graph:
    """The exported graph of a run, in onnxruntime on one thread."""

    def __init__(self, run: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        graph = run.with_suffix(".onnx") / "model.onnx"
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(graph, options, providers=providers)
        self.is_number = {
            each.name: each.type == "tensor(double)" for each in self._session.get_inputs()
        }
        """Whether each column has numbers; the others have texts."""
        self.outputs = [each.name for each in self._session.get_outputs()]

    def predict(self, columns: Mapping[str, Sequence[object]]) -> list[Any]:
        """Return the array of each output."""
        import numpy as np

        inputs = {}
        for name, is_number in self.is_number.items():
            values = columns[name]
            if is_number:
                numbers = [np.nan if value is None else value for value in values]
                inputs[name] = np.array(numbers, np.float64)
            else:
                texts = ["" if value is None else str(value) for value in values]
                inputs[name] = np.array(texts, object)
        return list(self._session.run(self.outputs, inputs))


def onnx_application(run: Path) -> Application:
    """Return a bare ASGI application around the exported graph."""
    graph = Graph(run)

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        rows = orjson.loads(body)
        found = graph.predict({name: [row[name] for row in rows] for name in graph.is_number})
        columns = [each.tolist() for each in found]
        content = [dict(zip(graph.outputs, row, strict=True)) for row in zip(*columns, strict=True)]
        answer = orjson.dumps(content)
        headers = [
            (b"content-length", str(len(answer)).encode()),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return application


def mlflow_application(run: Path) -> Any:  # noqa: ANN401
    """Return MLflow's scoring server for a Python model around the exported graph."""
    import pandas
    from mlflow import pyfunc
    from mlflow.pyfunc import scoring_server

    class Model(pyfunc.PythonModel):
        def load_context(self, context: object) -> None:
            self.graph = Graph(run)

        def predict(self, context: object, model_input: Any, params: object = None) -> Any:  # noqa: ANN401
            given = {name: model_input[name].tolist() for name in self.graph.is_number}
            found = self.graph.predict(given)
            columns = zip(self.graph.outputs, (each.tolist() for each in found), strict=True)
            return pandas.DataFrame(dict(columns))

    with tempfile.TemporaryDirectory() as folder:
        pyfunc.save_model(f"{folder}/model", python_model=Model(), pip_requirements=[])
        return scoring_server.init(pyfunc.load_model(f"{folder}/model"))


def serve_by_mlserver(run: Path, port: int) -> None:
    """Run MLServer with a runtime around the exported graph, in this process alone."""
    from mlserver import MLServer, ModelSettings, Settings
    from mlserver.settings import ModelParameters

    from benchmarks.rivals.mlserver_runtime import Runtime

    async def serve() -> None:
        settings = Settings(
            host="127.0.0.1",
            http_port=port,
            grpc_port=port + 1,
            metrics_port=port + 2,
            parallel_workers=0,
            debug=False,
        )
        parameters = ModelParameters(uri=str(run))
        model = ModelSettings(name="model", implementation=Runtime, parameters=parameters)
        await MLServer(settings).start([model])

    asyncio.run(serve())


if __name__ == "__main__":
    main()
