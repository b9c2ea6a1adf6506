"""The comparison of new rows with training rows, on tables whose changes are known."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import chi2_contingency, ks_2samp, norm

import dlcli
from dlcli.cli.program import main
from dlcli.metrics.intervals import Estimate
from dlcli.pipeline import drift
from dlcli.runs.run_folder import open_run
from tests.catalogue import hand_made

CONFIG = """\
data: {train: rows.csv, target: y}
input: {features: {a: numeric, b: numeric, color: categorical, day: datetime}}
hidden: []
epochs: 1
"""
ROWS = 2_000


def rows(seed, count=ROWS, **changes):
    """Independent columns; a has the standard normal distribution, b = a in half of its variance.

    Args:
        seed: the seed of the random numbers.
        count: number of rows.
        **changes: functions of the generated columns that replace a column.
    """
    draw = np.random.default_rng(seed)
    a = draw.standard_normal(count)
    b = (a + draw.standard_normal(count)) / math.sqrt(2)
    table = {
        "a": a,
        "b": b,
        "color": draw.choice(["red", "green", "blue"], count, p=[0.5, 0.3, 0.2]).astype(object),
        "day": np.array([f"2024-01-{1 + each:02}" for each in draw.integers(0, 31, count)], object),
    }
    table |= {name: change(table, draw) for name, change in changes.items()}
    return {**table, "y": 2 * a}


def write(name, table):
    with Path(name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return Path(name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with runs/known, which was trained on rows.csv."""
    monkeypatch.chdir(tmp_path)
    write("rows.csv", rows(0))
    hand_made.make_run(CONFIG, "known")
    return tmp_path


def measured(seed=1, **changes):
    """The drift of other rows from those of runs/known."""
    return drift.measure_drift(
        open_run(Path("runs/known")), write("new.csv", rows(seed, **changes))
    )


def levels(found):
    return {each.name: each.level for each in found.columns if each.level != "none"}


class TestRowsAlike:
    @pytest.mark.parametrize("seed", range(1, 6))
    def test_rows_of_the_same_distribution_show_no_drift(self, folder, seed):
        found = measured(seed, count=300).document
        assert (found.level, levels(found)) == ("none", {})
        assert found.classifier.lower < 0.5 < found.classifier.upper

    def test_the_training_table_itself_can_not_be_told_apart(self, folder):
        found = drift.measure_drift(open_run(Path("runs/known")), Path("rows.csv")).document
        assert found.level == "none"
        assert found.classifier.value == pytest.approx(0.5, abs=0.03)
        assert {each.p_value for each in found.columns} == {1.0}


class TestChangedColumns:
    @pytest.mark.parametrize(("shift", "level"), [(0.1, "none"), (0.4, "moderate"), (1, "strong")])
    def test_the_index_of_a_shifted_normal_column_is_the_square_of_the_shift(
        self, folder, shift, level
    ):
        found = measured(b=lambda table, draw: table["b"] + shift).document
        [column] = (each for each in found.columns if each.name == "b")
        assert column.psi == pytest.approx(shift**2, rel=0.15, abs=0.02)
        assert column.level == level
        assert column.median - column.median_before == pytest.approx(shift, abs=0.07)

    def test_a_category_that_is_new_or_more_frequent(self, folder):
        def change(table, draw):
            return np.where(draw.random(ROWS) < 0.3, "violet", table["color"])

        found = measured(color=change).document
        [column] = (each for each in found.columns if each.name == "color")
        assert column.level == "strong"
        assert (column.value, column.share_before) == ("violet", 0)
        assert column.share == pytest.approx(0.3, abs=0.03)
        assert column.unseen == round(column.share * ROWS)
        assert column.unseen_values == ("violet",)

    def test_values_that_become_missing(self, folder):
        def change(table, draw):
            return np.where(draw.random(ROWS) < 0.2, "", table["a"].astype(str))

        found = measured(a=change).document
        assert levels(found) == {"a": "strong"}
        [column] = (each for each in found.columns if each.name == "a")
        assert (column.missing_before, column.missing) == (0, pytest.approx(0.2, abs=0.03))

    def test_later_dates(self, folder):
        def change(table, draw):
            return np.array([each.replace("-01-", "-03-") for each in table["day"]])

        found = measured(day=change).document
        assert levels(found) == {"day": "strong"}
        assert found.columns[0].outside == ROWS
        assert (found.classifier_level, measured(day=change).times) == ("strong", ("day",))
        new = write("new.csv", rows(1, day=change))
        without = drift.measure_drift(open_run(Path("runs/known")), new, ignored=["d*"])
        assert {each.name for each in without.document.columns} == {"a", "b", "color"}
        assert (without.document.classifier_level, without.document.changed) == ("none", ())
        assert without.times == ()

    def test_a_value_that_can_not_be_read_counts_as_missing(self, folder):
        def change(table, draw):
            return np.where(np.arange(ROWS) < 20, "?x", table["a"].astype(str))

        [column] = (each for each in measured(a=change).document.columns if each.name == "a")
        assert (column.unreadable, column.missing) == (20, 0.01)


