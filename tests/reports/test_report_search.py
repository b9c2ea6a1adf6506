"""The view of a search: its text and the sections of its page; all of it stays text and small."""

from __future__ import annotations

import json
import random
import re

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_schema import Config
from dlcli.data_checks.sample import spread
from dlcli.errors import RunError
from dlcli.metrics.intervals import DifferenceEstimate, Estimate
from dlcli.prediction.predictor import EnsembleGroup
from dlcli.reports.report_files import render_report
from dlcli.reports.search_charts import Candidates, is_allowed, settings_text, value_text
from dlcli.reports.search_report import search_view
from dlcli.reports.views import render_text
from dlcli.runs.documents import SearchEnsemble, StoredDimension
from dlcli.runs.run_folder import new_run
from tests.reports.hand_made_experiments import (
    LAYERS,
    RATE,
    UNITS,
    finalists,
    search,
    search_run,
    trial,
)
from tests.reports.hand_made_runs import HOSTILE
from tests.reports.views import anchors, charts, codes, datasets, figures, parts, tables

FAR = "far worse and drawn at the edge."


def view_of(folder, **changes):
    return search_view(search_run(folder, search(**changes)))


def sentence_of(folder, **changes):
    """The sentence on test rows, when the best finalist is another one."""
    return view_of(folder, finalists=finalists(**changes)).sentences[3]


def test_a_terminal_compares_the_best_with_the_default(tmp_path):
    run = search_run(tmp_path)
    assert render_text(search_view(run)).splitlines() == [
        "                  default    best  smallest",
        "validation loss      0.44    0.25      0.31",
        "± standard error     0.06    0.06      0.06",
        "parameters            200     900        50",
        "test accuracy      75.0 %  87.5 %    75.0 %",
        "",
        "Tried 5 candidates for kinds. The best is candidate #3, with a validation loss of 0.25 over 5 "
        "folds; the config as given (“default”) has 0.44.",
        "Its settings: optimizer.learning_rate 0.01, hidden_layers.units 32, "
        "hidden_layers.number 4.",
        "The smallest network within one standard error is candidate #4, with 50 parameters instead of 900: "
        "optimizer.learning_rate 0.0001, hidden_layers.units 8, hidden_layers.number 1.",
        "On test rows, which the search did not use, the best is significantly better than the "
        "default (at 95 %): accuracy 87.5 % vs 75.0 % (95 % CI of the difference: +6.2 to +18.8 "
        "percentage points).",
        "On rows that the search did not use (nested cross-validation), the validation loss is "
        "0.44 [0.25, 0.62].",
        *(f"note: {note}" for note in search_view(run).notes),
        "",
        f"run: {run.path}",
        f"report: dlcli report {run.path}",
        f"predict: dlcli predict {run.path}/best DATA",
    ]


def group(share, value):
    return EnsembleGroup(settings={}, share=share, value=estimate(value))


def estimate(value):
    return Estimate(value=value, lower=value - 0.05, upper=value + 0.05)


def combined(*groups):
    """The ensemble of the candidates #3 and #4, which has an accuracy of 0.9."""
    gain = DifferenceEstimate(value=0.1, lower=0.02, upper=0.18, verdict="better")
    fields = {"metric": "accuracy", "value": estimate(0.9), "difference": gain}
    return SearchEnsemble(run="ensemble", trials=(3, 4), selection={**fields, "groups": groups})


def test_an_ensemble_is_compared_with_the_best_candidate_alone(tmp_path):
    more = finalists()[1].model_copy(update={"name": "ensemble", "parameters": 1900})
    view = view_of(
        tmp_path,
        ensemble=combined(group(0.25, 0.8), group(0.75, 0.7)),
        finalists=(*finalists(), more),
    )
    lines = render_text(view).splitlines()
    assert lines[0].split() == ["default", "best", "smallest", "ensemble"]
    assert lines[3].split() == ["parameters", "200", "900", "50", "1,900"]
    assert lines[6:10] == snapshot(
        [
            "              weight  out-of-fold accuracy [95 %]",
            "ensemble                      90.0 % [85.0, 95.0]",
            "candidate #4    75 %          70.0 % [65.0, 75.0]",
            "candidate #3    25 %          80.0 % [75.0, 85.0]",
        ]
    )
    assert view.sentences[3] == snapshot(
        "Out-of-fold accuracy of the ensemble vs the best candidate alone, with the same folds: 90.0 % vs 80.0 % (95 % CI of the difference: +2.0 to +18.0 percentage points)."
    )
    assert view.links[-1] == (
        "predict with the ensemble",
        f"dlcli predict {tmp_path}/search/ensemble DATA",
    )
    assert "ensemble" in anchors(view)


