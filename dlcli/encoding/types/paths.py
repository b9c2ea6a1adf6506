"""Columns of paths of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcli.config import Ignored, Image, ImageShape
from dlcli.encoding.columns.images import image_files
from dlcli.encoding.types.decision import Decision
from dlcli.encoding.types.held import NEARLY_ALL, Held, shortened

_ENDINGS = {"png": r"(?i)\.png$", "jpeg": r"(?i)\.jpe?g$"}
_SUFFIXES = (".png", ".jpg", ".jpeg")
_ROWS = 100
_OPENED = 10
_LARGEST_KEPT = 64
_OTHERWISE = 32
_GREY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "F"))
_NO_IMAGE = "left out, though they end as paths of images do"


def judge_paths(held: Held) -> Decision | None:
    """Takes a column for images if 90 % of its values end as their files do, and the first is one.

    Images keep their size if the first ten have the same, of 64 pixels a side at most; else they
    become 32 × 32. They are greyscale if the first ten are.
    """
    if held.kind != "text":
        return None
    which = {name: held.fitting(ending) for name, ending in _ENDINGS.items()}
    every = which["png"] | which["jpeg"]
    if held.share(every) < NEARLY_ALL:
        return None
    files = _first_files(held)
    shapes = [_shape(file) for file in files]
    if not any(shapes[:1]):
        example = shortened(held.first(every))
        reason = f"there is no image as '{example}'; paths start at the table's folder"
        return Decision(Ignored(), reason, _NO_IMAGE)
    names = " and ".join(name.upper() for name, fits in which.items() if fits.any())
    return _decision(names, [shape for shape in shapes if shape])


def _first_files(held: Held) -> list[Path]:
    """The files that the first few images should be in."""
    rows = np.flatnonzero(~held.table.missing(held.name))[:_ROWS]
    files = image_files(held.table.take(rows), held.name)[1]
    return [file for file in files if file.suffix.lower() in _SUFFIXES][:_OPENED]


def _decision(names: str, shapes: list[ImageShape]) -> Decision:
    channels = max(shape[2] for shape in shapes)
    sizes = {shape[:2] for shape in shapes}
    height, width = next(iter(sizes))
    is_kept = len(sizes) == 1 and max(height, width) <= _LARGEST_KEPT
    if not is_kept:
        height = width = _OTHERWISE
    colour = "greyscale" if channels == 1 else "colour"
    size = f"{'' if is_kept else 'brought to '}{width} × {height} pixels"
    reason = f"paths of {names} files, {colour}, {size}"
    return Decision(Image(shape=(height, width, channels)), reason)


def _shape(file: Path) -> ImageShape | None:
    """Height, width and channels of an image, from its header; None if it is none."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(file, formats=("PNG", "JPEG")) as image:
            return image.height, image.width, 1 if image.mode in _GREY_MODES else 3
    except Exception:  # whatever is wrong with a file, Pillow has no error of its own for it
        return None
