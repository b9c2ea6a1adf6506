"""Servers that `benchmarks.serving` compares with `dlcli serve`.

`python -m benchmarks.serving_rivals NAME RUN PORT` runs one of them.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvicorn

Application = Callable[..., Awaitable[None]]


def main() -> None:
    """Run the server that is named."""
    name, run, port = sys.argv[1:]
    make = {"fastapi, pydantic": fastapi_application, "onnxruntime": onnx_application}[name]
    uvicorn.run(make(Path(run)), port=int(port), log_level="warning", lifespan="off")


def fastapi_application(run: Path) -> Any:  # noqa: ANN401
    """Return an application of fastapi, with a pydantic model of the columns."""
    from fastapi import FastAPI
    from pydantic import ConfigDict, Field, create_model

    from dlcli.serving import ServedModel

    served = ServedModel.load(run.name, run)
    types: dict[str, Any] = {"number": float | None, "unix": float | None}
    fields: dict[str, Any] = {
        f"field_{at}": (types.get(column.kind, str | None), Field(alias=column.name))
        for at, column in enumerate(served.inputs)
    }
    row = create_model("Row", __config__=ConfigDict(extra="forbid"), **fields)
    answer = create_model("Answer", **{name: (Any, ...) for name in served.outputs.types})
    application = FastAPI()

    def predict(rows: list[row]) -> list[answer]:  # type: ignore[valid-type]
        records = [each.model_dump(by_alias=True) for each in rows]  # type: ignore[attr-defined]
        return served.predict(records).records

    async def handle(rows: list[row]) -> list[answer]:  # type: ignore[valid-type]
        return predict(rows)

    handle.__annotations__ = {"rows": list[row], "return": list[answer]}  # type: ignore[valid-type]
    application.post("/predict")(handle)
    return application


def onnx_application(run: Path) -> Application:
    """Return a bare ASGI application around the exported graph."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = run.with_suffix(".onnx") / "model.onnx"
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    kinds = {each.name: each.type for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        rows = orjson.loads(body)
        inputs = {}
        for name, kind in kinds.items():
            values = [row[name] for row in rows]
            if kind == "tensor(double)":
                inputs[name] = np.array(
                    [np.nan if value is None else value for value in values], np.float64
                )
            else:
                texts = ["" if value is None else str(value) for value in values]
                inputs[name] = np.array(texts, object)
        columns = [each.tolist() for each in session.run(names, inputs)]
        content = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        answer = orjson.dumps(content)
        headers = [
            (b"content-length", str(len(answer)).encode()),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return application


if __name__ == "__main__":
    main()
