"""The notebooks of the documentation run, and their stored outputs are small and of no machine."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def kinds_of(cells: list[dict[str, Any]]) -> list[list[str]]:
    """The kinds of outputs of each cell; how many warnings there are may differ."""
    return [
        [output["output_type"] for output in cell.get("outputs", ()) if "text" not in output]
        for cell in cells
    ]


@each_notebook
def test_a_notebook_has_stored_outputs_that_are_small_and_name_no_path(path: Path):
    text = path.read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]

    assert any(kinds_of(cells))
    assert len(text) < 300_000
    assert re.findall(r"/(?:home|root|tmp|work|Users)/\S*", text) == []


@pytest.mark.slow
@pytest.mark.release
@each_notebook
def test_a_notebook_runs(path: Path):
    stored = json.loads(path.read_text(encoding="utf-8"))["cells"]

    notebook = runpy.run_path(str(ROOT / "docs" / "run_notebooks.py"))["execute"](path)

    assert kinds_of(notebook.cells) == kinds_of(stored)
