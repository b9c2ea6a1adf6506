"""Images."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Augmentation, Image, ImageShape
from dlcli.encoding.columns.column import DenseEncoder, no_value
from dlcli.encoding.columns.pixels import read_images
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block, ImageForm
from dlcli.errors import DataError
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table

_EMPTY = "is empty, expected the path of an image"


class ImageEncoder(DenseEncoder):
    """The pixels of the image that a path leads to, each from 0 to 1."""

    encoding: Literal["image"] = "image"
    type: Literal["image"] = "image"
    shape: ImageShape
    """(height, width, channels) that images become."""
    augmentation: Augmentation | None
    """How training varies them."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes: rows of columns of channels."""
        height, width, channels = self.shape
        colours = ("",) if channels == 1 else (" red", " green", " blue")
        names = tuple(
            f"{self.column}[{row}, {column}]{colour}"
            for row, column, colour in product(range(height), range(width), colours)
        )
        return (Block(self.column, "image", names, ImageForm(self.shape, self.augmentation)),)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        codes, files = image_files(table, self.column)
        pixels, complaints = read_images(files, self.shape)
        reasons = (*complaints, _EMPTY)  # the last for gaps, whose code is -1
        wrong = np.array([reason != "" for reason in reasons])[codes]
        issues.refuse(wrong, table, self.column, lambda at: reasons[codes[at]])
        read = ~wrong
        out[read] = pixels[codes[read]] / np.float32(255)


def fit_image(column: str, feature: Image, train: Table) -> ImageEncoder:
    """Makes the encoder of a column of images, and tries it on the first.

    Raises:
        DataError: for a column that holds no paths, or whose first path leads to no image.
    """
    if train.kind(column) != "text":
        message = f"expected paths of images, the column holds {train.keep(column).type}"
        raise DataError(message, file=train.file, column=column)
    gaps = train.missing(column)
    if gaps.all():
        raise no_value(column, train)
    encoder = ImageEncoder(
        column=column,
        missing_share=float(gaps.mean()),
        shape=feature.shape,
        augmentation=feature.augmentation,
    )
    first = train.take(np.flatnonzero(~gaps)[:1])
    encoder.encode(first, np.zeros((1, len(encoder.inputs)), np.float32), ValueIssues())
    return encoder


def image_files(table: Table, column: str) -> tuple[NDArray[np.int64], list[Path]]:
    """The files that a column's paths lead to, from the folder of the table's own file.

    Rows from standard input start at the current folder.

    Returns:
        codes: the place of each row's file, -1 for a gap, (rows,).
        files: each once.
    """
    codes, paths = table.codes(column)
    if table.file_numbers is None:
        return codes, [Path(table.file).parent / path for path in paths]
    keys = np.where(codes < 0, -1, table.file_numbers * np.int64(len(paths)) + codes)
    used, places = np.unique(keys, return_inverse=True)
    gaps = int(used[0] < 0)
    pairs = zip(*np.divmod(used[gaps:], len(paths)), strict=True)
    folders = [Path(file).parent for file in table.files]
    return places - gaps, [folders[number] / paths[code] for number, code in pairs]
