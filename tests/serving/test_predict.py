"""`POST /predict`: what `dlcli predict` predicts, and what wrong requests are told."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.errors import UsageError
from dlcli.prediction.prediction_tables import assemble, write_rows
from dlcli.serving import served_model
from dlcli.serving.served_model import ServedModel, model_names
from dlcli.tables.memory_tables import memory_table
from tests.catalogue import hand_made
from tests.serving.conftest import ROW


def predicted(model, rows):
    """The JSON lines of `dlcli predict`."""
    table = model.predictor.read(memory_table(rows))
    predictions = model.predictor.predict(table, ValueProblems())
    stream = io.BytesIO()
    write_rows(assemble(predictions, table), "jsonl", stream)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


ROWS = [ROW, {**ROW, "size": 12.5, "color": None, "note": ""}, {**ROW, "day": "2024-02-03T12:00"}]


@pytest.mark.parametrize("count", [1, 3, 100])  # many are predicted as a table
def test_the_answer_has_the_columns_and_values_of_dlcli_predict(client, models, count):
    rows = [ROWS[at % 3] for at in range(count)]
    reply = client.post("/predict", rows)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == predicted(models["houses"], rows)


def test_many_rows_and_long_texts_are_predicted_in_a_thread(models):
    quick = models["houses"].is_quick
    assert quick(64, size=2**12)
    assert not quick(65, size=2**12)
    assert not quick(1, size=2**16)


def test_classes_have_probabilities(client, models):
    reply = client.post("/predict/pets", [{"x": 0.3}, {"x": -50}])
    assert reply.json == predicted(models["pets"], [{"x": 0.3}, {"x": -50}])
    assert [*reply.json[0]] == ["prediction", "probability_cat", "probability_dog"]


def test_columns_that_training_had_but_does_not_read_are_allowed(client):
    with_more = client.post("/predict", [{**ROW, "id": [1, 2], "price": None}])
    assert with_more.json == client.post("/predict", [ROW]).json


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ({**ROW, "size": "much"}, "size", "expected a finite number, got 'much'"),
        ({**ROW, "size": None}, "size", "is empty; 'missing: error' forbids it"),
        ({**ROW, "size": [1]}, "size", "expected a number, text or a date, got list"),
        ({**ROW, "size": True}, "size", "expected a finite number, got 'true'"),
        ({**ROW, "day": "31.12.2024"}, "day", "expected a date such as 2024-12-31"),
        ({**ROW, "sold": "perhaps"}, "sold", "expected true, false, 1 or 0, got 'perhaps'"),
        ({**ROW, "colour": "red"}, "colour", "is not a column of the training table; did you mean"),
        (
            {k: v for k, v in ROW.items() if k != "note"},
            "note",
            "is absent from the row; send null",
        ),
        (5, None, "expected an object of columns, got a number"),
        (None, None, "expected an object of columns, got null"),
    ],
)
def test_a_wrong_row_is_refused_with_row_column_and_what_was_expected(client, row, column, message):
    reply = client.post("/predict", [ROW, row])
    assert reply.status == 422
    [problem] = reply.json["problems"]
    assert problem.get("column") == column
    assert problem["message"].startswith(message)
    assert problem.get("row", 2) == 2
    assert message in reply.json["error"]


def test_all_wrong_rows_are_named(client):
    reply = client.post("/predict", [{**ROW, "size": text} for text in ("a", "b", "c")])
    assert [each["row"] for each in reply.json["problems"]] == [1, 2, 3]
    assert reply.json["error"] == (
        "row 1, column 'size': expected a finite number, got 'a' (2 more problems)"
    )


def test_similar_names_are_looked_for_only_where_they_are_shown(client, monkeypatch):
    looked_for = []
    monkeypatch.setattr(served_model, "did_you_mean", lambda name, _: looked_for.append(name) or "")
    reply = client.post("/predict", [{**ROW, **{f"c{number}": 1 for number in range(1000)}}])
    assert reply.status == 422
    assert reply.json["error"].endswith("(999 more problems)")
    assert len(reply.json["problems"]) == len(looked_for) == 20


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "expected JSON: "),
        (b"[{", 400, "expected JSON: "),
        (b"[1, \xff]", 400, "expected JSON: it is not UTF-8"),
        (b"[" * 100_000, 400, "expected JSON: "),
        (b"5", 400, "expected a list of rows"),
        (b"[]", 422, "expected at least one row"),
    ],
)
def test_a_body_that_holds_no_rows_is_refused(client, body, status, message):
    reply = client.post("/predict", body)
    assert (reply.status, reply.json["error"].startswith(message)) == (status, True)


def test_a_body_with_nan_is_refused_with_the_way_to_send_a_missing_value(client):
    reply = client.post("/predict", b'[{"size": NaN}]')
    assert reply.status == 400
    assert reply.json["error"].startswith("expected JSON: ")
    assert reply.json["error"].endswith("; send null for a missing value, not NaN")


class TestLimits:
    def test_of_rows(self, serve):
        reply = serve(rows=2).post("/predict", [ROW] * 3)
        assert (reply.status, reply.json["error"]) == (413, "expected at most 2 rows, got 3")

    def test_of_the_declared_size(self, serve):
        reply = serve(mebibytes=1).post("/predict", b"", headers={"content-length": "9" * 30})
        assert (reply.status, reply.json["error"]) == (413, "expected a body of at most 1 MiB")

    def test_of_a_size_that_is_not_declared(self, serve):
        async def endless():
            return {"type": "http.request", "body": b" " * 2**16, "more_body": True}

        reply = serve(mebibytes=1).post("/predict", b"", parts=endless)
        assert reply.status == 413

    def test_of_the_time_of_a_slow_client(self, serve):
        async def slow():
            await asyncio.sleep(60)

        reply = serve(seconds=0.01).post("/predict", b"", parts=slow)
        assert (reply.status, reply.json["error"]) == (
            408,
            "the request was not received and processed within 0.01 s",
        )
        assert reply.headers["connection"] == "close"

    def test_a_client_that_leaves_is_no_failure(self, client):
        async def gone():
            return {"type": "http.disconnect"}

        assert client.post("/predict", b"", parts=gone).status == 400


class TestKey:
    def test_is_not_needed_for_the_health_check(self, serve):
        assert serve("secret").get("/healthz").json == {"status": "ok"}

    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "Bearer secret"},
            {"X-API-Key": "secret"},
            {"Authorization": f"Basic {base64.b64encode(b'anyone:secret').decode()}"},
        ],
    )
    def test_is_taken_from_headers(self, serve, headers):
        assert serve("secret").post("/predict", [ROW], headers=headers).status == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "Bearer clé"},
            {"X-API-Key": " clé "},
            {"Authorization": f"Basic {base64.b64encode('anyone:clé'.encode()).decode()}"},
        ],
    )
    def test_may_have_any_letters(self, serve, headers):
        assert serve("clé").post("/predict", [ROW], headers=headers).status == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic ?"},
            {"Authorization": "Basic clé"},
            {"Authorization": "secret"},
            {"X-API-Key": ""},
        ],
    )
    def test_is_required(self, serve, headers):
        reply = serve("secret").post("/predict", [ROW], headers=headers)
        assert (reply.status, reply.json) == (401, {"error": "expected the server's API key"})
        assert reply.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "no such path: /nothing"),
        ("GET", "/predict", 405, "GET is not allowed"),
        ("POST", "/predict/pet", 404, "unknown model 'pet'; did you mean 'pets'?"),
    ],
)
def test_other_paths_are_explained(client, method, path, status, message):
    reply = client(method, path)
    assert (reply.status, reply.json) == (status, {"error": message})


def test_a_failure_says_nothing_of_the_machine(client, monkeypatch, capsys):
    def fail(self, rows):
        raise OSError("/secret/path")

    monkeypatch.setattr(ServedModel, "predict", fail)
    for path in ("/predict", "/predict/houses"):
        reply = client.post(path, [ROW])
        message = {"error": "internal error; see the server's log"}
        assert (reply.status, reply.json) == (500, message)
        assert "/secret/path" in capsys.readouterr().err


def test_answers_name_no_path_of_the_machine(client, runs):
    bodies = [[{**ROW, "size": "a"}], [{**ROW, "size": [1]}], [{}], [{**ROW, "size": True}]]
    texts = [client.post("/predict", body).body.decode() for body in bodies]
    assert not any(str(part) in text for text in texts for part in (runs["houses"], ".csv", "/"))


def test_runs_are_named_by_their_folders_or_as_one_likes(runs):
    houses = runs["houses"]
    assert model_names([houses], {"b": houses}) == {"houses": houses, "b": houses}
    with pytest.raises(UsageError, match="another run has the name 'houses'"):
        model_names([houses], {"houses": houses})
    with pytest.raises(UsageError, match="'a b' can't be the name of a model"):
        model_names([houses.parent / "a b"], {})


def test_missing_values_of_a_row_do_not_depend_on_other_rows(client):
    alone = client.post("/predict", [{**ROW, "color": 1}]).json
    beside = client.post("/predict", [{**ROW, "color": 1}, {**ROW, "color": "x"}]).json
    assert beside[0] == alone[0]
    assert np.isfinite(alone[0]["prediction"])


def test_a_number_in_a_text_is_read_alike_next_to_any_other_row(client):
    row = {**ROW, "size": "3.456"}
    alone = client.post("/predict", [row, {**ROW, "note": "ünseen"}]).json
    assert alone[0] == client.post("/predict", [{**ROW, "size": 3.456}]).json[0]
    for size in ("1,5", "1,234"):
        reply = client.post("/predict", [row, {**ROW, "size": size}])
        assert reply.status == 422
        assert [(each["row"], each["column"]) for each in reply.json["problems"]] == [(2, "size")]


def test_a_number_is_read_alike_next_to_a_text_with_a_decimal_comma(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = ["1,5", "1.234,5", "2.000,25", "3,125"]
    Path("rows.csv").write_text(
        "size;price\n" + "".join(f"{size};0,5\n{size};2\n" for size in sizes)
    )
    config = "data: {train: rows.csv, target: price}\nhidden: []\nepochs: 1\n"
    unscaled = f"{config}input: {{scaling: none}}\noutput: {{scaling: none}}\n"
    weights = {"output/kernel": [[1.0]], "output/bias": [0.0]}
    model = ServedModel.load("sizes", hand_made.make_run(unscaled, "sizes", weights))

    answer = model.predict([{"size": 1.234}, {"size": "1.234"}, {"size": 0.5}, {"size": None}])

    predicted = answer.columns["prediction"][:3]
    assert predicted == pytest.approx([1.234, 1234, 0.5])