def test_an_ensemble_of_only_the_best_candidate_is_described_as_such(tmp_path):
    view = view_of(tmp_path, ensemble=combined(group(1.0, 0.8), group(0.0, 0.7)))
    assert view.sentences[3] == snapshot(
        "No other group lowers the out-of-fold loss, so the ensemble consists of the best candidate alone, with the same folds."
    )


def test_a_best_candidate_that_is_also_the_smallest_is_named(tmp_path):
    view = view_of(tmp_path, smallest=3, finalists=(), nested=(), nested_value=None)
    assert "No smaller network is within one standard error." in view.sentences
    assert view.links[-1] == ("train the best", f"dlcli train {tmp_path}/search/best.yaml")


def test_a_default_that_is_smaller_and_as_good_is_named(tmp_path):
    default = trial(None, 0.3125, parameters=200)
    found = search(smallest=3, default=default, finalists=())
    view = search_view(search_run(tmp_path, found))
    assert view.sentences[2] == (
        "The smallest network within one standard error is the default, with 200 parameters "
        "instead of 900."
    )
    assert not any("No smaller network" in each for each in view.sentences)
    assert view.blocks[0].header == ("", "default", "best")  # which is the smallest candidate, too


def test_a_best_network_that_is_worse_is_not_suggested_for_predictions(tmp_path):
    view = view_of(tmp_path, finalists=finalists(verdict="worse"))
    assert view.links[-1] == ("predict", f"dlcli predict {tmp_path}/search/default DATA")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {
                "gain": Estimate(value=0.125, lower=-0.125, upper=0.375),
                "verdict": "not_significant",
            },
            "is not significantly better than the default (at 95 %): accuracy 88 % vs 75 % (95 % CI "
            "of the difference: −12 to +38 percentage points).",
        ),
        (
            {"gain": Estimate(value=0.0, reason="no difference"), "verdict": "same"},
            "is not significantly better than the default (at 95 %): accuracy 87.5 % vs 75.0 % (no "
            "difference).",
        ),
        (
            {"gain": Estimate(value=-0.25, lower=-0.5, upper=-0.125), "verdict": "worse"},
            "the best is significantly worse than the default (at 95 %): accuracy 88 % vs 75 % (95 % CI "
            "of the difference: −50 to −12 percentage points). Keep the default.",
        ),
        (
            {"gain": Estimate(value=None, reason="too few rows"), "verdict": "unknown"},
            "It is unknown whether the best is better than the default on test rows: accuracy "
            "87.5 % vs 75.0 % (too few rows).",
        ),
        (
            {"split": "validation"},
            "There are no test rows; the value of the best is too optimistic because it was selected on the same rows.",
        ),
    ],
)
def test_the_best_network_is_not_called_better_unless_test_rows_show_it(
    tmp_path, changes, expected
):
    assert sentence_of(tmp_path, **changes).endswith(expected)


def test_the_sentence_states_that_a_lower_metric_is_better(tmp_path):
    default, best, _ = finalists(metrics={"mae": 2.0}, metric="mae")
    changed = default.model_copy(update={"metrics": {"mae": 3.0}, "metric": "mae"})
    sentence = view_of(tmp_path, finalists=(changed, best)).sentences[3]
    assert "MAE 2.000 vs 3.000" in sentence


def test_without_finalists_it_was_not_evaluated_on_new_rows(tmp_path):
    view = view_of(tmp_path, finalists=(), default=None, smallest=3, folds=None)
    assert view.sentences[0] == (
        "Tried 5 candidates for kinds. The best is candidate #3, with a validation loss of 0.25 on the "
        "validation rows."
    )
    assert view.sentences[3] == (
        "The best was not evaluated on independent rows; its value is too optimistic because it was "
        "selected on the same rows."
    )


