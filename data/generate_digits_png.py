"""Write the digits of digits.csv as PNG files, and the table that names each file and its digit.

A pixel of 0 to 16 becomes a grey value of 0 to 255: times 255 / 16, rounded. So paper is black, and
ink is white.

Usage: python generate_digits_png.py [OUTPUT]
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

SIDE = 8  # pixels
INK = 16  # the value of a pixel that is ink throughout


def picture(pixels: Iterable[str]) -> Image.Image:
    """A digit as an image of 8 by 8 grey values.

    Args:
        pixels: 64 values of 0 to 16, row by row.
    """
    return Image.frombytes("L", (SIDE, SIDE), bytes(round(int(p) * 255 / INK) for p in pixels))


def write(output: Path) -> None:
    """Write the table, and its images into a folder of the same name beside it."""
    folder = output.with_suffix("")
    folder.mkdir(exist_ok=True)
    with (
        Path(__file__).with_name("digits.csv").open(newline="", encoding="utf-8") as source,
        output.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "digit"])
        for number, row in enumerate(csv.DictReader(source), start=1):
            digit = row.pop("digit")
            image = folder / f"{number:04}.png"
            picture(row.values()).save(image)
            table.writerow([f"{folder.name}/{image.name}", digit])


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("digits_png.csv"))
