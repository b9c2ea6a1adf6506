"""The page of a search: what it says, and that all of it stays text and small."""

from __future__ import annotations

import json
import random
import re

import pytest

from dlcli.errors import RunError
from dlcli.pipeline import Dimension, Interval, Search
from dlcli.reports import render
from dlcli.reports.blocks import Chart, Page, Table
from dlcli.reports.search_page import Searched, search_page
from dlcli.runs import new_run
from tests.reports.browser import PROGRAM, browser
from tests.reports.hand_made_experiments import (
    RATE,
    UNITS,
    finalists,
    search,
    search_run,
    trial,
)
from tests.reports.hand_made_runs import HOSTILE
from tests.reports.test_report_cross_validation import look


@pytest.fixture
def quick(monkeypatch):
    """Has pages without Vega, which takes seconds to put together."""
    monkeypatch.setattr("dlcli.reports.page.vega_script", lambda: "")


def page_of(run) -> Page:
    """The page, whose drawings are checked against Vega-Lite's schema."""
    return search_page(Searched.of(run))


def parts(page: Page, anchor: str) -> list:
    (blocks,) = [section.blocks for section in page.sections if section.anchor == anchor]
    return [part for each in blocks for part in getattr(each, "blocks", [each])]


def charts(page: Page, anchor: str) -> dict[str, Chart]:
    return {each.title: each for each in parts(page, anchor) if isinstance(each, Chart)}


def tables(page: Page, anchor: str) -> dict[str, Table]:
    return {each.caption: each for each in parts(page, anchor) if isinstance(each, Table)}


def verdict_with(tmp_path, **changes) -> str:
    """The verdict when the best finalist is another one."""
    return page_of(search_run(tmp_path, search(finalists=finalists(**changes)))).verdict


def test_the_verdict_says_that_the_tuned_network_beats_the_default_one(tmp_path):
    assert page_of(search_run(tmp_path)).verdict == (
        "Tried 5 candidates for kinds. By val_loss over 5 folds the best has 0.25, the config as "
        "given 0.4375. On the test rows, which chose nothing, the tuned network beats the default "
        "one by more than noise: accuracy 87.5 % against 75.0 %; the difference is 0.125 (0.0625 "
        "to 0.1875). The smallest network within one standard error of the best has 50 parameters, "
        "the best 900."
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {
                "gain": Interval(value=0.125, lower=-0.125, upper=0.375),
                "verdict": "not_significant",
            },
            "On the test rows, which chose nothing, the tuned network does not beat the default "
            "one by more than noise: accuracy 87.5 % against 75.0 %; the difference is 0.125 "
            "(-0.125 to 0.375).",
        ),
        (
            {"gain": Interval(value=0.0, reason="no difference"), "verdict": "same"},
            "the tuned network does not beat the default one by more than noise: accuracy 87.5 % "
            "against 75.0 %; the difference is 0.",
        ),
        (
            {"gain": Interval(value=-0.25, lower=-0.5, upper=-0.125), "verdict": "worse"},
            "the tuned network is worse than the default one by more than noise: accuracy 87.5 % "
            "against 75.0 %; the difference is -0.25 (-0.5 to -0.125). Keep the default.",
        ),
        (
            {"gain": Interval(value=None, reason="too few rows"), "verdict": "unknown"},
            "Whether the tuned network beats the default one can't be told from the test rows (too "
            "few rows): accuracy 87.5 % against 75.0 %.",
        ),
        ({"split": "validation"}, "There are no test rows, and the rows that chose it flatter it."),
    ],
)
def test_the_verdict_does_not_flatter(tmp_path, changes, said):
    assert said in verdict_with(tmp_path, **changes)


def test_the_verdict_tells_where_lower_is_better(tmp_path):
    assert "accuracy 87.5 % against 75.0 %;" in verdict_with(tmp_path)
    scores = {"metrics": {"mae": 2.0}, "metric": "mae"}
    default, best, _ = finalists(**scores)
    changed = default.model_copy(update={"metrics": {"mae": 3.0}})
    found = search(finalists=(changed, best))
    assert "mean absolute error (mae) 2 against 3 (lower is better);" in (
        page_of(search_run(tmp_path / "other", found)).verdict
    )


