"""The files of deploy/ for searches on clusters: what they start, and how passwords reach it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest
import yaml

from dlcli.cli.program import main
from dlcli.runs.manifest import ORIGIN

DEPLOY = Path(__file__).parents[2] / "deploy"
URL = "postgresql+psycopg://me@host/studies"


@pytest.fixture
def slurm(tmp_path):
    """A task of the job array, in a folder, with a dlcli that prints its arguments."""
    program = tmp_path / "bin" / "dlcli"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:/usr/bin:/bin"
    task = {"SLURM_JOB_ID": "18", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}

    def run(**more):
        return subprocess.run(
            ["bash", str(DEPLOY / "tune.slurm"), "configs/houses.yaml"],
            env={"PATH": path, **task, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def parsed(arguments):
    """The values that `dlcli tune` reads, without a callback that would open anything."""
    command = main.commands["tune"]
    context = click.Context(command, info_name="tune", **main.context_settings)
    values, _, _ = command.make_parser(context).parse_args([*arguments])
    return values


def test_a_task_of_an_array_begins_a_run_of_its_own(slurm):
    started = slurm(STORAGE=URL).stdout.splitlines()

    values = parsed(started[1:])
    assert started[0] == "tune"
    assert values["config"] == "configs/houses.yaml"
    assert (values["output"], values["storage"]) == ("runs/houses-tune-17-3", URL)


def test_a_requeued_task_resumes_its_run_and_does_nothing_after_its_end(slurm, tmp_path):
    run = tmp_path / "runs" / "houses-tune-17-3"
    run.mkdir(parents=True)
    for name in ("study.json", *ORIGIN):
        (run / name).touch()
    resumed = slurm(STORAGE=URL)
    (run / "manifest.json").touch()
    ended = slurm(STORAGE=URL)

    values = parsed(resumed.stdout.splitlines()[1:])
    assert (values["run"], values["storage"]) == ("runs/houses-tune-17-3", URL)
    assert "houses.yaml" not in resumed.stdout
    assert (ended.returncode, ended.stdout) == (0, "")


def test_a_task_that_was_killed_at_its_beginning_begins_again(slurm, tmp_path):
    run = tmp_path / "runs" / "houses-tune-17-3"
    run.mkdir(parents=True)
    for name in ("study.json", *ORIGIN[:-1]):  # without all of them it can't be resumed
        (run / name).touch()

    started = slurm(STORAGE=URL)

    assert "--output" in started.stdout
    assert not run.exists()
    [moved] = run.parent.glob("houses-tune-17-3.lost-*")
    assert (moved / "study.json").exists()


def test_a_requeued_training_begins_again_resumes_or_has_ended(tmp_path):
    program = tmp_path / "bin" / "srun"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    run = tmp_path / "runs" / "houses"
    run.mkdir(parents=True)

    def start():
        command = ["bash", str(DEPLOY / "train.slurm"), "houses.yaml", "runs/houses"]
        path = {"PATH": f"{program.parent}:/usr/bin:/bin"}
        return subprocess.run(command, env=path, cwd=tmp_path, capture_output=True, text=True)

    assert "runs/houses" in start().stdout
    [moved] = run.parent.glob("houses.lost-*")  # it was killed before training
    moved.rename(run)
    (run / "environment.json").touch()
    assert "runs/houses" in start().stdout and run.exists()
    (run / "manifest.json").touch()
    assert (start().returncode, start().stdout) == (0, "")


def test_a_task_without_a_storage_is_refused(slurm):
    refused = slurm()

    assert refused.returncode != 0
    assert "STORAGE: is the URL of the database" in refused.stderr


def test_pods_share_a_study_and_read_the_password_from_a_secret():
    service, server, job = yaml.safe_load_all((DEPLOY / "tune-job.yaml").read_text("utf-8"))
    [database] = server["spec"]["template"]["spec"]["containers"]
    [searcher] = job["spec"]["template"]["spec"]["containers"]
    passwords = [
        each["valueFrom"]["secretKeyRef"]
        for container, name in ((database, "POSTGRES_PASSWORD"), (searcher, "PGPASSWORD"))
        for each in container["env"]
        if each["name"] == name
    ]
    user, name = (
        next(each["value"] for each in database["env"] if each["name"] == key)
        for key in ("POSTGRES_USER", "POSTGRES_DB")
    )

    values = parsed([*searcher["command"][2:], *searcher["args"]])

    assert searcher["command"][:2] == ["dlcli", "tune"]
    assert values["storage"] == f"postgresql+psycopg://{user}@{service['metadata']['name']}/{name}"
    assert values["output"] == "runs/$(POD_NAME)"
    assert passwords == [{"name": "studies", "key": "password"}] * 2
    assert service["spec"]["selector"] == server["spec"]["template"]["metadata"]["labels"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