def test_ensembles_are_evaluated_on_out_of_fold_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "ensemble_folds", 2)
    _, best, _ = finalists(split="validation")
    view = view_of(tmp_path, finalists=(best,), folds=None)
    assert view.sentences[0].startswith(
        "Tried 5 candidates for kinds. The best is candidate #3, with a validation loss of 0.25 on the "
        "out-of-fold rows;"
    )
    assert "Accuracy of the best, out-of-fold rows" in [label for label, *_ in figures(view)]
    assert "Trained in full, evaluated on out-of-fold rows" in tables(view, "result")
    assert "evaluated on the out-of-fold rows that were used to" in parts(view, "result")[1].text
    assert (
        "evaluated by validation loss on out-of-fold rows; lower" in parts(view, "config")[0].text
    )


def test_a_best_candidate_that_is_no_better_than_the_default_is_reported(tmp_path):
    view = view_of(tmp_path, default=trial(None, 0.25))
    assert view.sentences[0].endswith(", no better than the config as given (“default”) with 0.25.")


def test_a_search_without_a_value_states_it(tmp_path):
    trials = (trial(0, None), trial(1, 0.5, state="pruned"))
    nothing = {"best": None, "smallest": None, "finalists": (), "nested": (), "nested_value": None}
    view = view_of(tmp_path, trials=trials, default=None, importances={}, **nothing)
    assert view.sentences == ("Tried 2 candidates for kinds; none has a value.",)
    assert anchors(view) == [*("result", "next", "candidates", "config", "reproduce")]


def test_the_page_shows_the_most_important_figures(tmp_path):
    assert figures(view_of(tmp_path)) == [
        ("Validation loss of the best", "0.25", "± 0.06 (standard error)"),
        ("Validation loss of the default", "0.44", ""),
        ("Parameters", "50", "of the smallest within one standard error; the best has 900"),
        ("Accuracy of the best, test rows", "87.5 %", "default: 75.0 %"),
        ("Candidates", "5", "1 stopped early, 1 failed"),
        ("Rows", "8", "2 test rows were set aside"),
        ("Time", "1 min 30 s", ""),
    ]


def test_the_leaderboard_marks_the_best_and_the_smallest_and_ranks_the_default(tmp_path):
    table = tables(view_of(tmp_path), "candidates")["Best candidates"]
    assert table.header == (
        *("rank", "candidate", "validation loss", "± standard error", "parameters", "epochs"),
        *("units", "learning_rate", "layers"),
    )
    assert table.rows == (
        ("1", "3 ★", "0.25", "0.06", "900", "3", "32", "0.01", "4"),
        ("2", "4 ◆", "0.31", "0.06", "50", "3", "8", "0.0001", "1"),
        ("-", "default", "0.44", "0.06", "200", "3", "16", "0.001", "2"),
        ("3", "0", "0.50", "0.06", "400", "3", "16", "0.001", "2"),
    )


def test_settings_beyond_eight_share_a_column(tmp_path):
    paths = [f"a.setting_{at}" for at in range(10)]
    dimensions = tuple(StoredDimension(path=path, kind="integer", low=0, high=9) for path in paths)
    values = {path: at for at, path in enumerate(paths)}
    trials = (trial(0, 0.5, values=values),)
    changes = {"default": None, "best": 0, "smallest": 0, "importances": {}}
    view = view_of(tmp_path, dimensions=dimensions, trials=trials, **changes)
    table = tables(view, "candidates")["Best candidates"]
    assert table.header[-2:] == ("setting_7", "other settings")
    assert table.rows[0][-2:] == ("7", "a.setting_8 8, a.setting_9 9")


def test_failed_candidates_have_their_reason(tmp_path):
    [table] = [each for each in parts(view_of(tmp_path), "candidates") if each.kind == "table"][1:]
    [(number, problem, settings)] = table.rows
    assert number == "1"
    assert problem.startswith("diverged: </script>")
    assert (
        settings == "optimizer.learning_rate 0.001, hidden_layers.units 16, hidden_layers.number 2"
    )


