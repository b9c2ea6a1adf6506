"""The Python of the pages runs beside pandas, and prints what they show.

Run by tests/api/test_beside_pandas.py. The blocks of a page are run in order, in one namespace and
in a folder with the shipped data. Text directly below one is what it prints.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from pages import find_blocks, pages_to_run, pattern

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in [ROOT / "README.md", *pages_to_run()]
    if find_blocks(page.read_text(encoding="utf-8"), "python")
]
SHOWN = re.compile(r"^```python\n(.*?)^```$(?:\n+^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def differences(page: Path) -> Iterator[str]:
    """Run the blocks of a page, and yield those that print something else than it shows."""
    namespace: dict[str, object] = {}
    text = page.read_text(encoding="utf-8")
    assert len(SHOWN.findall(text)) == len(find_blocks(text, "python"))
    for code, shown in SHOWN.findall(text):
        printed = io.StringIO()
        with redirect_stdout(printed):
            try:
                exec(compile(code, str(page), "exec"), namespace)
            except Exception:
                traceback.print_exc(file=sys.stdout)
        if not re.fullmatch(pattern(shown), printed.getvalue()):
            yield f"{code}\nprints:\n{printed.getvalue()}"


@pytest.mark.filterwarnings("ignore")  # the rows of examples are few
@pytest.mark.usefixtures("compiled_once", "no_linear_baseline")  # any numbers will do
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_prints_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("configs", "data"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)

    assert "\n".join(differences(page)) == ""
