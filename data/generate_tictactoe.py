"""Write every final board of tic-tac-toe, and whether x has won it.

Plays all games that x starts, each until a side has three in a row or the board is full, and keeps
each distinct final board once: 958 boards, 626 of them won by x.

Usage: python generate_tictactoe.py [OUTPUT]
"""

from __future__ import annotations

import csv
import sys
from functools import cache
from pathlib import Path

Board = tuple[str, ...]
"""The nine squares row by row, each `x`, `o` or `blank`."""

SQUARES = [
    f"{row}_{column}"
    for row in ("top", "middle", "bottom")
    for column in ("left", "middle", "right")
]
ROWS = [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
COLUMNS = [(0, 3, 6), (1, 4, 7), (2, 5, 8)]
DIAGONALS = [(0, 4, 8), (2, 4, 6)]
LINES = [*ROWS, *COLUMNS, *DIAGONALS]


def has_won(board: Board, player: str) -> bool:
    """Whether the player has three in a row."""
    return any(all(board[square] == player for square in line) for line in LINES)


@cache
def final_boards(board: Board, player: str, opponent: str) -> frozenset[Board]:
    """Every distinct final board that can follow.

    Args:
        board: the board as it stands.
        player: whose move it is.
        opponent: who has just moved, and so the only one who can have won.
    """
    if has_won(board, opponent) or "blank" not in board:
        return frozenset([board])
    moves = [
        (*board[:square], player, *board[square + 1 :])
        for square, value in enumerate(board)
        if value == "blank"
    ]
    return frozenset().union(*(final_boards(move, opponent, player) for move in moves))


def write(output: Path) -> None:
    """Write the table, sorted by its squares so that it does not depend on the order of play."""
    boards = sorted(final_boards(("blank",) * 9, "x", "o"))
    with output.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*SQUARES, "x_wins"])
        for board in boards:
            table.writerow([*board, "true" if has_won(board, "x") else "false"])


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("tictactoe.csv"))