def test_finalists_are_evaluated_on_rows_that_the_search_did_not_use(tmp_path):
    table = tables(view_of(tmp_path), "result")["Trained in full, evaluated on test rows"]
    assert table.header[1:3] == ("verdict", "accuracy − default’s [95 %]")
    assert table.rows == (
        ("default", "", "", "100", "3", "75.0 %"),
        ("best", "significantly better", "+12.5 points [+6.2, +18.8]", "100", "3", "87.5 %"),
        ("smallest", "", "", "100", "3", "75.0 %"),
    )


def test_a_nested_search_is_shown_fold_by_fold(tmp_path):
    table = tables(view_of(tmp_path), "result")["Nested cross-validation of the search"]
    settings = "hidden_layers.units 16, optimizer.learning_rate 0.001"
    assert [sorted(row[1].split(", ")) for row in table.rows] == [sorted(settings.split(", "))] * 2
    assert [(row[0], *row[2:]) for row in table.rows] == [
        ("fold 1", "4", "5", "0.25", "0.50"),
        ("fold 2", "4", "5", "0.25", "0.38"),
    ]


def test_candidates_are_drawn_in_order_with_the_best_so_far(tmp_path):
    chart = charts(view_of(tmp_path), "course")["Value of each candidate"]
    drawn = datasets(chart)
    assert [(row["x"], row["y"], row["v"], row["s"]) for row in drawn["rows"]] == [
        (0, 0.5, 0.5, "finished"),
        (1, 0.5, None, "failed"),  # at the worse edge
        (2, 0.75, 0.75, "stopped early"),
        (3, 0.25, 0.25, "finished"),
        (4, 0.3125, 0.3125, "finished"),
    ]
    assert drawn["path"] == [{"x": 0, "y": 0.5}, {"x": 3, "y": 0.25}, {"x": 4, "y": 0.25}]
    assert drawn["at_y"] == [{"y": 0.4375}]
    assert chart.description == (
        "5 candidates: the best value improves from 0.50 to 0.25 (candidate 3)."
    )


def test_sizes_are_drawn_with_the_band_of_one_standard_error(tmp_path):
    chart = charts(view_of(tmp_path), "size")["Value by size"]
    drawn = datasets(chart)
    assert drawn["band"] == [{"l": 0.25, "u": 0.3125}]
    assert [(row["x"], row["y"], row["s"]) for row in drawn["rows"]] == [
        (900, 0.25, "other candidates"),
        (50, 0.3125, "other candidates"),
        (400, 0.5, "other candidates"),
        (900, 0.25, "best"),
        (50, 0.3125, "smallest good one"),
        (200, 0.4375, "default"),
    ]
    assert chart.description == (
        "The best has 900 parameters and a validation loss of 0.25. The smallest within one "
        "standard error has 50 and 0.31."
    )


def test_where_higher_is_better_the_band_is_below_the_best(tmp_path):
    view = view_of(tmp_path, direction="maximize", best=0, smallest=0)
    chart = charts(view, "size")["Value by size"]
    assert datasets(chart)["band"] == [{"l": 0.5, "u": 0.4375}]


def test_importances_are_drawn_the_largest_first(tmp_path):
    chart = charts(view_of(tmp_path), "varied")["Importance of settings"]
    assert [(row["y"], row["x"]) for row in datasets(chart)["rows"]] == [
        ("hidden_layers.units", 0.625),
        ("optimizer.learning_rate", 0.25),
        ("hidden_layers.number", 0.125),
    ]
    assert chart.description == (
        "The most important setting is hidden_layers.units: 62.5 % of what distinguishes good "
        "candidates."
    )


def test_of_few_candidates_the_page_explains_why_there_are_no_importances(tmp_path):
    few = parts(view_of(tmp_path / "few", importances={}), "varied")
    assert few[0].text == ("3 candidates finished: too few to estimate the importance of settings.")
    trials = tuple(trial(at, 1.0 + at) for at in range(20))
    many = view_of(tmp_path / "many", trials=trials, best=0, smallest=0, importances={})
    assert parts(many, "varied")[0].text.startswith("Each point is a candidate")


