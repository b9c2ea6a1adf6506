"""Let a network that was trained on the table `tictactoe` play, by the boards that it evaluates.

The network was trained on final boards: whether x has won. The player has x. It chooses the square
whose board the network rates highest: either the board right after the move, or, looking ahead,
the final board that it leads to if both sides play their best move.

Usage: python play_tictactoe.py RUN [--against-me] [--output game.svg]
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from generate_tictactoe import LINES, SQUARES, Board, final_boards, has_won

import dlcli

EMPTY: Board = ("blank",) * 9
GAMES = 1000
SEED, SHOWN_SEED = 1, 13
"""Of the random moves: in the games that are counted, and in the one that is drawn."""
CELL, GAP, MARGIN = 40, 28, 12
"""Pixels of a square, between two boards, and around them."""
Ratings = dict[int, float]
"""For each free square, how good it is to play there, from 0 to 1."""
Player = Callable[[Board], Ratings]
"""Rates the moves of x."""


def place(board: Board, square: int, side: str) -> Board:
    """Return the board after a move."""
    return (*board[:square], side, *board[square + 1 :])


def free_squares(board: Board) -> list[int]:
    """Return the squares that are still free."""
    return [square for square, held_by in enumerate(board) if held_by == "blank"]


def is_over(board: Board) -> bool:
    """Whether a side has won, or the board is full."""
    return has_won(board, "x") or has_won(board, "o") or not free_squares(board)


class Evaluation:
    """The network's probability that x has won, for any board."""

    def __init__(self, model: dlcli.Model) -> None:
        self._model = model
        self._known: dict[Board, float] = {}

    def __call__(self, boards: list[Board]) -> list[float]:
        """Return the probability of each board."""
        new = [board for board in boards if board not in self._known]
        if new:
            rows = [dict(zip(SQUARES, board, strict=True)) for board in new]
            probabilities = self._model.predict_rows(rows).probabilities
            self._known.update(zip(new, probabilities[:, 1].tolist(), strict=True))
        return [self._known[board] for board in boards]


def one_move_ahead(evaluation: Evaluation) -> Player:
    """Return a player that rates the board right after each move."""

    def rate(board: Board) -> Ratings:
        squares = free_squares(board)
        ratings = evaluation([place(board, square, "x") for square in squares])
        return dict(zip(squares, ratings, strict=True))

    return rate


def to_the_end(evaluation: Evaluation) -> Player:
    """Return a player that rates the final board after the best moves of both sides (minimax)."""
    finals = sorted(final_boards(EMPTY, "x", "o"))
    values = dict(zip(finals, evaluation(finals), strict=True))

    def value(board: Board, side: str) -> float:
        if board not in values:
            other = "o" if side == "x" else "x"
            after = [value(place(board, each, side), other) for each in free_squares(board)]
            values[board] = max(after) if side == "x" else min(after)
        return values[board]

    def rate(board: Board) -> Ratings:
        return {each: value(place(board, each, "x"), "o") for each in free_squares(board)}

    return rate


def play(player: Player, reply: Callable[[Board], int]) -> list[tuple[Board, Ratings]]:
    """Play a game.

    Args:
        player: has x, and begins.
        reply: returns the square that o plays on a board.

    Returns:
        Each board on which x was to move, with the ratings; and the final board, without.
    """
    board, course = EMPTY, []
    while not is_over(board):
        ratings = player(board)
        course.append((board, ratings))
        board = place(board, max(ratings, key=lambda square: ratings[square]), "x")
        if not is_over(board):
            board = place(board, reply(board), "o")
    return [*course, (board, {})]


def has_line(board: Board, line: tuple[int, ...]) -> bool:
    """Whether one side holds all squares of a line."""
    return {board[square] for square in line} in ({"x"}, {"o"})


def result(board: Board) -> str:
    """Return the result of a game for x, from its final board."""
    return "won" if has_won(board, "x") else "lost" if has_won(board, "o") else "drawn"


