"""`dlcli schema`: for editors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator


@pytest.mark.slow
def test_the_schema_has_its_dialect_and_a_title(dlcli):
    schema = json.loads(dlcli("schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "dlcli config"
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(
        {"data": {"train": "a.csv", "target": "y"}, "hidden": [], "epochs": 1}
    )


@pytest.mark.usefixtures("folder")
def test_the_schema_goes_to_a_file_that_was_not_there(dlcli):
    assert dlcli("schema", "--output", "schema.json").stdout == ""
    assert "epochs" in json.loads(Path("schema.json").read_text())["properties"]
    assert dlcli("schema", "--output", "schema.json").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_a_dash_as_output_is_standard_output(dlcli):
    assert "epochs" in json.loads(dlcli("schema", "--output", "-").stdout)["properties"]
    assert not Path("-").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("output", "reason"),
    [("file/a.json", "Not a directory"), ("none/a.json", "No such file or directory")],
)
def test_an_output_that_cannot_be_made_is_a_mistake(output, reason, dlcli):
    Path("file").write_text("")
    result = dlcli("schema", "--output", output)
    assert result.exit_code == 2
    assert result.stderr == f"error: {output}: can't be written: {reason}\n"
