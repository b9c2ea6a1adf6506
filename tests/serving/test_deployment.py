"""The files of deploy/ fit the server: its options, paths, and the packages that it needs."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from dlcli import __version__
from dlcli.cli.run_commands import serve as command

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def documents(name):
    return [*yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8"))]


def containers():
    """The container of each manifest, with the port that is asked."""
    deployment, service = documents("kubernetes.yaml")
    [inference] = documents("kserve.yaml")
    [first] = deployment["spec"]["template"]["spec"]["containers"]
    [second] = inference["spec"]["predictor"]["containers"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["ports"][0]["targetPort"] == first["ports"][0]["name"]
    return [first, second]


def instructions(name):
    """The arguments of each of the Dockerfile's instructions of a name."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def test_the_packages_are_those_of_the_project_but_for_training():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    all_of_them = {*project["dependencies"], *project["optional-dependencies"]["serve"]}
    runtime = tomllib.loads((DEPLOY / "runtime/pyproject.toml").read_text(encoding="utf-8"))
    needed = {*runtime["project"]["dependencies"]}
    assert needed <= all_of_them
    assert {*project["optional-dependencies"]["serve"]} <= needed
    assert not {line for line in needed if re.match("tensorflow|keras|optuna", line)}


def test_the_image_is_not_of_root_and_its_command_is_valid():
    assert instructions("USER")[-1].split(":")[0] not in ("0", "root")
    [entry], [arguments] = instructions("ENTRYPOINT"), instructions("CMD")
    assert json.loads(entry)[1:] == ["serve"]
    context = command.make_context("serve", json.loads(arguments))
    assert (context.params["host"], str(context.params["port"])) == (
        "0.0.0.0",
        *instructions("EXPOSE"),
    )
    for sources in instructions("COPY"):
        if not sources.startswith("--from"):
            assert all((ROOT / source).exists() for source in sources.split()[:-1])


def test_nothing_runs_a_program_that_the_image_lacks():
    """It contains only Python and the programs of its virtual environment."""
    [check], [entry] = instructions("HEALTHCHECK CMD"), instructions("ENTRYPOINT")
    for program, *_ in map(json.loads, (check, entry)):
        assert program.startswith("/venv/bin/")
    for container in containers():
        for hook in container.get("lifecycle", {}).values():
            assert "exec" not in hook


@pytest.mark.parametrize("container", containers(), ids=lambda each: each["name"])
def test_manifests_start_the_server_and_ask_paths_that_it_has(container, client):
    context = command.make_context("serve", [*container["args"]])
    [(name, run)] = context.params["named"].items()
    assert (name, run) == ("iris", Path("/mnt/models"))
    [port] = container["ports"]
    assert port["containerPort"] == context.params["port"]
    probes = [value for key, value in container.items() if key.endswith("Probe")]
    assert len(probes) >= 2
    for probe in probes:
        assert client.get(probe["httpGet"]["path"]).status == 200
        assert probe["httpGet"]["port"] in (port.get("name"), port["containerPort"])
    assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_nginx_and_the_unit_fit_the_server():
    unit = (DEPLOY / "dlcli.service").read_text(encoding="utf-8")
    proxy = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    [command_line] = re.findall(r"^ExecStart=/opt/dlcli/bin/dlcli serve (.+)$", unit, re.MULTILINE)
    options = command.make_context("serve", command_line.split()).params
    [prefix] = re.findall(r"location (\S+)/ \{", proxy)
    [limit] = re.findall(r"client_max_body_size (\d+)m;", proxy)

    assert options["prefix"] == prefix
    assert f"location = {prefix}/metrics {{" in proxy
    assert f"proxy_pass http://unix:{options['unix_socket']};" in proxy
    assert str(options["unix_socket"]).startswith("/run/dlcli/")
    assert "\nRuntimeDirectory=dlcli\n" in unit
    assert [*options["allowed_hosts"]] == re.findall(r"server_name (\S+);", proxy)
    assert options["limit_body"] == int(limit)


@pytest.mark.parametrize(
    ("package", "folder"), [("dlcli-keras", ""), ("dlcli-keras-runtime", "deploy/runtime/")]
)
def test_the_conda_recipe_has_the_versions_of_the_project(package, folder):
    project = tomllib.loads((ROOT / f"{folder}pyproject.toml").read_text("utf-8"))["project"]
    [recipe] = documents("conda/recipe.yaml")
    [output] = [each for each in recipe["outputs"] if each["package"]["name"] == package]
    of_conda = {
        "tzdata": "python-tzdata",
        "prometheus-client": "prometheus_client",
        "uvicorn[standard]": "uvicorn-standard",
    }
    # Conda has no markers: of two lines on a package, the first has the wider range.
    needed = {"python": project["requires-python"]}
    for line in project["dependencies"]:
        name, versions = re.fullmatch(r"([\w\[\]-]+)([^;]+).*", line).groups()
        needed.setdefault(of_conda.get(name, name), versions.strip())

    assert recipe["context"]["version"] == __version__
    assert [*output["requirements"]["run"]] == [" ".join(each) for each in needed.items()]