def results(player: Player, games: int) -> Counter[str]:
    """Count the results of games against an opponent that moves at random."""
    rng = random.Random(SEED)
    replies = (lambda board: rng.choice(free_squares(board)) for _ in range(games))
    return Counter(result(play(player, reply)[-1][0]) for reply in replies)


def text(board: Board) -> str:
    """Return a board for the terminal, with the numbers of its free squares."""
    marks = [str(at + 1) if held == "blank" else held for at, held in enumerate(board)]
    return "\n".join(" ".join(marks[row : row + 3]) for row in (0, 3, 6))


def reply_from_keyboard(board: Board) -> int:
    """Show a board, and read a square."""
    print(text(board))
    while True:
        typed = input("your square: ").strip()
        if typed.isdigit() and int(typed) - 1 in free_squares(board):
            return int(typed) - 1
        print("type the number of a free square")


def picture(course: list[tuple[Board, Ratings]]) -> str:
    """Return a drawing of a game as SVG: ratings before each move of x, then the final board."""
    size = 3 * CELL
    width = len(course) * (size + GAP) - GAP + 2 * MARGIN
    height = size + 2 * MARGIN
    parts = []
    for at, (board, ratings) in enumerate(course):
        parts.append(f'<g transform="translate({MARGIN + at * (size + GAP)} {MARGIN})">')
        best = max(ratings, key=lambda square: ratings[square], default=None)
        lines = [line for line in LINES if has_line(board, line)]
        for square, held_by in enumerate(board):
            x, y = CELL * (square % 3), CELL * (square // 3)
            filled = square == best or any(square in line for line in lines)
            parts.append(
                f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" stroke="#808080"'
                f' fill="#4aa564" fill-opacity="{0.35 if filled else 0}"/>'
            )
            middle = f'x="{x + CELL / 2}" y="{y + CELL / 2}"'
            if held_by != "blank":
                color = "#4c8dc9" if held_by == "x" else "#e08a3c"
                style = f'font-size="26" font-weight="bold" fill="{color}"'
                parts.append(f"<text {middle} {style}>{held_by}</text>")
            elif ratings:
                style = 'font-size="12" fill="#7a7a7a"'
                parts.append(f"<text {middle} {style}>{ratings[square]:.2f}</text>")
        parts.append("</g>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" font-family="sans-serif" text-anchor="middle"'
        ' dominant-baseline="central">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Play against random moves, print the results, and draw a game; or play against a person."""
    parser = argparse.ArgumentParser(description="Let a trained network play tic-tac-toe.")
    parser.add_argument("run", metavar="RUN", help="run folder of `tictactoe`")
    parser.add_argument("--against-me", action="store_true", help="play against you")
    parser.add_argument("--output", type=Path, default=Path("game.svg"), help="the picture")
    given = parser.parse_args(arguments)
    evaluation = Evaluation(dlcli.load(given.run))
    if given.against_me:
        final = play(to_the_end(evaluation), reply_from_keyboard)[-1][0]
        print(text(final), f"the network has {result(final)}", sep="\n")
        return
    rng = random.Random(SEED)
    players: dict[str, Player] = {
        "random moves": lambda board: {each: rng.random() for each in free_squares(board)},
        "one move ahead": one_move_ahead(evaluation),
        "to the end": to_the_end(evaluation),
    }
    print(f"{GAMES:,} games of x against random moves")
    for name, player in players.items():
        counts = results(player, GAMES)
        print(
            f"{name:<14}"
            + "".join(f"  {counts[each]:>4} {each}" for each in ("won", "drawn", "lost"))
        )
    rng = random.Random(SHOWN_SEED)
    course = play(to_the_end(evaluation), lambda board: rng.choice(free_squares(board)))
    given.output.write_text(picture(course), encoding="utf-8")
    print(given.output)


if __name__ == "__main__":
    main()
