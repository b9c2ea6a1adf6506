"""`/metrics`: what was asked, and how rows differ from the training rows."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

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
    assert not [key for key in metrics_of(client) if len(key) == 3 and key[2] == "houses"]


def test_the_key_is_required(serve):
    assert serve("secret").get("/metrics").status == 401
