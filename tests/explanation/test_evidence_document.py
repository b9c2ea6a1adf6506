"""Evidence as it is read from a run, which may come from a stranger."""

import pytest

from dlcli.errors import RunError
from dlcli.explanation import Evidence
from dlcli.runs import new_run


@pytest.fixture
def stored(tmp_path):
    """Stores a run with a text for its evidence, or with none."""

    def store(text):
        with new_run(tmp_path / "run", "run") as writer:
            if text is not None:
                writer.write_evidence(text)
            return writer.finish()

    return store


def test_it_is_read_as_it_was_written(stored):
    text = '{"rows": {"train": 3}, "looked_at": {"train": 2}, "outputs": ["y"]}'
    found = Evidence.of(stored(text))
    assert (found.rows, found.looked_at, found.outputs) == ({"train": 3}, {"train": 2}, ("y",))
    assert Evidence.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"rows": {}}', "looked_at: Field required"),
        ('{"rows": {}, "looked_at": {}, "more": 1}', "more: Extra inputs are not permitted"),
        (
            '{"rows": {}, "looked_at": {}, "outputs": [1]}',
            "outputs.0: Input should be a valid string",
        ),
    ],
)
def test_what_is_no_evidence_is_told(stored, text, complaint):
    run = stored(text)
    with pytest.raises(RunError) as caught:
        Evidence.of(run)
    assert str(caught.value) == f"{run.path}: its evidence.json can't be read: {complaint}"


def test_an_older_run_without_it_is_told(stored):
    with pytest.raises(RunError, match=r"evidence\.json"):
        Evidence.of(stored(None))
