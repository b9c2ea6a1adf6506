"""`/metrics`: what was asked, and how rows differ from the training rows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dlcli.serving.served_model import PredictionRanges
from tests.serving.conftest import ROW


def metrics_of(client):
    """The value of each sample by name and labels, in the order of these labels' names."""
    reply = client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_path_and_status(client):
    for body in ([ROW], [ROW], [], b"{"):
        client.post("/predict/houses", body)
    found = metrics_of(client)
    counts = {key[2]: value for key, value in found.items() if key[0] == "dlcli_requests_total"}
    assert counts == {"200": 2, "422": 1, "400": 1}
    assert found["dlcli_request_seconds_count", "/predict/{name}"] == 4
    assert found["dlcli_request_seconds_sum", "/predict/{name}"] > 0


def test_rows_are_counted_by_model(client):
    client.post("/predict", [ROW] * 3)
    client.post("/v1/models/pets:predict", {"inputs": [1, 2]})
    client.post("/predict", [{**ROW, "size": text} for text in ("a", "b")] + [ROW])
    found = metrics_of(client)
    assert found["dlcli_rows_total", "houses"] == 3
    assert found["dlcli_rows_total", "pets"] == 2
    assert found["dlcli_refused_rows_total", "houses"] == 2


@pytest.mark.parametrize("count", [1, 100])  # many are predicted as a table
def test_differences_from_the_training_rows_are_counted_by_column(client, count):
    row = {"size": 1e6, "color": "mauve", "sold": None, "day": "2034-01-01", "note": "xyz"}
    client.post("/predict", [row] * count)
    found = metrics_of(client)
    assert found["dlcli_values_outside_training_range_total", "size", "houses"] == count
    assert found["dlcli_values_outside_training_range_total", "day", "houses"] == count
    assert found["dlcli_unseen_values_total", "color", "houses"] == count
    assert found["dlcli_missing_values_total", "sold", "houses"] == count
    assert found["dlcli_texts_without_tokens_total", "note", "houses"] == count


def test_rows_like_the_training_rows_count_as_no_differences(client):
    client.post("/predict", [ROW])
    found = metrics_of(client)
    assert not [key for key in found if len(key) == 3 and key[2] == "houses" and found[key] == 0]
    assert {key[0] for key in found if "houses" in key} == {
        "dlcli_rows_total",
        "dlcli_rows_created",
    }


def test_predictions_are_counted_by_class(client):
    client.post("/v1/models/pets:predict", {"inputs": [-50, 50, 50]})
    found = metrics_of(client)
    counts = {key[2]: found[key] for key in found if key[0] == "dlcli_predictions_total"}
    assert sum(counts.values()) == 3
    assert counts.keys() <= {"cat", "dog"}


def test_a_number_is_counted_in_ten_ranges_of_the_held_out_predictions():
    draw = np.random.default_rng(0)
    ends = np.quantile(draw.standard_normal(1000), np.linspace(0.1, 0.9, 9))
    ranges = PredictionRanges(tuple("abcdefghij"), tuple(ends))
    new = draw.standard_normal((1000, 1)).astype(np.float32)
    counts = ranges.count(SimpleNamespace(decoded=new))
    assert min(counts.values()) > 70
    assert max(counts.values()) < 130
    assert ranges.count(SimpleNamespace(decoded=new + 100)) == {"j": 1000}


def test_the_key_is_required(serve):
    assert serve("secret").get("/metrics").status == 401