def test_a_setting_is_drawn_against_the_value(tmp_path):
    drawn = charts(view_of(tmp_path), "varied")
    assert list(drawn)[1:] == [
        "hidden_layers.units",
        "optimizer.learning_rate",
        "hidden_layers.number",
    ]
    units, rate = drawn["hidden_layers.units"], drawn["optimizer.learning_rate"]
    assert [(row["x"], row["y"], row["s"]) for row in datasets(rate)["rows"]] == [
        (0.01, 0.25, "candidate"),
        (0.0001, 0.3125, "candidate"),
        (0.001, 0.5, "candidate"),
        (0.01, 0.25, "best"),
    ]
    assert rate.description == "The best value, 0.25, is at 0.01; the range was 0.0001 to 0.01."
    medians = [row for row in datasets(units)["rows"] if row["s"] == "median"]
    assert [(row["x"], row["y"]) for row in medians] == [("32", 0.25), ("8", 0.3125), ("16", 0.5)]
    assert units.description == "The median is best for 32 (0.25), worst for 16 (0.50)."


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (1, 3, False, [1, 2, 3]),
        (1, 3, True, [1, 2, 3]),
        (2, 10, False, [2, 4, 6, 8, 10]),
        (5, 5, False, [5]),
        (1, 64, True, None),
    ],
)
def test_the_axis_of_whole_numbers_has_no_ticks_between_them(tmp_path, low, high, log, ticks):
    layers = StoredDimension(path="epochs", kind="integer", low=low, high=high, log=log)
    trials = tuple(trial(at, 0.5, values={"epochs": end}) for at, end in enumerate((low, high)))
    changes = {"best": 0, "smallest": 0, "importances": {}}
    view = view_of(tmp_path, dimensions=(layers,), trials=trials, **changes)
    spec = charts(view, "varied")["epochs"].spec
    assert spec["layer"][0]["encoding"]["x"]["axis"].get("values") == ticks


def test_a_search_is_called_repeatable_only_where_it_is(tmp_path):
    def text(**changes):
        view = view_of(tmp_path / str(len(list(tmp_path.iterdir()))), **changes)
        return parts(view, "reproduce")[0].text

    assert text().startswith("The same config, data, versions and threads on the same machine")
    assert text(workers=2).startswith(
        "Which candidates were tried also depended on the training speed"
    )


def test_a_search_with_a_database_is_not_called_repeatable(tmp_path):
    run = search_run(tmp_path, study='{"storage": "sqlite:///a.db"}')
    shown = parts(search_view(run), "reproduce")[0].text
    assert shown.startswith("Which candidates were tried also depended on the training speed")


def test_a_damaged_study_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"study\.json: is "):
        render_report(search_run(tmp_path, study="["))


@pytest.mark.parametrize("number", [1, 2, 9])
def test_a_best_without_a_value_is_refused(tmp_path, number):
    damaged = search().model_copy(update={"best": number})
    run = search_run(tmp_path, damaged)
    with pytest.raises(RunError) as caught:
        run.search
    assert str(caught.value) == (
        f"{run.path}/tune.json: is malformed at 'best': expected the number of a completed "
        f"candidate, got {number}; restore the run from a copy or train it again"
    )


def test_the_next_step_is_to_train_the_configs_that_were_found(tmp_path):
    run = search_run(tmp_path)
    assert codes(search_view(run)) == [
        f"dlcli train {run.path}/best.yaml\ndlcli train {run.path}/smallest.yaml"
    ]


@pytest.mark.parametrize(("verdict", "chosen"), [("better", "best"), ("worse", "default")])
def test_the_next_step_is_to_predict_with_the_better_network_that_was_trained(
    tmp_path, verdict, chosen
):
    run = search_run(tmp_path, search(finalists=finalists(verdict=verdict)))
    for name in ("best", "default"):
        with new_run(run.path / name, name) as writer:
            writer.finish()
    network = run.path / chosen
    assert codes(search_view(run))[0] == (
        f"dlcli predict {network} DATA\ndlcli report {network}\n"
        f"dlcli compare {run.path}/default {run.path}/best"
    )


