"""The Python of the pages runs, and prints what they show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import find_blocks, pages_to_run

ROOT = Path(__file__).parents[2]
HIDDEN = ROOT / "tests" / "without_pandas"
PAGES = [
    str(page)
    for page in [ROOT / "README.md", *pages_to_run()]
    if find_blocks(page.read_text(encoding="utf-8"), "python")
]


@pytest.mark.slow
def test_the_python_of_the_pages_prints_what_they_show() -> None:
    paths = os.environ["PYTHONPATH"].split(os.pathsep)
    visible = os.pathsep.join(path for path in paths if path != str(HIDDEN))

    answer = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("snippets.py")), *PAGES],
        env={**os.environ, "PYTHONPATH": visible},
        capture_output=True,
        text=True,
    )

    assert PAGES
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == ""
