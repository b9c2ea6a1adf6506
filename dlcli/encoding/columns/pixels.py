"""The pixels of image files, read by Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]

_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""What PNG and JPEG files begin with."""
_SHOWN_CHARACTERS = 200
_ABSENT = (
    "there is no file {}; "
    "paths start at the table's folder, or for standard input at the current one"
)


def read_images(
    files: Sequence[Path], shape: tuple[int, int, int]
) -> tuple[Pixels, tuple[str, ...]]:
    """Reads images, several at a time.

    Args:
        files: PNG or JPEG files.
        shape: (height, width, channels) that they are brought to.

    Returns:
        pixels: rows of columns of channels, 0 where a file can't be read, (files, pixels).
        complaints: what is wrong with each file, or nothing.
    """
    # Here, so that only tables with images pay for it at start-up.
    from concurrent.futures import ThreadPoolExecutor

    from PIL.Image import DecompressionBombWarning

    height, width, channels = shape
    pixels = np.zeros((len(files), height * width * channels), dtype=np.uint8)

    def read(at: int) -> str:
        try:
            if not files[at].is_file():
                return _told(files[at], _ABSENT)
            pixels[at] = _decode(files[at], shape)
        except Exception as error:  # Pillow has no error of its own for broken files
            return _told(files[at], _what_is_wrong(error, files[at]))
        return ""

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # such as for details about the camera that are garbled
        warnings.simplefilter("error", DecompressionBombWarning)
        return pixels, tuple(pool.map(read, range(len(files))))


def _told(file: Path, what: str) -> str:
    path = str(file)
    cut = f"...{path[-_SHOWN_CHARACTERS:]}" if len(path) > _SHOWN_CHARACTERS else path
    return what.replace("{}", f"'{cut}'", 1)


def _what_is_wrong(error: Exception, file: Path) -> str:
    """What an error means, with `{}` for the file."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        with file.open("rb") as stream:
            is_damaged = stream.read(8).startswith(_MARKS)
        return "{} is damaged" if is_damaged else "{} holds no PNG or JPEG image"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"{{}} has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller"
    if isinstance(error, OSError) and error.strerror:
        return f"can't read {{}}: {error.strerror}"
    return f"{{}} is damaged: {error or type(error).__name__}"


def _decode(file: Path, shape: tuple[int, int, int]) -> Pixels:
    """The pixels of an image, upright, in one row."""
    from PIL import Image, ImageOps

    height, width, channels = shape
    with Image.open(file, formats=("PNG", "JPEG")) as opened:
        # Lets JPEG leave out detail of which less than half a pixel would be left.
        opened.draft(None, (2 * max(height, width),) * 2)
        image = _plain(ImageOps.exif_transpose(opened), "L" if channels == 1 else "RGB")
    if image.size != (width, height):
        # Pillow's bilinear filter widens as the image shrinks, so that no pixel goes uncounted.
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(-1)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """An image of 8 bits and no transparency, in a Pillow mode: `L` for grey or `RGB`."""
    from PIL import Image

    if image.mode.startswith("I"):  # grey of 16 bits, which `convert` would cut off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert(mode)
