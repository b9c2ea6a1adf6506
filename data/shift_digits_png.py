"""Write the images of the table `digits_png` again, each shifted to the right.

The table `shifted.csv` names the shifted images, which are in the folder `shifted`.

Usage: python shift_digits_png.py [PIXELS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

TABLE = Path("digits_png.csv")


def shift(image: Image.Image, pixels: int) -> Image.Image:
    """Return an image with its content shifted to the right, and black pixels on the left."""
    shifted = np.roll(np.array(image), pixels, axis=1)
    shifted[:, :pixels] = 0
    return Image.fromarray(shifted)


def main(pixels: int = 1) -> None:
    """Write the shifted images and their table to the current folder."""
    folder = Path("shifted")
    folder.mkdir(exist_ok=True)
    for file in sorted(Path(TABLE.stem).iterdir()):
        shift(Image.open(file), pixels).save(folder / file.name)
    table = TABLE.read_text(encoding="utf-8").replace(f"{TABLE.stem}/", f"{folder}/")
    Path("shifted.csv").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
