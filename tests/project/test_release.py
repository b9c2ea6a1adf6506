"""The workflows on GitHub, and what they publish on a tag."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PACKAGE = '__version__ = "0.2.0"\n'
CHANGELOG = """# Changelog

## 0.3.0 (unreleased)

- Later.

## 0.2.0 (2027-01-31)

### Training

- Faster.

## 0.1.0 (2026-12-31)

- First.
"""


@pytest.fixture(scope="module")
def release_notes() -> Callable[[str, str, str], str]:
    functions: dict[str, Any] = runpy.run_path(str(ROOT / ".github/release_notes.py"))
    return functions["release_notes"]


def test_the_notes_of_a_release_are_its_part_of_the_changelog(release_notes) -> None:
    assert release_notes("v0.2.0", PACKAGE, CHANGELOG) == "### Training\n\n- Faster.\n"


@pytest.mark.parametrize(
    ("tag", "version", "message"),
    [
        ("v0.2.1", "0.2.0", "the tag is v0.2.1, but dlcli/__init__.py has the version 0.2.0"),
        ("v0.3.0", "0.3.0", "'0.3.0 (unreleased)' has no date"),
        ("v0.4.0", "0.4.0", "CHANGELOG.md has no part on 0.4.0"),
    ],
    ids=["another tag", "without a date", "not in the changelog"],
)
def test_a_release_is_refused(release_notes, tag: str, version: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        release_notes(tag, PACKAGE.replace("0.2.0", version), CHANGELOG)


def test_the_project_has_a_version_and_a_part_of_the_changelog_on_it(release_notes) -> None:
    package = (ROOT / "dlcli/__init__.py").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    dated = changelog.replace(f"{version} (unreleased)", f"{version} (2026-12-31)")

    assert release_notes(f"v{version}", package, dated)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_hash(path: Path) -> None:
    used = re.findall(r"uses: (.*?)(?:  # zizmor.*)?\n", path.read_text(encoding="utf-8"))

    assert used
    for action in used:
        assert re.fullmatch(r"\./\S+|[\w./-]+@[0-9a-f]{40}  # v\d+(\.\d+)*", action)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_job_has_its_own_permissions_and_a_limit_of_time(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "permissions" in job
        assert "uses" in job or job["timeout-minutes"] <= 90


def test_only_the_last_jobs_of_a_release_may_write_and_all_others_precede_them() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))["jobs"]
    writing = {name for name, job in jobs.items() if "write" in job["permissions"].values()}

    assert writing == {"attest", "publish", "release"}
    assert {*jobs["attest"]["needs"]} == jobs.keys() - writing
    assert (jobs["publish"]["needs"], jobs["release"]["needs"]) == ("attest", "publish")
    assert jobs["publish"]["environment"] == "pypi"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    if not zizmor.exists():
        pytest.skip("zizmor is not installed")
    command = [str(zizmor), "--offline", "--no-progress", ".github"]
    check = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert check.returncode == 0, check.stdout + check.stderr
