"""Explanation as it is read from a run, which may come from a stranger."""

import pytest

from dlcli.errors import RunError
from dlcli.explanation.explanation_document import ColumnStatistics, Explanation
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run


@pytest.fixture
def stored(tmp_path):
    """Stores a run with a text for its explanation, or with none."""

    def store(text):
        with new_run(tmp_path / "run", "run") as writer:
            if text is not None:
                writer.write_text(RunFile.EXPLANATION, text)
            return writer.finish()

    return store


def test_it_is_read_as_it_was_written(stored):
    text = '{"rows": {"train": 3}, "sampled_rows": {"train": 2}, "outputs": ["y"]}'
    found = stored(text).explanation
    assert (found.rows, found.sampled_rows, found.outputs) == ({"train": 3}, {"train": 2}, ("y",))
    assert Explanation.model_validate_json(found.model_dump_json()) == found


def test_only_several_numbers_are_in_standard_deviations(stored):
    text = '{"rows": {"train": 3}, "sampled_rows": {"train": 2}, "outputs": ["cat", "dog"]}'
    found = stored(text).explanation
    statistics = {"name": "y", "role": "target", "reason": ""}
    for type_, unit in {"numeric": " (in standard deviations)", "categorical": ""}.items():
        target = ColumnStatistics.model_construct(type=type_, **statistics)
        of_target = found.model_copy(update={"columns": (target,)})
        assert of_target.unit == unit
        assert of_target.model_copy(update={"importance_metric": "log_loss"}).unit == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"rows": {}}', "'sampled_rows': Field required"),
        ('{"rows": {}, "sampled_rows": {}, "more": 1}', "'more': Extra inputs are not permitted"),
        (
            '{"rows": {}, "sampled_rows": {}, "outputs": [1]}',
            "'outputs.0': Input should be a valid string",
        ),
    ],
)
def test_what_is_no_evidence_is_reported(stored, text, complaint):
    run = stored(text)
    with pytest.raises(RunError) as caught:
        run.explanation
    file, way_out = run.path / "explanation.json", "restore the run from a copy or train it again"
    assert str(caught.value) == f"{file}: is malformed at {complaint}; {way_out}"


def test_it_is_empty_for_a_run_without_one(stored):
    assert stored(None).explanation == Explanation(rows={}, sampled_rows={})