def choice(*choices: object) -> StoredDimension:
    return StoredDimension(path="x", kind="choice", choices=choices)


def number(low: float | None, high: float | None, *, log: bool = False) -> StoredDimension:
    return StoredDimension(path="x", kind="float", low=low, high=high, log=log)


@pytest.mark.parametrize(
    ("dimension", "value", "allowed"),
    [
        (number(0, 4), 4.0, True),
        (number(-1e308, 1e308), 0, True),
        (number(0, 4), 5, False),
        (number(0, 4), "1", False),
        (number(0, 4), True, False),
        (number(None, 4), 1, False),
        (choice("relu", "gelu"), "gelu", True),
        (choice("relu", "gelu"), "swish", False),
        (choice(True, 1), 1, True),
        (choice(True), 1, False),
        (choice(None), None, True),
        (choice(), "relu", False),
    ],
)
def test_only_values_in_the_range_or_among_the_choices_are_drawn(dimension, value, allowed):
    assert is_allowed(dimension, value) is allowed


def test_a_value_is_written_as_in_a_config():
    values = [None, True, False, 0.001, 64, "relu", "a\nb"]
    shown = ["null", "true", "false", "0.001", "64", "relu", "a\\nb"]
    assert [value_text(value) for value in values] == shown
    assert settings_text({"a.b": 0.01, "c": None}) == "a.b 0.01, c null"


def test_values_far_out_are_drawn_at_the_edge():
    # Quartiles of 1, 2, 3, 4, 100 are 2 and 4; three ranges of 2 beyond 4 is 10.
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    candidates = Candidates(search(trials=tuple(map(trial, range(5), values))))
    assert candidates.limit == 10.0
    assert [candidates.drawn(value) for value in values] == [1.0, 2.0, 3.0, 4.0, 10.0]
    assert candidates.beyond == 1


@pytest.mark.parametrize(
    ("last", "default", "sentence"),
    [
        (100.0, 99.0, f". 1 candidate and the default with 99.00 are {FAR}"),
        (100.0, 4.0, f". 1 candidate is {FAR}"),
        (5.0, 99.0, f". The default with 99.00 is {FAR}"),
        (5.0, 4.0, ""),
    ],
)
def test_charts_say_that_candidates_and_the_default_are_at_the_edge(
    tmp_path, last, default, sentence
):
    values = [1.0, 2.0, 3.0, 4.0, last]
    complete = (trial(at, value, parameters=50) for at, value in enumerate(values))
    trials = (*complete, trial(5, 200.0, state="pruned"))
    original = trial(None, default, parameters=50)
    view = view_of(tmp_path, trials=trials, default=original, best=0, smallest=0, importances={})
    for anchor, title in [("course", "Value of each candidate"), ("size", "Value by size")]:
        description = charts(view, anchor)[title].description
        assert description.endswith(sentence)
        assert ("edge" in description) is bool(sentence)


def test_where_higher_is_better_the_edge_is_below():
    values = [-100.0, 1.0, 2.0, 3.0, 4.0]
    trials = tuple(map(trial, range(5), values))
    candidates = Candidates(search(trials=trials, direction="maximize"))
    assert candidates.limit == -5.0  # quartiles 1 and 3
    assert candidates.drawn(-100.0) == -5.0


def test_without_values_far_out_there_is_no_edge():
    trials = tuple(map(trial, range(4), [1.0, 2.0, 3.0, 4.0]))
    assert Candidates(search(trials=trials, smallest=3)).limit is None


def test_a_candidate_stopped_early_far_out_is_drawn_at_the_edge_of_the_others():
    early = trial(9, 100.0, state="pruned")
    trials = (*map(trial, range(5), [1.0, 2.0, 3.0, 4.0, 5.0]), early)
    candidates = Candidates(search(trials=trials))
    assert candidates.drawn(100.0) == 10.0  # quartiles 2 and 4
    assert candidates.beyond == 0