def test_without_finalists_the_verdict_says_that_nothing_new_has_judged(tmp_path):
    found = search(finalists=(), default=None, best=3, smallest=3, folds=None)
    assert page_of(search_run(tmp_path, found)).verdict == (
        "Tried 5 candidates for kinds. By val_loss on the validation rows the best has 0.25. Rows "
        "that chose nothing have not judged it, and those that chose it flatter."
    )


def test_a_best_that_is_no_better_than_the_default_is_said_to_be_so(tmp_path):
    found = search(default=trial(None, 0.25))
    assert "the best has 0.25, no better than the config as given with 0.25." in (
        page_of(search_run(tmp_path, found)).verdict
    )


def test_a_search_without_a_value_says_so(tmp_path):
    trials = (trial(0, None), trial(1, 0.5, state="pruned"))
    nothing = {"best": None, "smallest": None, "finalists": (), "nested": (), "nested_value": None}
    found = search(trials=trials, default=None, importances={}, **nothing)
    page = page_of(search_run(tmp_path, found))
    assert page.verdict == "Tried 2 candidates for kinds; none came to a value."
    assert [each.anchor for each in page.sections] == ["candidates", "asked", "next", "reproduce"]


def test_the_cards_tell_what_matters(tmp_path):
    cards = page_of(search_run(tmp_path)).summary[0].cards
    assert [(card.label, card.value, card.note) for card in cards] == [
        ("val_loss of the best", "0.25", "± 0.0625 (one standard error)"),
        ("val_loss of the config as given", "0.4375", "to compare with"),
        ("Parameters", "50", "of the smallest good one; the best has 900"),
        ("accuracy of the best, test rows", "87.5 %", "as given: 75.0 %"),
        ("Candidates", "5", "1 ended early, 1 failed"),
        ("Rows", "8", "2 test rows chose nothing"),
        ("Time", "1 min 30 s", ""),
    ]


def test_the_leaderboard_marks_the_best_and_the_smallest_and_places_the_default(tmp_path):
    table = tables(page_of(search_run(tmp_path)), "candidates")["The best candidates"]
    assert table.header == (
        *("rank", "candidate", "val_loss", "± standard error", "parameters", "epochs"),
        *("units", "learning_rate", "layers"),
    )
    assert table.rows == (
        ("1", "3 ★", "0.25", "0.0625", "900", "3", "32", "0.01", "4"),
        ("2", "4 ◆", "0.3125", "0.0625", "50", "3", "8", "0.0001", "1"),
        ("–", "as given", "0.4375", "0.0625", "200", "3", "16", "0.001", "2"),
        ("3", "0", "0.5", "0.0625", "400", "3", "16", "0.001", "2"),
    )


def test_settings_beyond_eight_share_a_column(tmp_path):
    paths = [f"a.setting_{at}" for at in range(10)]
    dimensions = tuple(Dimension(path=path, kind="integer", low=0, high=9) for path in paths)
    values = {path: at for at, path in enumerate(paths)}
    found = search(
        dimensions=dimensions,
        trials=(trial(0, 0.5, values=values),),
        default=None,
        best=0,
        smallest=0,
        importances={},
    )
    table = tables(page_of(search_run(tmp_path, found)), "candidates")["The best candidates"]
    assert table.header[-2:] == ("setting_7", "the other settings")
    assert table.rows[0][-2:] == ("7", "setting_8 8, setting_9 9")


def test_failed_candidates_say_why(tmp_path):
    table = tables(page_of(search_run(tmp_path)), "candidates")["Failed candidates"]
    [(number, why, settings)] = table.rows
    assert number == "1"
    assert why.startswith("diverged: </script>")
    assert settings == "learning_rate 0.001, units 16, layers 2"


def test_finalists_are_judged_by_rows_that_chose_nothing(tmp_path):
    table = tables(page_of(search_run(tmp_path)), "result")["Trained in full, judged by test rows"]
    assert table.header[1:3] == ("is it better?", "accuracy less the given one's (95 %)")
    assert table.rows == (
        ("as given", "", "", "100", "3", "0.75"),
        ("best", "better, more than noise", "0.125 (0.0625 to 0.1875)", "100", "3", "0.875"),
        ("smallest", "", "", "100", "3", "0.75"),
    )


