"""The pages around the program keep up with it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from dlcli import __version__

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_the_current_version() -> None:
    newest = re.search(r"^## (\S+)", page("CHANGELOG.md"), re.MULTILINE)

    assert newest is not None
    assert newest[1] == __version__


def test_a_citation_names_the_current_version_and_licence() -> None:
    citation = yaml.safe_load(page("CITATION.cff"))

    assert (citation["version"], citation["license"]) == (__version__, "Apache-2.0")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_the_workflow_checks_every_python_that_is_supported() -> None:
    workflow = yaml.safe_load(page(".github/workflows/ci.yml"))
    jobs = workflow["jobs"]
    classifiers = tomllib.loads(page("pyproject.toml"))["project"]["classifiers"]
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(classifiers))

    for name in ("checks", "systems"):
        assert jobs[name]["strategy"]["matrix"]["python"] == supported
    assert jobs["checks"]["steps"][-1]["run"] == ".ci/run"


def test_the_licence_is_the_one_that_is_declared() -> None:
    declared = tomllib.loads(page("pyproject.toml"))["project"]["license"]

    assert declared == "Apache-2.0"
    assert page("LICENSE").split()[:4] == ["Apache", "License", "Version", "2.0,"]


def test_contributing_the_readme_and_ci_set_up_in_the_same_way() -> None:
    command = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest -n 3"

    for name in ("README.md", "CONTRIBUTING.md", ".ci/run"):
        assert command in page(name).splitlines(), name


def test_one_command_sets_the_addresses_and_shows_the_badges(tmp_path: Path) -> None:
    readmes, projects = (
        ("README.md", "README.zh-CN.md"),
        ("pyproject.toml", "deploy/runtime/pyproject.toml"),
    )
    for name in (*readmes, *projects, "SECURITY.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(page(name), encoding="utf-8")
    (command,) = re.findall(r"`(sed -i [^`]+)`", page("CONTRIBUTING.md"))

    subprocess.run(["bash", "-c", command.replace("\\|", "|")], cwd=tmp_path, check=True)

    address = "https://github.com/NAME/dlcli"
    for name in projects:
        project = tomllib.loads((tmp_path / name).read_text("utf-8"))["project"]
        assert project["urls"] == {"Repository": address}
    for name in readmes:
        badge = f"\n[![CI]({address}/actions/workflows/ci.yml/badge.svg)]({address}/actions) "
        assert badge in (tmp_path / name).read_text("utf-8")
    assert "\n- Write to security@example.org.\n" in (tmp_path / "SECURITY.md").read_text("utf-8")
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        assert not re.search("OWNER|ADDRESS", file.read_text("utf-8")), file


def test_the_page_on_configs_leads_to_every_example() -> None:
    linked = set(re.findall(r"\.\./configs/(\w+)\.yaml", page("docs/config.md")))

    assert linked == {path.stem for path in (ROOT / "configs").glob("*.yaml")}


def test_the_page_on_installation_lists_every_extra_for_users() -> None:
    extras = tomllib.loads(page("pyproject.toml"))["project"]["optional-dependencies"]
    first_cells = re.findall(r"^\| (`.*?) \|", page("docs/start/install.md"), re.MULTILINE)

    listed = set(re.findall(r"`(\w+)`", " ".join(first_cells)))
    assert listed == set(extras) - {"benchmark", "dev"}