def test_the_best_so_far_only_gets_better():
    values = [3.0, 4.0, 2.0, 2.0, 1.0]
    candidates = Candidates(search(trials=tuple(map(trial, range(5), values))))
    assert [each.number for each in candidates.improvements()] == [0, 2, 4]
    rising = Candidates(search(trials=tuple(map(trial, range(5), values)), direction="maximize"))
    assert [each.number for each in rising.improvements()] == [0, 1]


def test_of_many_candidates_some_at_even_distances_are_drawn():
    trials = [trial(at, 1.0) for at in range(100)]
    assert [each.number for each in spread(trials, 4)] == [0, 33, 66, 99]
    assert spread(trials[:4], 4) == trials[:4]


def test_dimensions_are_in_the_order_of_their_importance():
    assert [each.path for each in Candidates(search()).dimensions] == [
        UNITS.path,
        RATE.path,
        LAYERS.path,
    ]


@pytest.mark.parametrize(
    ("default", "verdict", "preferred"),
    [
        (0.5, "same", True),  # no candidate is better
        (0.25, "not_significant", True),
        (0.75, "same", False),
        (0.5, "better", False),  # on test rows
        (0.75, "worse", True),
    ],
)
def test_the_default_is_preferred_if_no_candidate_is_better(default, verdict, preferred):
    found = search(
        trials=(trial(0, 0.5),),
        best=0,
        smallest=None,
        default=trial(None, default),
        finalists=finalists(verdict=verdict),
    )
    assert Candidates(found).prefers_default is preferred


def test_a_candidate_stopped_early_is_not_compared():
    trials = (trial(0, 0.5), trial(1, 0.25, state="pruned"), trial(2, None))
    candidates = Candidates(search(trials=trials, best=0, smallest=None))
    assert [each.number for each in candidates.complete] == [0]


def hostile() -> dict[str, object]:
    """A search with names that would run as code, end their element, or are of every object."""
    names = ("constructor", "__proto__", HOSTILE)
    dimensions = tuple(StoredDimension(path=name, kind="choice", choices=names) for name in names)
    values = [dict.fromkeys(names, name) for name in names]
    trials = tuple(trial(at, 1.0 + at, values=each) for at, each in enumerate(values))
    return {
        "name": HOSTILE,
        "study": HOSTILE,
        "metric": HOSTILE,
        "dimensions": (*dimensions, RATE),
        "trials": trials,
        "importances": dict.fromkeys(names, 0.25),
        "best": 0,
        "smallest": 0,
    }


def test_what_it_contains_stays_text(tmp_path):
    found = search(**hostile())
    html = render_report(search_run(tmp_path, found))
    assert "<script>alert" not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html
    assert len(re.findall("<script>", html)) == 2
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert [block for block in blocks if set("<>&") & set(block)] == []
    assert all(isinstance(json.loads(block), dict) for block in blocks)
    rest = re.sub(r"<pre.*?</pre>|<ul class=.warnings.*?</ul>", "", html, flags=re.DOTALL)
    assert "x" * 400 not in rest


def test_no_anchor_is_a_name_that_the_page_uses_itself(tmp_path):
    assert {"main", "settings"}.isdisjoint(anchors(view_of(tmp_path)))


def many(count: int, settings: int) -> dict[str, object]:
    """Candidates with many settings of long names."""
    rng = random.Random(0)
    dimensions = tuple(
        StoredDimension(
            path=f"input.features.a rather long name {at}", kind="float", low=0.0, high=1.0
        )
        for at in range(settings)
    )
    trials = tuple(
        trial(at, rng.random(), values={each.path: rng.random() for each in dimensions})
        for at in range(count)
    )
    best = min(trials, key=lambda each: each.value)
    shares = {each.path: 1 / settings for each in dimensions}
    numbers = {"best": best.number, "smallest": best.number}
    return {"dimensions": dimensions, "trials": trials, "importances": shares, **numbers}


@pytest.mark.slow
def test_five_thousand_candidates_with_forty_settings_stay_within_bounds(tmp_path):
    html = render_report(search_run(tmp_path, search(**many(5_000, 40))))
    assert len(html.encode()) < 2_000_000  # and Vega's 0.9 million