def test_a_nested_search_is_told_fold_by_fold(tmp_path):
    page = page_of(search_run(tmp_path))
    table = tables(page, "result")["The search itself, cross-validated"]
    assert table.rows == (
        ("fold 1", "learning_rate 0.001, units 16", "4", "5", "0.25", "0.5"),
        ("fold 2", "learning_rate 0.001, units 16", "4", "5", "0.25", "0.375"),
    )
    assert parts(page, "result")[-1].text == (
        "What the whole search is worth on new rows: 0.4375 (0.25 to 0.625)."
    )


def test_the_search_is_drawn_as_it_went(tmp_path):
    chart = charts(page_of(search_run(tmp_path)), "course")["The search as it went"]
    assert chart.spec["datasets"] == {
        "rows": [
            {"n": 0, "p": 0.5, "v": 0.5, "s": "complete"},
            {"n": 1, "p": 0.5, "v": None, "s": "failed"},  # at the worse edge
            {"n": 2, "p": 0.75, "v": 0.75, "s": "pruned"},
            {"n": 3, "p": 0.25, "v": 0.25, "s": "complete"},
            {"n": 4, "p": 0.3125, "v": 0.3125, "s": "complete"},
        ],
        "steps": [{"n": 0, "v": 0.5}, {"n": 3, "v": 0.25}, {"n": 4, "v": 0.25}],
        "default": [{"v": 0.4375}],
    }
    assert chart.shows == (
        "5 candidates: the best so far goes from 0.5 to 0.25, reached at number 3."
    )


def test_sizes_are_drawn_with_the_band_of_one_standard_error(tmp_path):
    chart = charts(page_of(search_run(tmp_path)), "size")["What size is worth"]
    datasets = chart.spec["datasets"]
    assert datasets["band"] == [{"a": 0.25, "b": 0.3125}]
    assert [(row["q"], row["p"]) for row in datasets["rows"]] == [
        (900, 0.25),
        (50, 0.3125),
        (400, 0.5),
    ]
    assert [(row["w"], row["q"]) for row in datasets["marked"]] == [
        ("the best", 900),
        ("the smallest good one", 50),
        ("the config as given", 200),
    ]
    assert chart.shows == (
        "The best has 900 parameters and 0.25. The smallest within a standard error has 50 and "
        "0.3125."
    )


def test_where_higher_is_better_the_band_lies_below_the_best(tmp_path):
    found = search(direction="maximize", best=0, smallest=0)
    chart = charts(page_of(search_run(tmp_path, found)), "size")["What size is worth"]
    assert chart.spec["datasets"]["band"] == [{"a": 0.5, "b": 0.4375}]


def test_importances_are_drawn_the_largest_first(tmp_path):
    chart = charts(page_of(search_run(tmp_path)), "varied")["What mattered"]
    assert [tuple(row.values()) for row in chart.spec["datasets"]["rows"]] == [
        ("hidden.units", 0.625),
        ("optimizer.learning_rate", 0.25),
        ("hidden.layers", 0.125),
    ]
    assert chart.shows == (
        "Most has to do with hidden.units: 62.5 % of what sets good candidates apart."
    )


def test_without_importances_it_is_said_that_candidates_are_too_few(tmp_path):
    blocks = parts(page_of(search_run(tmp_path, search(importances={}))), "varied")
    assert blocks[0].text == (
        "3 candidates came to an end: too few to tell which settings mattered."
    )


def test_without_importances_of_enough_candidates_it_is_said_that_none_stands_out(tmp_path):
    trials = tuple(trial(at, 1.0 + at) for at in range(20))
    found = search(trials=trials, best=0, smallest=0, importances={})
    assert parts(page_of(search_run(tmp_path, found)), "varied")[0].text == (
        "20 candidates came to an end, and no setting stands out from what chance does."
    )


