"""Files of images: found by their paths, and read by Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Indices
from dlcli.schema.urls import Url, locate
from dlcli.tables.table import Table

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]


_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""The first bytes of PNG and JPEG files."""


_SHOWN_CHARACTERS = 200


_ABSENT = (
    "there is no file {}; "
    "paths start at the table's folder, or at the current one for standard input and a URL"
)


def image_files(table: Table, column: str) -> tuple[Indices, list[Path]]:
    """Resolve a column's paths, which are relative to the folder of the table's own file.

    Paths of rows from standard input, or from a URL, are relative to the current folder.

    Returns:
        codes: the index of each row's file, -1 for a missing path, (rows,).
        files: each once.
    """
    codes, paths = table.codes(column)
    if table.file_numbers is None:
        return codes, [_folder(table.file) / path for path in paths]
    keys = np.where(codes < 0, -1, table.file_numbers * np.int64(len(paths)) + codes)
    used, positions = np.unique(keys, return_inverse=True)
    missing = int(used[0] < 0)
    pairs = zip(*np.divmod(used[missing:], len(paths)), strict=True)
    folders = [_folder(file) for file in table.files]
    return positions - missing, [folders[number] / paths[code] for number, code in pairs]


def _folder(table: str) -> Path:
    """Return the folder in which a table's paths start."""
    return Path() if isinstance(locate(table), Url) else Path(table).parent


def read_images(
    files: Sequence[Path], shape: tuple[int, int, int]
) -> tuple[Pixels, tuple[str, ...]]:
    """Read images, several at a time.

    Args:
        files: PNG or JPEG files.
        shape: (height, width, channels) to which they are resized.

    Returns:
        pixels: in the order height, width, channels; 0 where a file can't be read,
            (files, pixels).
        problems: what is wrong with each file; empty for a good one.
    """
    # Imported here, so that only tables with images pay for it at start-up.
    from concurrent.futures import ThreadPoolExecutor

    from PIL.Image import DecompressionBombWarning

    height, width, channels = shape
    pixels = np.zeros((len(files), height * width * channels), dtype=np.uint8)

    def read(at: int) -> str:
        file, problem = files[at], ""
        try:
            if file.is_file():
                pixels[at] = _decode(file, shape)
            else:
                problem = _ABSENT
        except Exception as error:  # Pillow has no error class of its own for broken files
            problem = _problem(error, file)
        path = str(file)
        cut = f"...{path[-_SHOWN_CHARACTERS:]}" if len(path) > _SHOWN_CHARACTERS else path
        return problem.replace("{}", f"'{cut}'", 1)

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # such as about garbled details of the camera
        warnings.simplefilter("error", DecompressionBombWarning)
        return pixels, tuple(pool.map(read, range(len(files))))


def _problem(error: Exception, file: Path) -> str:
    """Word an error, with `{}` for the file."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        with file.open("rb") as stream:
            is_damaged = stream.read(8).startswith(_SIGNATURES)
        return "{} is damaged" if is_damaged else "{} holds no PNG or JPEG image"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"{{}} has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller"
    if isinstance(error, OSError) and error.strerror:
        return f"can't read {{}}: {error.strerror}"
    return f"{{}} is damaged: {error or type(error).__name__}"


def _decode(file: Path, shape: tuple[int, int, int]) -> Pixels:
    """Read the pixels of an image, turned upright, (pixels,)."""
    from PIL import Image, ImageOps

    height, width, channels = shape
    with Image.open(file, formats=("PNG", "JPEG")) as opened:
        # Lets JPEG skip detail of which less than half a pixel would be left.
        opened.draft(None, (2 * max(height, width),) * 2)
        image = _plain(ImageOps.exif_transpose(opened), "L" if channels == 1 else "RGB")
    if image.size != (width, height):
        # Pillow's bilinear filter widens as the image shrinks, so that every pixel counts.
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(-1)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image to 8 bits without transparency, in Pillow's mode `L` (gray) or `RGB`."""
    from PIL import Image

    if image.mode.startswith("I"):  # gray of 16 bits, which `convert` would clip at 255
        gray = np.asarray(image)
        is_clear = gray == image.info.get("transparency", -1)
        image = Image.fromarray(np.where(is_clear, 255, gray >> 8).astype(np.uint8))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert(mode)
