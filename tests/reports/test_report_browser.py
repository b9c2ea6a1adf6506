"""Pages in a browser: no complaints, no requests, and every chart has marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlcli.comparison import compare
from dlcli.reports.comparison_report import comparison_view
from dlcli.reports.report_files import render_report, to_html, write_report
from dlcli.reports.views import Figure, TableBlock, View, section
from dlcli.runs.run_folder import open_run
from tests.comparison import hand_made
from tests.forks import Forks
from tests.reports.browser import PROGRAM, Browser, browser
from tests.reports.hand_made_experiments import cross_validation_run, search, search_run
from tests.reports.hand_made_runs import HOSTILE, write_csv
from tests.reports.test_report_run import RUNS
from tests.reports.test_report_search import hostile, many

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("vega"),
    pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open pages in"),
]
SCRIPTS = "document.querySelectorAll('script:not([type])').length"
WITHOUT_MARKS = """
[...document.querySelectorAll("figure.chart")]
  .filter((figure) => figure.querySelector(".canvas"))
  .filter((figure) => !figure.querySelector(".canvas svg .role-mark > *"))
  .map((figure) => figure.querySelector("figcaption").textContent)
"""
LINES_OF_VALUES = """
[...document.querySelectorAll(".figures strong")].map((value) => {
  const range = document.createRange();
  range.selectNodeContents(value);
  return range.getClientRects().length;
})
"""
UNFOLD = "for (const fold of document.querySelectorAll('details.fold')) fold.open = true"
CONFIG = """\
data: {{train: table.csv, target: {target}, validation: 0.25, test: 0.25}}
hidden: [{{units: 2, activation: relu}}]
epochs: 4
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def look_at(chromium: Browser, page: Path) -> None:
    """Open a page, and all that is folded on it, on a screen and on a phone in the dark."""
    for width, dark in ((1280, False), (390, True)):
        visit = chromium.visit(page, width=width, dark=dark)
        chromium.ask(UNFOLD)
        chromium.ask("new Promise(requestAnimationFrame)")  # `toggle` has been handled by then
        chromium.ask("document.documentElement.charts")
        assert (visit.complaints, chromium.complaints()) == ([], [])
        assert visit.requests == [page.as_uri()]
        assert chromium.ask(WITHOUT_MARKS) == []
        assert chromium.ask("document.querySelectorAll('.canvas svg').length") >= 4
        assert chromium.ask("document.documentElement.scrollWidth") == width
        assert chromium.ask(SCRIPTS) == 2


def comparison_page(folder: Path) -> str:
    rows = {row: row + (0.75 if row % 2 else -0.25) for row in range(1, 41)}
    runs = [hand_made.number_run(folder, name, rows) for name in ("a", "b")]
    return to_html(comparison_view(compare(runs)))


PAGES: dict[str, Callable[[Path], str]] = {
    **{name: lambda folder, make=make: render_report(make(folder)) for name, make in RUNS.items()},
    "cross-validation": lambda folder: render_report(cross_validation_run(folder)),
    "search": lambda folder: render_report(search_run(folder)),
    "long search": lambda f: render_report(search_run(f, search(**many(300, 12)))),
    "hostile search": lambda f: render_report(search_run(f, search(**hostile()))),
    "comparison": comparison_page,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_each_kind_is_complete(name: str, chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGES[name](tmp_path), encoding="utf-8")
    look_at(chromium, page)


@pytest.mark.parametrize("target", [pytest.param("number", marks=pytest.mark.release), "kind"])
def test_hostile_names_stay_text_on_the_page_of_a_trained_run(
    target: str,
    chromium: Browser,
    forks: Forks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = range(40)
    columns = {
        HOSTILE: [at % 7 for at in rows],
        "__proto__": [f"{HOSTILE}{at % 2}" for at in rows],
        "a.b[0]": [at % 5 for at in rows],
        "constructor": [["toString", "valueOf", "__proto__"][at % 3] for at in rows],
        "day": [f"2024-01-{1 + at % 28:02}" for at in rows],
        "number": [at / 3 for at in rows],
        "kind": [f"{HOSTILE}{at % 3}" for at in rows],
    }
    write_csv(tmp_path / "table.csv", columns)
    (tmp_path / "config.yaml").write_text(CONFIG.format(target=target), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert forks.run("train", "config.yaml", "--output", "run").code == 0

    look_at(chromium, write_report(open_run(tmp_path / "run")))

    shown = chromium.ask("document.body.innerText")
    assert "</script><script>alert(1)</script>\"'`{{131*7}}<!--" in shown
    names = "[...document.querySelectorAll('.column .name')].map((name) => name.textContent)"
    assert {"__proto__", "a.b[0]", "constructor"} <= set(chromium.ask(names))


@pytest.mark.parametrize("width", [390, 1000, 1280])
def test_large_numbers_are_not_broken(width: int, chromium: Browser, tmp_path: Path) -> None:
    values = ("-999,999,999,999,999", *["153,591,596,075"] * 5)
    figures = tuple(Figure("error", value) for value in values)
    page = tmp_path / "page.html"
    page.write_text(to_html(View("", figures=figures)), encoding="utf-8")
    chromium.visit(page, width=width)
    assert chromium.ask(LINES_OF_VALUES) == [1] * 6


NUMBERS = ("9.5", "−1,200", "-", "1e3", "10.0 %")


@pytest.mark.parametrize(
    ("values", "order"),
    [(NUMBERS, "baedc"), (("R² 0.9131", "R² 0.93", "MAE 12", "MAE 2", ""), "dcabe")],
)
def test_headers_sort_numbers_as_numbers_and_reverse_them(
    values: tuple[str, ...], order: str, chromium: Browser, tmp_path: Path
) -> None:
    rows = tuple(zip("abcde", values, strict=True))
    table = TableBlock(("run", "value"), rows, is_sortable=True)
    page = tmp_path / "page.html"
    view = View("", sections=lambda: [section("runs", "Runs", table)])
    page.write_text(to_html(view), encoding="utf-8")
    visit = chromium.visit(page)
    names = "[...document.querySelectorAll('tbody th')].map((each) => each.textContent).join('')"

    orders = []
    for _ in range(2):
        chromium.ask("document.querySelectorAll('thead button')[1].click()")
        orders.append(chromium.ask(names))

    assert orders == [order, order[::-1]]
    assert not visit.complaints


def test_a_policy_that_is_broken_would_be_seen(chromium: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        """<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="default-src 'none'">
        <img src="https://example.invalid/x.png"><script>alert(1)</script>""",
        encoding="utf-8",
    )

    visit = chromium.visit(page)

    assert any("img-src" in text for text in visit.complaints)
    assert any("script-src" in text for text in visit.complaints)
