"""Run the notebooks of the documentation, and store small outputs without paths of this machine.

`python docs/run_notebooks.py` runs all of docs/notebooks.
"""

from __future__ import annotations

import base64
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "docs" / "notebooks"
COLORS = 32
"""Colors of a stored picture."""
PICTURE = re.compile(r"(?<=data:image/png;base64,)[\w+/=]+")
PLACE = re.compile(r"\S*/(?:ipykernel_\d+|tmp\w+)/\S+?:\d+: |^  \w.*\n", re.MULTILINE)
"""Where a warning was raised: a path of this machine, and the line of code."""


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in a copy of its folder, and return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder, "docs", "notebooks")
        here.mkdir(parents=True)
        Path(folder, "data").symlink_to(ROOT / "data")
        # Tests hide pandas from each other; the kernel is a process of its own.
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        shown = os.pathsep.join(each for each in paths if not each.endswith("without_pandas"))
        environment = {**os.environ, "PYTHONPATH": shown}
        client = NotebookClient(notebook, resources={"metadata": {"path": str(here)}})
        client.execute(env=environment)
    return notebook


def small(picture: re.Match[str]) -> str:
    """Return a PNG with fewer colors and half the width, encoded as in a notebook."""
    with Image.open(io.BytesIO(base64.b64decode(picture[0]))) as image:
        half = image.convert("RGBA").resize((image.width // 2, image.height // 2))
    file = io.BytesIO()
    half.quantize(COLORS, Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Make the outputs small, and the same wherever the notebook ran."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        outputs: list[Any] = cell.get("outputs", [])
        for output in outputs:
            if "text" in output:
                output["text"] = PLACE.sub("", output["text"])
            data = output.get("data", {})
            if "text/html" in data:
                data["text/html"] = PICTURE.sub(small, data["text/html"])


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        executed = execute(path)
        tidy(executed)
        nbformat.write(executed, path)
        print(path.name, f"{path.stat().st_size / 1000:.0f} kB")  # noqa: T201
