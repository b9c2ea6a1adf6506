"""Pages in a browser: nothing is complained of, nothing is asked for, every chart has marks.

Trained from the shipped examples and from a table of hostile names.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from dlcli.config import load_config
from dlcli.pipeline import train
from dlcli.reports import make
from dlcli.runs import open_run
from tests.reports.browser import PROGRAM, Browser, browser
from tests.reports.hand_made_runs import HOSTILE, write_csv

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open pages in"),
]
ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
ON_A_PHONE = ("iris", "diabetes", "breast_cancer", "penguins", "line")
"""Pages of each kind; a narrow one takes as long as a wide one."""
SCRIPTS = "document.querySelectorAll('script:not([type])').length"
WITHOUT_MARKS = """
[...document.querySelectorAll("figure.chart")]
  .filter((figure) => figure.querySelector(".canvas"))
  .filter((figure) => !figure.querySelector(".canvas svg .role-mark > *"))
  .map((figure) => figure.querySelector("figcaption").textContent)
"""
UNFOLD = "for (const fold of document.querySelectorAll('details.fold')) fold.open = true"
BY_HEART = """\
data: {{train: table.csv, target: {target}, validation: 0.25, test: 0.25}}
hidden: [{{units: 2, activation: relu}}]
epochs: 2
"""


def train_in_this_process(config: Path, output: Path, *overrides: str) -> None:
    train(load_config(config, overrides), output)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Trains away from other tests: a process sets TensorFlow's threads only once."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as workers:
        yield workers


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def look_at(chromium: Browser, page: Path, *, width: int, dark: bool) -> None:
    """Opens a page and all that is folded on it."""
    visit = chromium.visit(page, width=width, dark=dark)
    chromium.ask(UNFOLD)
    chromium.ask("new Promise(requestAnimationFrame)")  # `toggle` is told by then
    chromium.ask("document.documentElement.charts")

    assert visit.complaints == []
    assert chromium.complaints() == []
    assert visit.requests == [page.as_uri()]
    assert chromium.ask(WITHOUT_MARKS) == []
    assert chromium.ask("document.querySelectorAll('.canvas svg').length") >= 4
    assert chromium.ask("document.documentElement.scrollWidth") == width
    assert chromium.ask(SCRIPTS) == 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_of_an_example_is_whole(
    name: str, pool: ProcessPoolExecutor, chromium: Browser, tmp_path: Path
) -> None:
    config = ROOT / "configs" / f"{name}.yaml"
    epochs = "epochs=4"  # more than any warm-up
    pool.submit(train_in_this_process, config, tmp_path / "run", epochs).result()

    page = make(open_run(tmp_path / "run"))

    look_at(chromium, page, width=1280, dark=False)
    if name in ON_A_PHONE:
        look_at(chromium, page, width=390, dark=True)


@pytest.mark.parametrize("target", ["number", "kind"])
def test_a_hostile_name_stays_text(
    target: str, pool: ProcessPoolExecutor, chromium: Browser, tmp_path: Path
) -> None:
    rows = range(40)
    columns = {
        HOSTILE: [at % 7 for at in rows],
        "__proto__": [f"{HOSTILE}{at % 2}" for at in rows],
        "a.b[0]": [at % 5 for at in rows],
        "constructor": [["toString", "valueOf", "__proto__"][at % 3] for at in rows],
        "number": [at / 3 for at in rows],
        "kind": [f"{HOSTILE}{at % 3}" for at in rows],
    }
    write_csv(tmp_path / "table.csv", columns)
    (tmp_path / "config.yaml").write_text(BY_HEART.format(target=target), encoding="utf-8")
    pool.submit(train_in_this_process, tmp_path / "config.yaml", tmp_path / "run").result()

    page = make(open_run(tmp_path / "run"))

    look_at(chromium, page, width=1280, dark=False)
    shown = chromium.ask("document.body.innerText")
    assert "</script><script>alert(1)</script>\"'`{{7*7}}<!--" in shown
    names = "[...document.querySelectorAll('.column .name')].map((name) => name.textContent)"
    assert {"__proto__", "a.b[0]", "constructor"} <= set(chromium.ask(names))


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
