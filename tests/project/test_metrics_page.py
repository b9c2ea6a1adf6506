"""The page on metrics has every metric, and says which of them training shows at each epoch."""

from __future__ import annotations

import re
from pathlib import Path

from dlcli.metrics.definitions import METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_tables_define_every_metric_and_no_other():
    tables = PAGE[PAGE.index("## Numbers") : PAGE.index("## At each epoch")]
    rows = re.findall(r"^\| (`.+?`) \|", tables, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(METRICS)


def test_the_metrics_that_only_results_have_are_named():
    section = PAGE[PAGE.index("## At each epoch") : PAGE.index("## The main metric")]
    missing = [name for name, metric in METRICS.items() if not metric.is_trained]
    assert all(f"`{name}`" in section for name in missing)
