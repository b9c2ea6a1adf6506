"""The form: what it shows of a row, and that it works in a browser, also on a phone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcli.columns.column_exports import ClientColumn
from dlcli.serving.pages import docs_page, form_page, form_prediction
from dlcli.serving.served_model import Limits, ServedModel
from tests.catalogue import hand_made
from tests.reports.browser import PROGRAM, browser
from tests.serving.conftest import ROW


def test_a_number_has_its_prediction(client):
    shown = client.post("/form/houses", ROW).json
    [number] = shown["numbers"]
    assert number["name"] == "price"
    assert number["value"] == client.post("/predict", [ROW]).json[0]["prediction"]
    assert shown["notes"] == {}


def test_classes_have_probabilities_the_most_probable_first(client):
    [expected] = client.post("/predict/pets", [{"x": 1}]).json
    shown = client.post("/form/pets", {"x": 1}).json["names"]
    assert [each["name"] for each in shown] == ["dog", "cat"]
    assert [each["is_chosen"] for each in shown] == [True, False]
    assert shown[0]["share"] == expected["probability_dog"]


def test_curves_vary_one_column_of_the_row(client):
    curves = {each["column"]: each for each in client.post("/form/houses", ROW).json["curves"]}
    assert {*curves} == {"size", "color", "sold", "day"}  # a text has no order
    for name, curve in curves.items():
        value, height = curve["points"][-1]
        [expected] = client.post("/predict", [{**ROW, name: value}]).json
        assert height == pytest.approx(expected["prediction"], rel=1e-6)
        assert curve["label"] == "prediction of price"
    assert curves["size"]["points"][0][0] == 10
    assert curves["size"]["points"][-1][0] == 40
    assert {value for value, _ in curves["color"]["points"]} == {"red", "green"}
    assert curves["day"]["points"][0][0] == "2024-01-01"
    assert curves["day"]["points"][-1][0] == "2024-03-31"


def test_curves_vary_one_column_of_a_row_that_is_read_as_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{each}.5 %,{each},{each}\n" for each in range(11))
    Path("shares.csv").write_text(f"share,x,y\n{rows}")
    run = hand_made.make_run("data: {train: shares.csv, target: y}\nhidden: []\nepochs: 1\n", "a")
    model = ServedModel.load("a", run)
    [curve] = form_prediction(model, {"share": "5.5 %", "x": 5})["curves"]
    assert curve["column"] == "x" and curve["points"][0][0] == 0


def test_a_curve_of_classes_is_the_probability_of_the_predicted_one(client):
    [curve] = client.post("/form/pets", {"x": 1}).json["curves"]
    assert curve["label"] == "probability of dog"
    assert curve["points"][0][1] < 0.5 < curve["points"][-1][1]


def test_values_that_training_did_not_see_are_noted(client):
    row = {"size": 1e6, "color": "mauve", "sold": None, "day": "2024-01-01", "note": "xyz"}
    assert client.post("/form/houses", row).json["notes"] == {
        "size": "outside the training range, 10 to 40",
        "color": "with an unknown category ('mauve'): encoded as zeros",
        "sold": "missing",
        "note": "without a known token: all inputs are 0",
    }


def test_wrong_values_are_refused_by_column(client):
    reply = client.post("/form/houses", {**ROW, "size": "much"})
    assert reply.status == 422
    assert [each["column"] for each in reply.json["problems"]] == ["size"]
    assert client.post("/form/houses", [ROW]).status == 400
    assert client.post("/form/horses", ROW).status == 404


def test_intervals_are_shown_if_there_are_held_out_rows(models):
    model = models["houses"]
    assert model.form_predictor is model.predictor  # there are none
    answer = form_prediction(model, ROW)
    assert np.isfinite(answer["numbers"][0]["value"])


def test_the_page_has_a_field_for_each_column_with_a_typical_value(client, models):
    text = client.get("/").body.decode()
    fields = re.findall(r'<label for="field-\d+">(.*?)</label>', text)
    assert fields == [*models["houses"].columns]
    assert '<option value="green" selected>green</option>' in text
    assert 'min="10.0" max="40.0"' in text
    settings = json.loads(re.search(r'id="settings">(.*?)</script>', text)[1])
    assert settings["path"] == "form/houses"
    assert client.get("/form/pets").status == 200
    assert client.get("/form/horses").status == 404


@pytest.mark.parametrize("count", [2, 40])
def test_a_category_keeps_its_spaces(models, count):
    names = ("two  spaces", *map(str, range(1, count)))
    column = ClientColumn("x", ("string",), "1", "", choices=names)
    model = replace(models["pets"], inputs=(column,))
    # A browser would send the text of an option without a value with one space.
    assert b'<option value="two  spaces"' in form_page({"pets": model}, model, "").body


def test_names_and_values_of_a_run_are_text_on_pages(models):
    hostile = "</script><script>alert(1)</script>"
    column = ClientColumn(hostile, ("string",), hostile, hostile, choices=(hostile,))
    model = replace(models["pets"], inputs=(column,))
    for page in (
        form_page({"pets": model}, model, ""),
        docs_page({"pets": model}, Limits(), "localhost:8000", has_key=False),
    ):
        assert b"<script>alert" not in page.body
        assert b"alert" in page.body


def test_the_page_needs_no_other_host(client):
    reply = client.get("/")
    assert not re.search(rb"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", reply.body)
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self'" in policy


FILL = """
(async () => {
  const field = [...document.querySelectorAll(".field")]
    .find((field) => field.querySelector("label").textContent === NAME);
  const input = field.querySelector("input:not(.slider), select, textarea");
  const before = Number(document.documentElement.dataset.answered);
  input.value = VALUE;
  input.dispatchEvent(new Event("input", {bubbles: true}));
  while (Number(document.documentElement.dataset.answered) === before)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const parts = [document.querySelector(".value"), field.querySelector(".complaint")];
  return parts.map((part) => part.textContent);
})()
"""
ANSWERED = """
(async () => { while (!document.documentElement.dataset.answered)
  await new Promise((resolve) => setTimeout(resolve, 10)); })()
"""


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open pages in")
def test_in_a_browser_one_types_and_reads_the_prediction(address, client, tmp_path):
    def fill(name, value):
        script = FILL.replace("NAME", json.dumps(name)).replace("VALUE", json.dumps(value))
        return opened.ask(script)

    with browser(tmp_path) as opened:
        for width, height in ((1280, 900), (390, 844)):
            visit = opened.visit(f"http://{address}/", width=width, height=height)
            opened.ask(ANSWERED)
            [expected] = client.post("/predict", [{**client_row(opened), "size": 25}]).json
            shown, complaint = fill("size", "25")
            assert float(shown) == pytest.approx(expected["prediction"], rel=1e-3)
            assert complaint == ""
            assert "expected a finite number, got 'much'" in fill("size", "much")[1]
            assert fill("size", "1000")[1] == "outside the training range, 10 to 40"
            assert opened.ask("document.querySelectorAll('#curves figure svg').length") == 4
            assert opened.ask("document.documentElement.scrollWidth") == width
            assert [text for text in visit.complaints if "422" not in text] == []
            assert all(url.startswith(f"http://{address}/") for url in visit.requests)


def client_row(opened):
    """The row that is filled in."""
    return opened.ask("row()")
