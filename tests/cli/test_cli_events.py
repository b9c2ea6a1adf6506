"""`docs/events.md` documents every event and every field."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest

from dlcli.config.config_file import load_config
from dlcli.pipeline import baselines
from dlcli.pipeline.cross_validation import CrossValidationPlan, cross_validate
from dlcli.pipeline.train_run import train
from tests.recorded import recorded

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
CONFIG = """\
data: {train: rows.csv, test: new.csv, target: y, validation: 0.25, storage: disk}
hidden: [{units: 2, activation: tanh, dropout: 0.1}]
metrics: [mae, r2]
epochs: 2
"""


def documented(verb: str = "") -> dict[str, set[str]]:
    """The fields of each event of `train`, or of another verb with a section of its own."""
    text, *others = re.split(
        r"^## (?=Reproducing|Cross-validation|Search)",
        PAGE.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    text = next((part for part in others if part.startswith(verb)), "") if verb else text
    parts = re.findall(r"^`(\w+)` \(`\w+`\): .*\n\n((?:\|.*\n)+)", text, re.MULTILINE)
    return {
        event: set(re.findall(r"^\| `([^`]+)` \|", rows, re.MULTILINE)) for event, rows in parts
    }


def field_of(event: str, name: str) -> str:
    """Return the name of a field on the page; the values of an epoch share one entry."""
    of_epoch = {"member", "members", "epoch", "of"}
    return "values" if event == "epoch" and name not in of_epoch else name


class Ended(Exception):
    """Interrupts a training."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which the training of `events` runs."""
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="module")
def events(folder):
    """The events of a training that was interrupted and resumed, of almost every kind."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "UPDATES", 10)  # steps of the linear model
        return interrupted_training()


def interrupted_training():
    rows = [f"{x},{'ab'[x % 2]},{3 * x}" for x in range(40)]
    Path("rows.csv").write_text("\n".join(["x,kind,y", *rows]) + "\n")
    Path("new.csv").write_text("x,kind,y\n1,c,5\n")
    Path("a.yaml").write_text(CONFIG)
    events = []

    def listen(event):
        if event.kind == "epoch" and not any(name == "resumed" for name, _ in events):
            raise Ended
        events.append(recorded(event))

    with pytest.raises(Ended):
        train(load_config(Path("a.yaml")), Path("run"), listen)
    train(Path("run"), listener=listen)
    return events


@pytest.mark.slow
def test_every_event_and_field_is_documented(events):
    known = documented()
    found = {(event, field_of(event, name)) for event, fields in events for name in fields}

    assert found - {(event, name) for event, names in known.items() for name in names} == set()
    others = {"diverged", "scaling_layer", "member", "selected", "report", "tracking"}
    others |= {"decision", "time_limit"}  # of a config with one
    others |= {"unseen"}  # of rare categories
    others |= {"early_end"}  # with --finish
    assert {event for event, _ in events} == known.keys() - others
    assert events[-1][0] == "result"


@pytest.mark.slow
def test_every_event_of_a_cross_validation_is_documented(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("x,y\n" + "".join(f"{x},{3 * x}\n" for x in range(40)))
    Path("a.yaml").write_text(
        "data: {train: rows.csv, test: 0.2, target: y}\nhidden: []\nepochs: 2\nmetrics: [mae]\n"
        "gates: {test.mae: {at_least: 0}}\n"
    )
    events = []

    def listen(event):
        events.append(recorded(event))
        if event.kind == "fold" and event.result.fold == 1:
            raise Ended

    with pytest.raises(Ended):
        cross_validate(
            load_config(Path("a.yaml")),
            CrossValidationPlan(folds=2, refit=True),
            Path("cv"),
            listen,
        )
    cross_validate(Path("cv"), listener=listen)
    known = {**documented(), **documented("Cross-validation")}
    assert known.keys() >= {event for event, _ in events}
    only_of_some = {"refit_problem", "sampled_from", "groups", "thresholds"}
    for event in ("rows", "kept", "progress", "fold", "result"):
        [fields, *_] = [fields for name, fields in events if name == event]
        assert set(fields) == known[event] - only_of_some, event


@pytest.mark.slow
def test_the_log_has_the_events_with_their_times(events, folder):
    lines = [json.loads(line) for line in (folder / "run/events.jsonl").read_text().splitlines()]

    assert [(each.pop("event"), next(iter(each))) for each in lines] == [
        (event, "time") for event, _ in events
    ]


def test_events_of_few_runs_are_documented():
    assert documented()["member"] == {"member", "members", "epochs", "best_epoch"}
    assert documented()["scaling_layer"] == {"kept", "val_loss", "rows"}
    assert documented()["resumed"] == {"member", "members", "epochs"}
    assert documented()["report"] == {"page"}
    assert documented("Search")["progress"] == {"finalist"}
    assert documented()["tracking"] == {"tracker", "place", "look", "run_id"}