class TestThePredictions:
    def test_they_are_compared_with_those_of_training_rows_if_there_are_no_others(self, folder):
        found = measured(a=lambda table, draw: table["a"] + 1).document
        [column] = found.predictions
        assert (found.predicted_rows, column.name) == ("train", "prediction")
        assert column.level != "none"


class TestTheClassifier:
    def test_it_finds_a_dependence_that_no_column_shows(self, folder):
        found = measured(b=lambda table, draw: draw.permutation(table["b"])).document
        assert levels(found) == {}
        assert found.classifier_level == "strong"
        assert found.level == "strong"

    def test_a_shift_by_d_of_one_column_has_the_area_of_theory_or_more(self, folder):
        found = measured(a=lambda table, draw: table["a"] + 0.7).document.classifier
        # Φ(d/√2) for the column alone; as b does not follow, more.
        assert found.value > norm.cdf(0.7 / math.sqrt(2)) - 0.02

    def test_few_rows_have_no_classifier(self, folder):
        found = measured(count=9).document
        assert found.classifier == Estimate(reason="fewer than 10 rows")
        assert found.classifier_level == "none"


class TestTests:
    """SciPy's, on what is counted here."""

    def test_numbers_have_the_p_value_of_kolmogorov_and_smirnov(self):
        draw = np.random.default_rng(0)
        old, new = draw.standard_normal(200), draw.standard_normal(100) + 0.3
        found = drift._numbers("a", old, new)
        assert found.p_value == ks_2samp(old, new).pvalue

    def test_categories_have_the_p_value_of_a_table_of_counts(self):
        old, new = np.repeat([0, 1, 2], [50, 30, 20]), np.repeat([0, 1, 2], [30, 30, 40])
        found = drift._categories("c", old, new, ["x", "y", "z"])
        assert found.p_value == chi2_contingency([[50, 30, 20], [30, 30, 40]]).pvalue

    def test_rare_categories_are_merged_so_that_the_test_is_exact_enough(self):
        counts = np.array([[50, 40, 1, 2, 1], [45, 50, 2, 0, 1]])
        merged = [[50, 40, 4], [45, 50, 3]]
        least = np.array(merged).sum(axis=0).min()
        assert least < 2 * drift._LEAST_EXPECTED  # so it is merged with the next, too
        expected = chi2_contingency([[50, 44], [45, 53]], correction=False).pvalue
        assert drift._chi_squared(counts) == expected

    def test_the_index_of_two_parts_by_hand(self):
        found = drift.stability_index(np.array([50, 50]), np.array([80, 20]))
        p, q = 50.5 / 101, 80.5 / 101
        assert found == pytest.approx((q - p) * math.log(q / p) + (p - q) * math.log((1 - q) / p))

    def test_p_values_are_adjusted_for_their_number(self):
        plain = [0.001, 0.02, 0.04, 0.9]
        each = [
            drift.Difference(
                name="x",
                psi=1,
                test="chi_squared",
                p_value=p,
                level="none",
                missing_before=0,
                missing=0,
            )
            for p in plain
        ]
        by_hand = [0.001 * 4, 0.02 * 4 / 2, 0.04 * 4 / 3, 0.9]
        assert [one.p_value for one in drift._adjusted(each)] == pytest.approx(by_hand)
        assert [one.level for one in drift._adjusted(each)] == ["strong", "strong", "none", "none"]


