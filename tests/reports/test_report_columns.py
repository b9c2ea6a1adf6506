"""The cards of columns of times."""

from __future__ import annotations

import altair as alt

from dlcli.explanation import ColumnStatistics, Histogram, ValueCount
from dlcli.reports.columns import column_cards, column_table

DAY = 86_400
LEAP_DAY = 1_709_164_800  # `date -u -d 2024-02-29 +%s`


def times(**changes):
    """A column of times from the leap day of 2024 on."""
    edges = tuple(float(LEAP_DAY + at * DAY) for at in range(3))
    given = {
        "name": "when",
        "role": "feature",
        "type": "datetime",
        "reason": "dates",
        "missing": 0,
        "distinct": 3,
        "minimum": float(LEAP_DAY),
        "maximum": float(LEAP_DAY + DAY + 5_400),
        "histogram": Histogram(edges=edges, train=(3, 1), held_out=(0, 2)),
    }
    return ColumnStatistics(**{**given, **changes})


def test_times_have_a_histogram_on_a_calendar():
    [card] = column_cards([times()], 4).columns
    assert card.facts == ("dates", "from 2024-02-29 to 2024-03-01 01:30:00")
    assert card.chart.shows == "Distribution of when: from 2024-02-29 to 2024-03-01 01:30:00."
    alt.Chart.from_dict(dict(card.chart.spec), validate=True)
    first, second = card.chart.spec["datasets"]["rows"]
    assert (first["a"], second["a"]) == (1_709_164_800_000, 1_709_251_200_000)
    assert (first["f"], first["u"]) == ("2024-02-29", "2024-03-01")
    assert (first["t"], second["h"]) == (0.75, 1)
    x = card.chart.spec["layer"][0]["encoding"]["x"]
    assert (x["type"], x["scale"]) == ("temporal", {"type": "utc"})


def test_the_table_of_columns_tells_the_first_and_the_last_date():
    assert "2024-02-29 to 2024-03-01 01:30:00" in column_table([times()]).rows[0]


def test_times_of_an_older_run_are_its_most_frequent_values():
    value = ValueCount(value="2024-02-29", train=3, held_out=0)
    older = times(minimum=None, maximum=None, histogram=None, values=(value,))
    [card] = column_cards([older], 4).columns
    assert card.facts == ("dates", "3 different")
    assert card.chart.shows == "Most frequent values of when: 2024-02-29 (3)."
