"""The explanations of the rows with the largest errors in the report."""

from hand_made_runs import HOSTILE

from dlcli.explanation.explanation_document import Contribution, RowContributions, WorstRow
from dlcli.reports.errors_section import contribution_charts


def row(number, contributions=None, prediction="no"):
    return WorstRow(
        file=None,
        row=number,
        split="test",
        target="yes",
        prediction=prediction,
        error=1,
        values={},
        contributions=contributions,
    )


def contribution(column, value, shapley, error=0.0):
    return Contribution(column=column, value=value, shapley=shapley, standard_error=error)


def explained(*columns, **fields):
    given = {"explained": "yes", "unit": "probability", "prediction": 0.2, "mean_prediction": 0.45}
    others = {"other_columns": 0, "others": 0.0}
    return RowContributions(columns=columns, **{**given, **others, **fields})


def drawn(*rows):
    return contribution_charts(rows).blocks[1].blocks


def bars(chart):
    found = {id(each): each for each in chart.spec["datasets"].values()}.values()
    return next(each for each in found if "y" in each[0])


def test_each_explained_row_has_a_bar_for_each_column_in_percentage_points():
    columns = contribution("age", "31", -0.2), contribution("town", None, -0.04)
    [chart] = drawn(row(7, explained(*columns, other_columns=3, others=-0.01)), row(8))
    assert chart.title == "Row 7: true yes, predicted no"
    assert [(bar["y"], round(bar["x"], 9)) for bar in bars(chart)] == [
        ("age = 31", -20),
        ("town = missing", -4),
        ("3 other columns", -1),
    ]
    assert chart.description == (
        "The probability of yes is 20.0 %, the mean 45.0 %. Largest contributions: "
        "−20.0 from age = 31, −4.0 from town = missing, −1.0 from 3 other columns."
    )
    assert (chart.reading, chart.numbers.header) == ("", ("column", "contribution"))


def test_sampled_values_have_their_standard_errors():
    numbers = {"unit": "target", "explained": "price", "prediction": 6.5, "mean_prediction": 4.0}
    found = explained(contribution("age", "31", 2.5, 0.25), **numbers)
    [chart] = drawn(row(7, found, "6.5"))
    [bar] = bars(chart)
    assert (bar["x"], bar["l"], bar["u"]) == (2.5, 2.25, 2.75)
    assert "standard error" in chart.reading
    assert chart.numbers.rows == (("age = 31", "2.5", "0.25"),)
    assert chart.description.startswith("The prediction of price is 6.5, the mean 4.")


def test_long_names_of_a_stranger_are_shortened():
    found = explained(contribution(HOSTILE * 20, HOSTILE * 20, 0.5))
    [chart] = drawn(row(1, found))
    assert len(bars(chart)[0]["y"]) <= 35


def test_without_contributions_there_are_no_charts():
    assert contribution_charts([row(1), row(2, explained())]) is None