def test_each_candidate_is_a_line_through_its_place_on_every_axis(tmp_path):
    rate = Dimension(path="rate", kind="float", low=0.0, high=4.0)
    trials = tuple(
        trial(at, value, values={"rate": rated})
        for at, (value, rated) in enumerate([(1.0, 1.0), (2.0, 4.0), (3.0, 0.0)])
    )
    found = search(dimensions=(rate,), trials=trials, best=0, smallest=0, importances={})
    chart = charts(page_of(search_run(tmp_path, found)), "varied")["All settings at once"]
    datasets = chart.spec["datasets"]
    # The worst first, so that the best lies on top; the last axis is the value.
    assert datasets["lines"] == [
        {"n": 2, "v": 3.0, "g": "the other half", "s": "rate 0", "d0": 0.0, "d1": 1.0},
        {"n": 1, "v": 2.0, "g": "the better half", "s": "rate 4", "d0": 1.0, "d1": 0.5},
        {"n": 0, "v": 1.0, "g": "the best tenth", "s": "rate 1", "d0": 0.25, "d1": 0.0},
    ]
    assert [row["t"] for row in datasets["axes"]] == ["rate", "val_loss: lower is better"]
    assert [row["t"] for row in datasets["starts"]] == ["0", "1"]
    assert [row["t"] for row in datasets["ends"]] == ["4", "3"]


def test_lines_through_one_choice_lie_side_by_side_around_it(tmp_path):
    trials = tuple(trial(at, 1.0 + at, values={UNITS.path: 16}) for at in range(20))
    found = search(dimensions=(UNITS,), trials=trials, best=0, smallest=0, importances={})
    chart = charts(page_of(search_run(tmp_path, found)), "varied")["All settings at once"]
    places = [row["d0"] for row in chart.spec["datasets"]["lines"]]
    assert len(set(places)) == 20
    assert min(places) >= 0.45
    assert max(places) <= 0.55


def test_a_setting_is_drawn_against_the_value(tmp_path):
    drawn = charts(page_of(search_run(tmp_path)), "varied")
    assert list(drawn)[2:] == ["hidden.units", "optimizer.learning_rate", "hidden.layers"]
    units, rate = drawn["hidden.units"], drawn["optimizer.learning_rate"]
    assert [(row["x"], row["p"]) for row in rate.spec["datasets"]["rows"]] == [
        (0.01, 0.25),
        (0.0001, 0.3125),
        (0.001, 0.5),
    ]
    assert rate.shows == "The best value, 0.25, is at 0.01; 0.0001 to 0.01 was allowed."
    assert units.spec["datasets"]["medians"] == [
        {"x": "32", "p": 0.25},
        {"x": "8", "p": 0.3125},
        {"x": "16", "p": 0.5},
    ]
    assert units.shows == "The median is best with 32 (0.25), worst with 16 (0.5)."


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
    layers = Dimension(path="epochs", kind="integer", low=low, high=high, log=log)
    trials = tuple(trial(at, 0.5, values={"epochs": end}) for at, end in enumerate((low, high)))
    found = search(dimensions=(layers,), trials=trials, best=0, smallest=0, importances={})

    spec = charts(page_of(search_run(tmp_path, found)), "varied")["epochs"].spec
    assert spec["layer"][0]["encoding"]["x"]["axis"].get("values") == ticks


def test_that_doing_it_again_gives_the_same_is_said_only_where_it_holds(tmp_path):
    def said(**changes):
        run = search_run(tmp_path / f"{len(list(tmp_path.iterdir()))}", search(**changes))
        return parts(page_of(run), "reproduce")[0].text

    assert said().startswith("The same config, data, versions and threads on the same machine")
    assert said(workers=2) == (
        "Which candidates there were depended on how fast they were trained, too, so that the same "
        "search may find another config. What was found gives the same when it is trained again: "
        "best.yaml with the same data, versions and threads on the same machine."
    )


def test_one_goes_on_with_the_config_as_given_if_the_best_is_worse(tmp_path):
    run = search_run(tmp_path, search(finalists=finalists(verdict="worse")))
    for name in ("best", "default"):
        with new_run(run.path / name, name) as writer:
            writer.finish()
    codes = [each.text for each in parts(page_of(run), "next") if each.kind == "code"]
    default = run.path / "default"
    assert codes[0] == (
        f"dlcli predict {default} DATA\ndlcli report {default}\n"
        f"dlcli compare {default} {run.path}/best"
    )