class TestTheCommand:
    def run(self, *arguments):
        return CliRunner().invoke(main, ["drift", "runs/known", *arguments])

    def test_strong_drift_has_the_exit_code_of_a_gate(self, folder):
        write("new.csv", rows(1, b=lambda table, draw: table["b"] + 1))
        result = self.run("new.csv")
        assert result.exit_code == 6
        assert "Strong drift in 1 column: 'b'." in result.stdout
        assert result.stderr.startswith("error: new.csv: strong drift in column 'b'")
        assert self.run("new.csv", "--fail-on", "never").exit_code == 0

    def test_moderate_drift_is_an_error_on_request(self, folder):
        write("old.csv", rows(2)), write("new.csv", rows(1, color=self.fewer_blue))
        assert self.run("new.csv", "--reference", "old.csv").exit_code == 0
        result = self.run("new.csv", "--reference", "old.csv", "--fail-on", "moderate")
        assert result.exit_code == 6
        assert result.stderr == "error: new.csv: moderate drift in column 'color'\n"

    @staticmethod
    def fewer_blue(table, draw):
        return draw.choice(["red", "green", "blue"], ROWS, p=[0.6, 0.33, 0.07])

    def test_json_and_page_show_the_same_comparison(self, folder):
        write("new.csv", rows(1, b=lambda table, draw: table["b"] + 1))
        result = self.run("new.csv", "--json", "--output", "page.html", "--fail-on", "never")
        found = json.loads(result.stdout)
        assert (found["level"], found["rows"], found["training_rows"]) == ("strong", ROWS, ROWS)
        assert found["columns"][0]["name"] == "b"
        page = Path("page.html").read_text(encoding="utf-8")
        assert "Strong drift in 1 column" in page
        assert "new rows" in page

    def test_columns_to_ignore_that_do_not_exist_are_refused(self, folder):
        write("new.csv", rows(1))
        result = self.run("new.csv", "--ignore", "colour")
        assert result.exit_code == 2
        assert result.stderr == (
            "error: --ignore: the network reads no column 'colour'; did you mean 'color'?\n"
        )
        assert "no column is left to compare" in self.run("new.csv", "--ignore", "*").stderr

    def test_a_training_table_that_is_gone_is_named_with_the_way_out(self, folder):
        write("new.csv", rows(1))
        Path("rows.csv").rename("moved.csv")
        result = self.run("new.csv")
        assert result.exit_code == 2
        assert "the training rows can't be read again: " in result.stderr
        assert "name a table with these rows: --reference FILE" in result.stderr
        assert self.run("new.csv", "--reference", "moved.csv").exit_code == 0

    def test_a_table_without_a_column_of_the_network(self, folder):
        Path("new.csv").write_text("a,b\n1,2\n")
        result = self.run("new.csv")
        assert result.exit_code == 3
        assert "'color'" in result.stderr

    def test_a_table_without_rows(self, folder):
        Path("new.csv").write_text("a,b,color,day\n")
        result = self.run("new.csv")
        assert result.exit_code == 3
        assert result.stderr == "error: new.csv: has a header but no rows\n"


def test_the_function_returns_what_the_command_prints(folder):
    new = write("new.csv", rows(1, b=lambda table, draw: table["b"] + 1))
    found = dlcli.drift("runs/known", new)
    assert found.level == "strong"
    assert found.to_dict()["columns"][0]["level"] == "strong"
    assert "Strong drift in 1 column: 'b'." in str(found)
    assert found._repr_html_().strip().startswith('<div class="dlcli-card">')


def test_a_column_of_free_text_is_compared_by_its_missing_values_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note = np.array([f"note {at} of many words" for at in range(ROWS)], object)
    write("rows.csv", rows(0) | {"note": note})
    hand_made.make_run(CONFIG.replace("day: datetime", "note: text, day: ignored"), "known")
    new = [each.replace("note", "text") for each in note]
    write("new.csv", rows(1) | {"note": np.where(np.arange(ROWS) % 2, new, "")})
    found = drift.measure_drift(open_run(Path("runs/known")), Path("new.csv")).document
    [column] = (each for each in found.columns if each.name == "note")
    assert (column.value, column.missing) == (None, 0.5)
