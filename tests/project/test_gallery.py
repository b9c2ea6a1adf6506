"""Each example of the gallery is complete, and its config fits its table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import DOCS, Run, find_blocks

ROOT = Path(__file__).parents[2]
_, *SECTIONS = re.split(r"^## ", (DOCS / "gallery.md").read_text("utf-8"), flags=re.MULTILINE)

each_example = pytest.mark.parametrize(
    "section", SECTIONS, ids=lambda section: section.partition(":")[0].partition("\n")[0]
)


def test_there_are_at_least_twelve_examples():
    assert len(SECTIONS) >= 12


@each_example
def test_an_example_has_a_picture_a_config_its_result_and_a_page_that_explains_it(section: str):
    picture = re.search(r"^!\[.+\]\(pictures/.+\)\n\n\*.+\*$", section, re.MULTILINE)
    (config,) = find_blocks(section, "yaml")
    (output,) = find_blocks(section, "console")
    name = re.match(r"# (\w+\.yaml)\n", config.text)

    assert picture is not None
    assert name is not None
    assert name[1] in output.steps[0][0]
    assert re.search(r"^More: \[.+\]\(.+\)", section, re.MULTILINE)


@pytest.mark.slow
@each_example
def test_the_config_of_an_example_fits_its_table(section: str, run: Run, tmp_path: Path):
    """A test for releases trains it, too: the one that runs the commands of all pages."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    for script in find_blocks(section, "sh"):
        run(script.text, tmp_path)
    (config,) = find_blocks(section, "yaml")
    (tmp_path / "example.yaml").write_text(config.text, encoding="utf-8")

    printed = run('dlcli validate example.yaml || echo "exit code $?"', tmp_path)

    assert "exit code" not in printed
    assert "parameters" in printed
