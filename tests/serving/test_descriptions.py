"""`/openapi.json` and `/docs`: the columns of rows and answers, as requests meet them."""

from __future__ import annotations

import html
import json
import re
import shlex

import pyarrow as pa
import pytest
from jsonschema import Draft202012Validator

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import Categorical
from dlcli.columns.column_type import ErrorIfMissing
from dlcli.columns.date_time import Datetime
from dlcli.columns.number import Numeric
from dlcli.tables.column import Column
from dlcli.tables.number_notation import Notation
from tests.encoding.test_numeric_columns import fit
from tests.serving.conftest import ROW


def validator(document, name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator.check_schema(document["components"]["schemas"][name])
    return Draft202012Validator(schema)


@pytest.mark.parametrize(("name", "row"), [("houses", ROW), ("pets", {"x": 1.5})])
def test_rows_and_answers_are_as_described(client, name, row):
    document = client.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    rows, answers = (validator(document, f"{name}.{kind}") for kind in ("Row", "Prediction"))
    rows.validate(row)
    answers.validate(client.post(f"/predict/{name}", [row]).json[0])
    assert not rows.is_valid({**row, next(iter(row)): [1]})
    assert not rows.is_valid({})


def test_a_wrong_request_is_answered_as_described(client):
    document = client.get("/openapi.json").json
    errors = validator(document, "Error")
    for body in ([], [{}], [{**ROW, "size": "a"}]):
        errors.validate(client.post("/predict", body).json)
    responses = document["paths"]["/predict"]["post"]["responses"]
    assert {"200", "400", "413", "422"} <= {*responses}


def test_every_model_has_a_path_and_the_first_one_the_shorter_one_too(client):
    paths = client.get("/openapi.json").json["paths"]
    assert {"/predict", "/predict/houses", "/predict/pets", "/healthz"} <= {*paths}
    assert paths["/predict"] == paths["/predict/houses"]


def test_the_key_is_described_if_there_is_one(client, serve):
    assert "security" not in client.get("/openapi.json").json
    with_key = serve("secret")
    assert with_key.get("/openapi.json").status == 401
    found = with_key.get("/openapi.json", headers={"X-API-Key": "secret"}).json
    assert {*found["components"]["securitySchemes"]} == {"bearer", "header"}
    assert found["paths"]["/healthz"]["get"]["security"] == []
    assert "X-API-Key: KEY" in with_key.get("/docs", headers={"X-API-Key": "secret"}).body.decode()


def test_the_typical_row_is_predicted(client, models):
    for name, model in models.items():
        assert client.post(f"/predict/{name}", [model.typical_row]).status == 200


def test_the_page_shows_each_column_and_a_command(client, models):
    reply = client.get("/docs")
    text = reply.body.decode()
    assert reply.headers["content-type"].startswith("text/html")
    for model in models.values():
        for column in model.inputs:
            assert f'<th scope="row">{column.name}</th><td>{column.description}' in text
    command = html.unescape(re.search(r"<code>(curl .*?)</code>", text, re.DOTALL)[1])
    program, address, option, body = shlex.split(command)
    assert (program, address, option) == ("curl", "localhost:8000/predict/houses", "-d")
    assert client.post("/predict/houses", json.loads(body)).status == 200


def test_the_page_loads_nothing_from_elsewhere(client):
    reply = client.get("/docs")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert not re.search(rb"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", reply.body)


@pytest.mark.parametrize(
    ("feature", "values", "type", "expected", "typical"),
    [
        (Numeric(), [1, 2, 6], "number", "A number; training rows: 1 to 6. null is a mis", 2.0),
        (
            Numeric(missing=ErrorIfMissing()),
            [1, 6],
            "number",
            "A number; training rows: 1 to 6. null is r",
            3.5,
        ),
        (Boolean(), [True, False], "boolean", "true or false. null is a missing value.", False),
        (
            Categorical(),
            ["b", "a"],
            "string",
            "One of 2 categories: a, b. Other values are all",
            "a",
        ),
        (
            Categorical(unseen="error"),
            ["a"],
            "string",
            "One of 1 categories: a. Other values are ref",
            "a",
        ),
        (
            Datetime(),
            ["2024-01-01", "2024-03-01"],
            "string",
            "A time in the format ISO 8601 (time zone UTC if it has no UTC offset); training rows: 2024-01-01 to 2024",
            "2024-01-01",
        ),
        (
            Datetime(format="%d.%m.%Y"),
            ["01.03.2024"],
            "string",
            "A time in the format %d.%m.%Y (",
            "01.03.2024",
        ),
        (
            Datetime(format="%H:%M"),
            ["07:00", "09:30"],
            "string",
            "A time in the format %H:%M (time zone UTC if it has no UTC offset); training rows: 07:00:00 to 09:30:00.",
            "07:00",
        ),
        (
            Datetime(format="%Y-Q%q"),
            ["2023-Q4"],
            "string",
            "A time in the format %Y-Q%q (",
            "2023-Q4",
        ),
        (
            Datetime(format="%Y-%m-%d %H:%M %z"),
            ["2024-01-01 10:00 +0100"],
            "string",
            "A time in the format %Y-%m-%d %H:%M %z (",
            "2024-01-01 09:00 +0000",
        ),
        (Datetime(format="unix"), [60.0], "number", "The seconds since 1970;", 60.0),
    ],
)
def test_a_column_is_described_by_its_type(feature, values, type, expected, typical):
    column = fit(values, feature).client_column(Notation())
    assert column.types[0] == type
    assert column.description.startswith(expected)
    assert column.typical == typical


def test_times_at_the_end_of_the_calendar_have_no_curve():
    """In Berlin, the last of them is a time of the year 10000."""
    times = ["2024-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    column = fit(times, Datetime(timezone="Europe/Berlin")).client_column(Notation())
    assert column.along == ()


def test_a_range_has_all_its_digits():
    column = fit([1.7e9, 1.7000864e9], Numeric()).client_column(Notation())
    words = "A number; training rows: 1700000000 to 1700086400."
    assert column.description.startswith(words)


def test_a_unit_is_part_of_the_description():
    column = fit([1, 2], Numeric()).client_column(Notation(unit="kg"))
    assert column.description.startswith("A number in kg;")


@pytest.mark.parametrize(("decimal", "typical"), [(".", "2.5 %"), (",", "2,5 %")])
def test_a_number_that_needs_its_unit_is_described_with_it(decimal, typical):
    percent = Notation(decimal, unit="%")
    column = fit([1, 2.5, 6], Numeric()).client_column(percent)
    words = f"A number with its unit, such as '{typical}'; training rows: 1 to 6."
    assert column.description.startswith(words)
    assert column.typical == typical and column.schema["type"] == ["string", "null"]
    typical = pa.chunked_array([[column.typical]])
    assert not Column("x", typical, "rows", (), percent).numbers().unreadable.any()