@pytest.mark.parametrize("number", [1, 2, 9])
def test_a_best_that_came_to_no_value_is_refused(tmp_path, number):
    damaged = search().model_copy(update={"best": number})
    run = search_run(tmp_path, damaged)
    with pytest.raises(RunError) as caught:
        Search.of(run)
    assert str(caught.value) == (
        f"{run.path}/tune.json: is malformed at 'best': expected the number of a complete "
        f"candidate, got {number}; make it again"
    )


def test_one_goes_on_with_the_configs_that_were_found(tmp_path):
    run = search_run(tmp_path)
    codes = [each.text for each in parts(page_of(run), "next") if each.kind == "code"]
    assert codes == [f"dlcli train {run.path}/best.yaml\ndlcli train {run.path}/smallest.yaml"]


def test_one_goes_on_with_the_best_network_if_it_was_trained(tmp_path):
    run = search_run(tmp_path)
    for name in ("best", "default"):
        with new_run(run.path / name, name) as writer:
            writer.finish()
    codes = [each.text for each in parts(page_of(run), "next") if each.kind == "code"]
    best = run.path / "best"
    assert codes[0] == (
        f"dlcli predict {best} DATA\ndlcli report {best}\ndlcli compare {run.path}/default {best}"
    )


def hostile() -> dict[str, object]:
    """A search whose names would run, end what they stand in, or be those of every object."""
    names = ("constructor", "__proto__", HOSTILE)
    dimensions = tuple(Dimension(path=name, kind="choice", choices=names) for name in names)
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


@pytest.mark.usefixtures("quick")
def test_what_it_holds_stays_text(tmp_path):
    found = search(**hostile())
    html = render(search_run(tmp_path, found)).page
    assert "<script>alert" not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html
    assert len(re.findall("<script>", html)) == 2
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert [block for block in blocks if set("<>&") & set(block)] == []
    assert all(isinstance(json.loads(block), dict) for block in blocks)
    rest = re.sub(r"<pre.*?</pre>|<ul class=.warnings.*?</ul>", "", html, flags=re.DOTALL)
    assert "x" * 400 not in rest


def test_anchors_are_no_names_that_the_page_uses_itself(tmp_path):
    anchors = {section.anchor for section in page_of(search_run(tmp_path)).sections}
    assert not anchors & {"main", "settings"}


def many(count: int, settings: int) -> dict[str, object]:
    """Candidates with many settings of long names."""
    chance = random.Random(0)
    dimensions = tuple(
        Dimension(path=f"input.features.a rather long name {at}", kind="float", low=0.0, high=1.0)
        for at in range(settings)
    )
    trials = tuple(
        trial(at, chance.random(), values={each.path: chance.random() for each in dimensions})
        for at in range(count)
    )
    best = min(trials, key=lambda each: each.value)
    shares = {each.path: 1 / settings for each in dimensions}
    numbers = {"best": best.number, "smallest": best.number}
    return {"dimensions": dimensions, "trials": trials, "importances": shares, **numbers}


@pytest.mark.slow
def test_five_thousand_candidates_with_forty_settings_stay_within_bounds(tmp_path):
    html = render(search_run(tmp_path, search(**many(5_000, 40)))).page
    assert 1_000_000 < len(html.encode()) < 3_000_000


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open pages in")
@pytest.mark.parametrize("changes", [{}, many(300, 12), hostile()], ids=["few", "many", "hostile"])
def test_a_browser_draws_every_chart_and_complains_of_nothing(tmp_path, changes):
    path = tmp_path / "page.html"
    path.write_text(render(search_run(tmp_path, search(**changes))).page, encoding="utf-8")
    (tmp_path / "profile").mkdir()
    with browser(tmp_path / "profile") as chromium:
        for width, dark in ((1280, False), (390, True)):
            visit = chromium.visit(path, width=width, dark=dark)
            look(chromium, visit, path, width)
