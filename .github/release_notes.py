"""Check that a tag is that of the version, and print the version's part of the changelog.

python .github/release_notes.py v0.1.0
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def release_notes(tag: str, package: str, changelog: str) -> str:
    """Return the part of the changelog on a version.

    Args:
        tag: the tag of the commit, such as `v0.1.0`.
        package: the text of `dlcli/__init__.py`.
        changelog: the text of `CHANGELOG.md`.

    Raises:
        ValueError: if the tag is not that of the version, or the changelog has no date for it.
    """
    [version] = re.findall(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, but dlcli/__init__.py has the version {version}")
    for part in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        heading, _, notes = part.partition("\n")
        if heading.split(" ")[0] == version:
            if not re.fullmatch(r".+ \(\d{4}-\d\d-\d\d\)", heading):
                raise ValueError(f"CHANGELOG.md: {heading!r} has no date, as in 0.1.0 (2026-12-31)")
            return notes.strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no part on {version}")


if __name__ == "__main__":
    try:
        texts = [(ROOT / name).read_text("utf-8") for name in ("dlcli/__init__.py", "CHANGELOG.md")]
        print(release_notes(sys.argv[1], *texts), end="")
    except ValueError as error:
        sys.exit(str(error))
