"""Run the Python of pages as their readers do, beside pandas; run by test_docs_python.py.

The blocks of a page are run in order, in one namespace and in a folder with the shipped data. Text
directly below one is what it prints.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from pages import find_blocks, pattern

ROOT = Path(__file__).parents[2]
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
            yield f"{page.name}:\n{code}\nprints:\n{printed.getvalue()}"


def main(pages: list[str]) -> None:
    """Print the differences of pages."""
    warnings.simplefilter("ignore")  # the rows of examples are few
    for name in pages:
        with TemporaryDirectory() as folder, chdir(folder):
            for each in ("configs", "data"):
                shutil.copytree(ROOT / each, each)
            print("\n".join(differences(ROOT / name)), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
