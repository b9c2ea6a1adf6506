"""`dlcli report`, and the page that `train` makes by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from inline_snapshot import snapshot

import dlcli
from dlcli.cli.program import main
from dlcli.reports import report_files
from dlcli.reports.report_files import write_report_if_cheap
from tests.recorded import recorded_in
from tests.reports import hand_made_runs
from tests.reports.hand_made_runs import number_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return number_run(Path())


def report(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_the_page_lies_in_the_run_folder(run):
    result = report("run")
    assert (result.exit_code, result.stdout) == (0, "run/report.html\n")
    assert "<!DOCTYPE html>" in Path("run/report.html").read_text(encoding="utf-8")
    run.verify()


def test_the_curves_of_a_training_are_drawn_on_request(run):
    result = report("run", "--curves", "curves.png", "--output", "page.html")
    assert (result.exit_code, result.stdout) == (0, "page.html\n")
    assert Path("curves.png").read_bytes().startswith(b"\x89PNG")
    again = report("run", "--curves", "curves.png")
    assert again.exit_code == 2
    assert "curves.png: already exists" in again.stderr


def test_a_run_without_an_epoch_has_no_curves_to_draw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hand_made_runs, "HISTORY", {"loss": []})
    number_run(Path())
    result = report("run", "--curves", "curves.png")
    assert result.exit_code == 2
    assert result.stderr == (
        snapshot("error: run: no epoch was finished, so there are no curves to draw\n")
    )


def test_it_is_made_anew_each_time(run):
    Path("run/report.html").write_text("earlier", encoding="utf-8")
    assert report("run").exit_code == 0
    assert Path("run/report.html").stat().st_size > 10_000


def test_a_link_in_its_place_is_replaced_and_not_followed(run):
    Path("private").write_text("mine", encoding="utf-8")
    Path("run/report.html").symlink_to("../private")
    assert report("run").exit_code == 0
    assert Path("private").read_text(encoding="utf-8") == "mine"


def test_a_page_elsewhere_leaves_the_run_folder_alone(run):
    before = sorted(path.name for path in Path("run").iterdir())
    result = report("run", "--output", "page.html")
    assert (result.exit_code, result.stdout) == (0, "page.html\n")
    assert Path("page.html").stat().st_size > 10_000
    assert sorted(path.name for path in Path("run").iterdir()) == before


def test_a_file_that_is_there_is_not_overwritten(run):
    Path("page.html").write_text("mine", encoding="utf-8")
    result = report("run", "--output", "page.html")
    assert result.exit_code == 2
    assert Path("page.html").read_text(encoding="utf-8") == "mine"


def test_json_names_the_run_and_its_page(run):
    assert json.loads(report("run", "--json").stdout) == {"run": "run", "page": "run/report.html"}
    found = json.loads(report("run", "--json", "--output", "page.html").stdout)
    assert found == {"run": "run", "page": "page.html"}


def test_a_run_that_diverged_has_a_page_if_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    number_run(Path(), metrics=None, outputs=None)
    assert report("run").exit_code == 0


def test_a_folder_that_can_not_be_written_is_an_error(run):
    Path("run/report.html").mkdir()
    result = report("run")
    assert result.exit_code == 5
    assert result.stderr == (
        snapshot(
            "error: run/report.html: could not be stored: Is a directory; write the report elsewhere "
            "with --output\n"
        )
    )


def test_damaged_evidence_is_an_error(run):
    path = Path("run/explanation.json")
    path.write_text(path.read_text("utf-8").replace("1.0", "2.0"), "utf-8")
    result = report("run")
    assert result.exit_code == 5
    assert "run/explanation.json: has changed since it was written" in result.stderr


def test_a_long_training_makes_its_page_by_itself(run, monkeypatch):
    monkeypatch.setattr(report_files, "LONG_SECONDS", 1.5)  # as long as it took
    emitted = []
    write_report_if_cheap(run, recorded_in(emitted))
    assert emitted == [("report", {"page": "run/report.html"})]
    assert Path("run/report.html").exists()


def test_a_short_training_does_not(run):
    write_report_if_cheap(run, lambda *_: pytest.fail("nothing is emitted"))
    assert not Path("run/report.html").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ZeroDivisionError("division by zero"), "division by zero"), (MemoryError(), "out of memory")],
)
def test_a_page_that_fails_is_a_warning_at_the_end_of_a_training(run, monkeypatch, error, reason):
    def fail(_):
        raise error

    monkeypatch.setattr(report_files, "LONG_SECONDS", 1.5)
    monkeypatch.setattr(report_files, "render_report", fail)
    emitted = []
    write_report_if_cheap(run, recorded_in(emitted))
    [(event, fields)] = emitted
    assert (event, fields["message"]) == (
        "warning",
        f"the report could not be created: {reason}; the run is complete; try again with: "
        "dlcli.open_run('run').report()",
    )
    run.verify()


@pytest.mark.slow
def test_a_page_needs_no_tensorflow(run):
    code = (
        "import sys; from dlcli.cli.program import main; "
        "main(['report', 'run'], standalone_mode=False); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    path = str(Path(dlcli.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=False)
    assert done.returncode == 0
