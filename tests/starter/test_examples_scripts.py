"""The scripts of the examples: a network drives the simulated car, and plays tic-tac-toe."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

import dlcli

ROOT = Path(__file__).parents[2]
ROADS = [1000, 1003, 1007]


@pytest.fixture(scope="module", autouse=True)
def data_folder():
    """Scripts import the one that generated their table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "data")
        yield
    for name in ("drive_steering", "generate_steering", "play_tictactoe", "generate_tictactoe"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")

    def train(name, output, **overrides):
        config = ROOT / "configs" / f"{name}.yaml"
        dlcli.train(config, overrides=overrides, output=folder / output)
        return folder / output

    return train


class Straight:
    """Steers straight ahead, whatever the sensors measure."""

    def predict_rows(self, rows):
        return SimpleNamespace(values=[0.0 for _ in rows])


class Referee:
    """Rates a board that x has won 1, a drawn one as given, and a lost one 0."""

    def __init__(self, drawn):
        self._values = {"won": 1.0, "drawn": drawn, "lost": 0.0}

    def predict_rows(self, rows):
        from play_tictactoe import result

        values = np.array([self._values[result(tuple(row.values()))] for row in rows])
        return SimpleNamespace(probabilities=np.stack([1 - values, values], axis=1))


def all_games(player, board=("blank",) * 9):
    """The final boards of all games that an opponent can choose."""
    from play_tictactoe import free_squares, is_over, place

    ratings = player(board)
    board = place(board, max(ratings, key=lambda square: ratings[square]), "x")
    if is_over(board):
        yield board
        return
    for square in free_squares(board):
        after = place(board, square, "o")
        yield from [after] if is_over(after) else all_games(player, after)


def results_of_all_games(player):
    from play_tictactoe import result

    return {result(board) for board in all_games(player)}


def test_a_car_that_goes_straight_ahead_leaves_the_lane_and_stops_soon_after():
    from drive_steering import AFTERWARDS, HALF_WIDTH, drive

    driven = drive(Straight(), ROADS[0])

    assert driven.offsets[driven.steps_in_lane] > HALF_WIDTH
    assert max(driven.offsets[: driven.steps_in_lane]) <= HALF_WIDTH
    assert len(driven.track) == driven.steps_in_lane + 1 + AFTERWARDS


def test_a_player_that_looks_ahead_never_loses_unless_it_rates_a_draw_like_a_loss():
    from play_tictactoe import Evaluation, to_the_end

    assert results_of_all_games(to_the_end(Evaluation(Referee(0.5)))) == {"won", "drawn"}
    assert "lost" in results_of_all_games(to_the_end(Evaluation(Referee(0.0))))


def test_a_person_types_squares_until_the_game_is_over(monkeypatch, capsys):
    from play_tictactoe import play, reply_from_keyboard

    typed = iter(["", "1", "10", "4", "5"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))

    *_, (board, _) = play(
        lambda board: {at: -at for at, held in enumerate(board) if held == "blank"},
        reply_from_keyboard,
    )

    assert board == ("x", "x", "x", "o", "o", *["blank"] * 4)
    assert capsys.readouterr().out.count("type the number of a free square") == 3


@pytest.mark.slow
def test_a_trained_network_stays_in_its_lane_and_one_without_distances_does_not(
    train, tmp_path, capsys, monkeypatch
):
    import drive_steering

    blind = {"input.features": {"speed": "numeric", "heading_error": "numeric"}, "epochs": 10}
    runs = [train("steering", "seeing", epochs=10), train("steering", "blind", **blind)]
    monkeypatch.setattr(drive_steering, "ROADS", 2)
    monkeypatch.setattr(drive_steering, "SHOWN", 0)

    drive_steering.main([*map(str, runs), "--output", str(tmp_path / "drive.svg")])

    seeing, without, _ = capsys.readouterr().out.splitlines()
    assert "2 of 2 roads finished, 50.0 s in the lane" in seeing
    assert "0 of 2 roads finished" in without
    assert ElementTree.parse(tmp_path / "drive.svg").getroot().tag.endswith("svg")


@pytest.mark.slow
def test_a_trained_network_never_loses_if_it_looks_ahead_and_rarely_if_not(train, tmp_path, capsys):
    import play_tictactoe

    run = train("tictactoe", "tictactoe")
    evaluation = play_tictactoe.Evaluation(dlcli.load(run))

    assert "lost" not in results_of_all_games(play_tictactoe.to_the_end(evaluation))
    assert play_tictactoe.results(play_tictactoe.one_move_ahead(evaluation), 200)["won"] > 160

    play_tictactoe.main([str(run), "--output", str(tmp_path / "game.svg")])

    assert capsys.readouterr().out.endswith(" 0 lost\n" + f"{tmp_path / 'game.svg'}\n")
    assert ElementTree.parse(tmp_path / "game.svg").getroot().tag.endswith("svg")
