"""The chart of the loss per epoch on a terminal."""

from __future__ import annotations

import pytest

from dlcli.cli import console
from dlcli.cli.event_log import event_listener
from dlcli.cli.loss_chart import LossChart
from dlcli.pipeline.events import EpochEvent, TrainedEvent


def epoch(number, loss, val_loss=None, **more):
    values = {"loss": loss, "learning_rate": 0.1}
    values |= {} if val_loss is None else {"val_loss": val_loss}
    return EpochEvent(epoch=number, of=20, values=values, **more)


def chart(*epochs):
    made = LossChart()
    for each in epochs:
        made.add(each)
    return made


def test_it_has_both_losses_their_range_and_the_epochs():
    lines = chart(*(epoch(at, 21 - at, 22 - at) for at in range(1, 21))).lines(80)
    assert len(lines) == 12 and max(map(len, lines)) <= 76
    text = "\n".join(lines)
    assert "•• loss" in text and "validation loss" in text
    assert lines[1].startswith("21.0┤") and lines[-3].strip().startswith("└")
    assert lines[-2].split() == ["1", "6", "11", "15", "20"]
    assert lines[-1].strip() == "epoch"


def test_a_large_range_has_a_logarithmic_axis():
    halves = chart(*(epoch(at, 2.0**-at) for at in range(1, 21))).lines(80)
    rows = [line.index("•") for line in halves if "•" in line and "loss" not in line]
    steps = [after - before for before, after in zip(rows, rows[1:], strict=False)]
    assert len(rows) >= 6 and max(steps) <= 2 * min(steps)  # about a straight line


def test_it_shows_the_first_network_of_an_ensemble():
    both = [epoch(at, at, member=member, members=2) for at in range(1, 8) for member in (2, 1)]
    lines = chart(*both).lines(60)
    assert lines[-1].strip() == "epoch (network 1 of 2)"
    assert lines[1].startswith("7┤")


@pytest.mark.parametrize(
    ("epochs", "width"), [(4, 80), (20, 39)], ids=["few epochs", "narrow terminal"]
)
def test_it_is_omitted_if_it_can_show_little(epochs, width):
    assert chart(*(epoch(at, at) for at in range(1, epochs + 1))).lines(width) == []


def test_undefined_losses_are_left_out():
    lines = chart(*(epoch(at, None, 1 + at) for at in range(1, 21))).lines(80)
    assert "•• loss" not in "\n".join(lines)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_shows_it(is_terminal, monkeypatch, capsys):
    monkeypatch.setattr(console, "is_terminal", lambda: is_terminal)
    monkeypatch.setattr("dlcli.cli.event_log._interactive_console", lambda: None)
    with event_listener(as_json=False, quiet=False) as listen:
        for at in range(1, 21):
            listen(epoch(at, 1 / at))
        listen(TrainedEvent(epochs=20, best_epoch=None, seconds=1.0))
    assert ("┤" in capsys.readouterr().err) == is_terminal
