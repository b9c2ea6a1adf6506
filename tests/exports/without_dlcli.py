"""Run exported models on the rows that came with them, where dlcli can't be imported.

python -I without_dlcli.py FORMAT FOLDER...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {"string": object}


class Block:
    """Keeps dlcli from being imported."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == "dlcli":
            raise ImportError("dlcli is not to be used here")


def arrays(fields: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: np.array(each["values"], DTYPES.get(each["type"], each["type"]))
        for name, each in fields.items()
    }


def run_onnx(folder: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def largest_difference(folder: Path, format: str) -> float:
    check = json.loads((folder / "check.json").read_text(encoding="utf-8"))
    outputs = globals()[f"run_{format}"](folder, arrays(check["inputs"]))
    found = 0.0
    for name, expected in arrays(check["outputs"]).items():
        if np.issubdtype(expected.dtype, np.floating):
            scale = np.maximum(np.abs(expected), np.quantile(np.abs(expected), 0.9))
            found = max(found, float(np.max(np.abs(outputs[name] - expected) / scale)))
        else:
            assert (outputs[name] == expected).all(), (folder, name)
    return found


sys.meta_path.insert(0, Block())
result = {Path(each).name: largest_difference(Path(each), sys.argv[1]) for each in sys.argv[2:]}
print(json.dumps(result))
