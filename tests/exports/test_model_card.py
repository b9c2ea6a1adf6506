"""The model card: what a run knows, as Markdown that no name in it can break."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dlcli.columns.column_exports import as_code
from dlcli.config.config_file import EDITOR_COMMENT
from dlcli.config.config_schema import Config
from dlcli.errors import RunError
from dlcli.explanation.explanation_document import ValueCount
from dlcli.exports.export_folder import markdown_table
from dlcli.exports.model_card import model_card
from dlcli.prediction.baseline_comparison import BaselineComparison, BaselineDifference
from dlcli.reports.report_files import view_of
from dlcli.runs.run import Run
from tests.reports.hand_made_runs import HOSTILE, class_run, full_explanation, number_run


def section(card: str, title: str) -> str:
    """A section of a card, by its heading."""
    return card.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in lines]


def test_a_card_has_metrics_with_intervals_and_the_ranges_of_columns(tmp_path: Path) -> None:
    true = [float(at) for at in range(12)]
    outputs = {"target": true, "prediction": [each + (-1) ** each / 2 for each in true]}
    card = model_card(number_run(tmp_path, outputs=outputs))

    assert card.startswith("# Model card: run\n")
    assert "It predicts `y`, a number, from 2 columns." in card
    assert "Dense layers of 1 linear" in section(card, "Model")
    # All errors are 0.5: r² is 1 - 12·0.25/143.
    assert "| RMSE | 0.5 |" in section(card, "Results")
    assert re.search(r"\| R² \| 0\.979 \[0\.\d+, 0\.\d+\] \|", section(card, "Results"))
    assert "only 4 test rows" in section(card, "Limits")
    assert "| column | type | range or values | missing |" in section(
        card, "Requirements for new rows"
    )


def test_rows_of_weight_0_are_none_that_it_was_evaluated_on(tmp_path: Path) -> None:
    outputs = {"weight": [1, 0, 0, 2], "target": [1, 2, 3, 4], "prediction": [1, 2, 3, 5]}
    card = model_card(number_run(tmp_path, outputs=outputs))
    assert "only 2 test rows" in section(card, "Limits")


def test_shares_of_the_most_frequent_values_are_of_all_rows_with_a_value(tmp_path: Path) -> None:
    full = full_explanation()
    frequent = (ValueCount(value="a", train=20, held_out=0),)
    kinds = {"type": "categorical", "minimum": None, "maximum": None, "missing": 20, "inputs": 50}
    column = full.columns[-1].model_copy(update={**kinds, "distinct": 50, "values": frequent})
    explanation = full.model_copy(update={"columns": (column,), "rows": {"train": 100}})
    card = model_card(number_run(tmp_path, explanation=explanation))
    assert "| a 25.0 %, and 49 more | 20.0 % |" in section(card, "Requirements for new rows")


def test_years_have_no_separator_of_thousands(tmp_path: Path) -> None:
    full = full_explanation()
    kinds = {"type": "numeric", "minimum": 1928.0, "maximum": 2011.0, "mean": 1971.25, "inputs": 1}
    column = full.columns[-1].model_copy(update=kinds)
    card = model_card(
        number_run(tmp_path, explanation=full.model_copy(update={"columns": (column,)}))
    )
    assert "| 1928 to 2011, mean 1971 |" in section(card, "Requirements for new rows")


def test_times_of_day_have_no_date(tmp_path: Path) -> None:
    full = full_explanation()
    kinds = {"type": "datetime", "minimum": 25200.0, "maximum": 34200.0, "inputs": 1}
    column = full.columns[-1].model_copy(update=kinds)
    card = model_card(
        number_run(tmp_path, explanation=full.model_copy(update={"columns": (column,)}))
    )
    assert "| 07:00:00 to 09:30:00 |" in section(card, "Requirements for new rows")


def test_the_result_is_in_the_sentences_of_the_page(tmp_path: Path) -> None:
    unknown = BaselineDifference(
        metric="rmse", network=0.61, baseline=2.0, value=-1.39, reason="fewer than 10 rows"
    )
    comparison = BaselineComparison(differences={"constant": {"test": unknown}})
    run = number_run(tmp_path, comparison=comparison)
    results = section(model_card(run), "Results")

    sentence = (
        "No confidence interval of the difference from the constant baseline: RMSE 0.61 vs 2 "
        "(fewer than 10 rows)."
    )
    assert sentence in view_of(run).sentences
    assert all(f"- {each}" in results for each in view_of(run).sentences)
    assert "In brackets" not in results  # so few rows have no interval


@pytest.mark.parametrize(("early_stopping", "stops"), [({"patience": 3}, True), (None, False)])
def test_validation_rows_decided_when_to_stop_only_with_early_stopping(
    early_stopping: object, stops: bool, tmp_path: Path
) -> None:
    data = {"train": "table.csv", "target": "y", "validation": 0.5}
    metrics = {name: {"rmse": 0.61} for name in ("train", "validation", "test")}
    config = {"data": data, "early_stopping": early_stopping}
    card = model_card(number_run(tmp_path, metrics=metrics, config=config))

    assert ("validation rows were used for early stopping" in section(card, "Results")) is stops


def test_the_rows_of_an_ensemble_with_folds_are_out_of_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explanation = full_explanation().model_copy(update={"rows": {"train": 4, "validation": 4}})
    metrics = {"train": {"rmse": 1.0}, "validation": {"rmse": 2.0}}
    run = number_run(tmp_path, explanation=explanation, metrics=metrics, outputs=None)
    monkeypatch.setattr(Config, "ensemble_folds", 2)
    card = model_card(run)

    assert "| training | 4 |" in section(card, "Data")
    assert "| metric | training rows | out-of-fold rows |" in section(card, "Results")
    assert "only 4 out-of-fold rows" in section(card, "Limits")
    assert "validation" not in section(card, "Results") + section(card, "Data")


@pytest.mark.parametrize("beginning", ["", EDITOR_COMMENT])
@pytest.mark.parametrize("comment", ["", "# Prices\n# of houses.\n"])
def test_its_purpose_is_the_comment_at_the_beginning_of_the_config(
    beginning: str, comment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, read = number_run(tmp_path), Run.read_text

    def read_text(self: Run, name: Any) -> str:
        config = f"{beginning}{comment}\ndata: {{}}  # no purpose\n"
        return config if name == "config.yaml" else read(self, name)

    monkeypatch.setattr(Run, "read_text", read_text)
    purpose = "Prices\nof houses.\n\n" if comment else ""

    assert model_card(run).startswith(f"# Model card: run\n\n{purpose}It predicts `y`")


def test_hostile_names_stay_within_their_cells(tmp_path: Path) -> None:
    for make in (number_run, class_run):
        (tmp_path / make.__name__).mkdir()
        card = model_card(make(tmp_path / make.__name__, explanation=full_explanation()))
        assert "\n".join(card.split("\n")) == card
        for title in ("Data", "Results", "Requirements for new rows"):
            tables = section(card, title).split("\n\n")
            for table in tables:
                assert len({len(row) for row in rows(table)}) <= 1, table
        assert HOSTILE.replace("`", "'")[:20] in card


def test_a_diverged_run_has_no_card(tmp_path: Path) -> None:
    run: Run = number_run(tmp_path, metrics=None)

    with pytest.raises(RunError, match="diverged"):
        model_card(run)


def test_no_name_ends_code_or_a_cell() -> None:
    assert as_code("a`b\nc") == "`a'b c`"
    table = markdown_table(("x", "y"), [("a|b\nc", "d")])
    assert table == "| x | y |\n| --- | --- |\n| a\\|b c | d |"
