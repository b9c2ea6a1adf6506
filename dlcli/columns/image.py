"""Columns of image paths: the pixels of each image, scaled to the range from 0 to 1."""

import math
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlcli.arrays import Array, Indices, Matrix, np
from dlcli.columns import column_exports, column_type
from dlcli.columns.column_exports import UNKNOWN, ClientColumn, KnownValues, ModelInput, ScriptCode
from dlcli.columns.column_type import Decision, Defaults
from dlcli.columns.layout import Block, InputForm
from dlcli.schema.section import Conflict, Expected, Flag, NonNegative, NonNegativeInt, Section
from dlcli.schema.urls import Url, locate

if TYPE_CHECKING:
    from PIL import Image as Pillow

    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.type_inference import ColumnView
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


class Augmentation(Section):
    """Random changes of images in each training step; predictions use unchanged images."""

    shift: NonNegativeInt = 0
    """Maximum shift in pixels, horizontally and vertically. Pixels that are shifted into the image
    are 0."""
    flip: Flag = False
    """Mirror half of the images horizontally, chosen at random."""
    noise: NonNegative = 0.0
    """Standard deviation of the normal noise that is added to each pixel. The unit is that of
    pixels, which are between 0 and 1."""


_Side = Annotated[int, Field(gt=0, le=1024)]


ImageShape = tuple[_Side, _Side, Literal[1, 3]]


Shape = Annotated[
    ImageShape,
    Expected(
        "[height, width, channels], with at most 1,024 pixels a side, "
        "and 1 channel for grayscale or 3 for color"
    ),
]


class Image(column_type.ColumnType):
    """A column with the paths of PNG or JPEG files, relative to the table.

    Transparent pixels become white.
    """

    type: Literal["image"] = "image"
    shape: Shape
    """Height, width and channels, such as `[28, 28, 1]`. Images are resized to this height and
    width, even if this changes their aspect ratio. The number of channels is 1 for grayscale, or 3
    for color."""
    augmentation: Augmentation | None = None
    """Random changes of the images in each training step. Omitted: none."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a shift by the whole image or more."""
        if self.augmentation and self.augmentation.shift >= (side := min(self.shape[:2])):
            message = f"expected less than the shorter side, {side} pixels"
            yield "augmentation.shift", f"{message}, got {self.augmentation.shift}"

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "ImageEncoder":
        """Create the encoder of a column, and test it on the first image.

        Raises:
            DataError: for a column without paths, or a first path without an image.
        """
        from dlcli.columns.value_problems import ValueProblems

        paths = train.column(column)
        if paths.kind != "text":
            message = f"expected image paths, but the column holds {paths.values.type}"
            raise paths.error(message)
        missing = paths.missing()
        column_type.require_values(int((~missing).sum()), column, train)
        encoder = ImageEncoder(
            column=column,
            missing_share=float(missing.mean()),
            shape=self.shape,
            augmentation=self.augmentation,
        )
        first = train.take(np.flatnonzero(~missing)[:1])
        encoder.encode(first, np.zeros((1, len(encoder.inputs)), np.float32), ValueProblems())
        return encoder

    # Advice and starter configs.

    has_common_values = False

    @property
    def augmentation_to_try(self) -> str | None:
        """A shift by a tenth of the shorter side, at least one pixel; None if one is set."""
        if self.augmentation is not None:
            return None
        side = min(self.shape[:2])
        return f"{{shift: {min(max(1, side // 10), side - 1)}}}"

    def inputs_of(self, distinct: int, bins: int) -> int:
        """Return the number of pixels times channels."""
        return math.prod(self.shape)


# Inference.


_IMAGE_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


_PATHS_TRIED = 100


_IMAGES_OPENED = 10


_LARGEST_IMAGE_KEPT = 64


_USUAL_SIDE = 32


_GRAY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "F"))


def decide_images(view: "ColumnView") -> Decision | None:
    """Decide for images if 90 % of the values end like image paths and the first is an image.

    Images keep their size if the first ten have the same size of at most 64 pixels a side; else
    they are resized to 32 × 32. They are read as grayscale if the first ten are grayscale.
    """
    if view.column.kind != "text":
        return None
    ends = {suffix: view.matches(rf"(?i){re.escape(suffix)}$") for suffix in _IMAGE_SUFFIXES}
    every = np.logical_or.reduce([*ends.values()])
    if not view.are_nearly_all(every):
        return None
    rows = np.flatnonzero(~view.column.missing())[:_PATHS_TRIED]
    files = image_files(view.table.take(rows), view.column.name)[1]
    files = [file for file in files if file.suffix.lower() in _IMAGE_SUFFIXES][:_IMAGES_OPENED]
    shapes = [_image_shape(file) for file in files]
    if not any(shapes[:1]):
        example = f"no image found at paths such as '{view.example(every)}'"
        reason = f"{example}; paths are relative to the table's folder"
        warning = "ignored, although the values look like image paths"
        return Decision(column_type.Ignored(), reason, warning)
    known = [shape for shape in shapes if shape]
    channels = max(shape[2] for shape in known)
    height, width = known[0][:2]
    keeps_size = len({shape[:2] for shape in known}) == 1
    keeps_size &= max(height, width) <= _LARGEST_IMAGE_KEPT
    if not keeps_size:
        height = width = _USUAL_SIDE
    kinds = dict.fromkeys(_IMAGE_SUFFIXES[suffix] for suffix, which in ends.items() if which.any())
    names = " and ".join(kinds)
    color = "grayscale" if channels == 1 else "color"
    size = f"{'' if keeps_size else 'resized to '}{width} × {height} pixels"
    reason = f"paths of {names} images, {color}, {size}"
    return Decision(Image(shape=(height, width, channels)), reason)


def _image_shape(file: Path) -> ImageShape | None:
    """Read height, width and channels from an image's header; None if the file is not an image."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(file, formats=("PNG", "JPEG")) as image:
            return image.height, image.width, 1 if image.mode in _GRAY_MODES else 3
    except Exception:  # Pillow raises errors of many classes for broken files
        return None


# Encoding.


@dataclass(frozen=True)
class ImageForm(InputForm):
    """Pixels, in the order height, width, channels."""

    shape: tuple[int, int, int]
    augmentation: Augmentation | None
    """Random changes of the images during training."""


_EMPTY = "is empty, expected the path of an image"


class ImageEncoder(column_type.DenseEncoder):
    """The pixels of the image at a path, each from 0 to 1."""

    encoding: Literal["image"] = "image"
    type: Literal["image"] = "image"
    shape: ImageShape
    """(height, width, channels) to which images are resized."""
    augmentation: Augmentation | None
    """Random changes of the images during training."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column, in the order height, width, channels."""
        height, width, channels = self.shape
        colors = ("",) if channels == 1 else (" red", " green", " blue")
        names = tuple(
            f"{self.column}[{row}, {column}]{color}"
            for row, column, color in product(range(height), range(width), colors)
        )
        return (Block(self.column, "image", names, ImageForm(self.shape, self.augmentation)),)

    accepts_missing: ClassVar = False

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        codes, files = image_files(rows.table, self.column)
        pixels, wrong_files = read_images(files, self.shape)
        reasons = (*wrong_files, _EMPTY)  # the last is for missing paths (code -1)
        wrong = np.array([reason != "" for reason in reasons])[codes]
        problems.refuse(wrong, rows, self.column, lambda at: reasons[codes[at]])
        read = ~wrong
        out[read] = pixels[codes[read]] / np.float32(255)

    # Files and exported models.

    reads_files = True

    def files(self, table: "Table") -> list[Path]:
        """Return the files that the values of rows refer to, each once."""
        return image_files(table, self.column)[1]

    def model_input(self, notation: "Notation") -> ModelInput:
        """Describe the pixels that a client sends, see `ColumnEncoder`."""
        height, width, channels = self.shape
        colors = "gray" if channels == 1 else "red, green, blue"
        words = (
            f"The image's pixels from 0 to 255 ({colors}), after you rotate it upright, put it on "
            f"white if it is transparent, and resize it to {height} × {width} (height × width) "
            "with Pillow's BILINEAR filter."
        )
        return ModelInput(self.column, "uint8", (words,), self.shape)

    def client_values(self, table: "Table") -> Array:
        """Return the pixels for the rows of a table, (rows, height, width, channels)."""
        codes, files = image_files(table, self.column)
        pixels, _ = read_images(files, self.shape)
        padded = np.concatenate([pixels, np.zeros((1, pixels.shape[1]), np.uint8)])
        return padded[codes].reshape(-1, *self.shape)

    def graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode pixels in a graph, see `ColumnEncoder`."""
        return ops.cast(ops.flatten(x, len(self.inputs)), "float32") / 255.0

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Create synthetic images in a folder, without unusual ones."""
        from PIL import Image

        height, width, channels = self.shape
        random, files = np.random.default_rng(0), []
        for at in range(3):
            pixels = random.integers(0, 256, (2 * height, 2 * width, channels), dtype=np.uint8)
            file = folder / f"{len(list(folder.iterdir()))}-{at}.png"
            Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file)
            files.append(str(file))
        return files, []

    # Scripts.

    script_code: ClassVar = ScriptCode(
        "image", None, ("from PIL import Image, ImageOps",), packages=("pillow>=11",)
    )

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        return {"type": "image", "shape": [*self.shape]}

    def script_layers(self, name: str) -> Iterator[str]:
        """Yield the layers that augment images in training and flatten them."""
        input_name, (height, width, channels) = column_exports.literal(name), self.shape
        shape = f"({height}, {width}, {channels})"
        yield f"x = inputs[{input_name}] = keras.Input({shape}, name={input_name})"
        if (changes := self.augmentation) is not None:
            yield "# Random changes, during training only."
            if changes.flip:
                yield 'x = keras.layers.RandomFlip("horizontal")(x)'
            if changes.shift:
                arguments = [f"{changes.shift} / {height}", f"{changes.shift} / {width}"]
                arguments += ['fill_mode="constant"', 'interpolation="nearest"']
                yield from column_exports.call_lines(
                    "x = keras.layers.RandomTranslation", arguments, "(x)"
                )
            if changes.noise:
                yield f"x = keras.layers.GaussianNoise({changes.noise})(x)"
        yield "parts.append(keras.layers.Flatten()(x))"

    # Servers.

    def client_column(self, notation: "Notation", known: KnownValues = UNKNOWN) -> ClientColumn:
        """Raise an error: paths are not part of a request."""
        raise NotImplementedError("image columns can't be served")


# Files of images.


_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""The first bytes of PNG and JPEG files."""


_SHOWN_CHARACTERS = 200


_ABSENT = (
    "no such file: {}; paths are relative to the table's folder, or to the current folder if the "
    "table is standard input or a URL"
)


def image_files(table: "Table", column: str) -> tuple[Indices, list[Path]]:
    """Resolve the paths in a column, which are relative to the folder of the table.

    Paths in a table from standard input or a URL are relative to the current folder.

    Returns:
        codes: the index of the file of each row, -1 for a missing path, (rows,).
        files: the distinct files.
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
    """Return the folder to which the paths in a table are relative."""
    return Path() if isinstance(locate(table), Url) else Path(table).parent


def read_images(
    files: Sequence[Path], shape: tuple[int, int, int]
) -> tuple[Array, tuple[str, ...]]:
    """Read images, several at a time.

    Args:
        files: PNG or JPEG files.
        shape: (height, width, channels) to which they are resized.

    Returns:
        pixels: the pixels in the order height, width, channels, 0 if a file can't be read, uint8
            (files, pixels).
        problems: the problem with each file; empty for valid files.
    """
    # These imports are slow, and only tables with images need them.
    from concurrent.futures import ThreadPoolExecutor

    from PIL.Image import DecompressionBombWarning

    height, width, channels = shape
    pixels = np.zeros((len(files), height * width * channels), dtype=np.uint8)

    def read(at: int) -> str:
        file, problem = files[at], ""
        try:
            if _is_file(file):
                pixels[at] = _decode(file, shape)
            else:
                problem = _ABSENT
        except Exception as error:  # Pillow raises errors of many classes for broken files
            problem = _problem(error, file)
        path = str(file)
        cut = f"...{path[-_SHOWN_CHARACTERS:]}" if len(path) > _SHOWN_CHARACTERS else path
        return problem.replace("{}", f"'{cut}'", 1)

    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # for example about damaged camera metadata
        warnings.simplefilter("error", DecompressionBombWarning)
        return pixels, tuple(pool.map(read, range(len(files))))


def _is_file(path: Path) -> bool:
    """Return whether a path is a file, or raise the error that keeps it from being read.

    From Python 3.14 on, `Path.is_file` hides this error.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a path may have any characters
        return False


def _problem(error: Exception, file: Path) -> str:
    """Describe an error, with `{}` for the file."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        with file.open("rb") as stream:
            is_damaged = stream.read(8).startswith(_SIGNATURES)
        return "{} is damaged" if is_damaged else "{} is not a PNG or JPEG image"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"{{}} has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller"
    if isinstance(error, MemoryError):  # a damaged file may state any size
        return "{} is damaged, or needs more memory than is free"
    if isinstance(error, OSError) and error.strerror:
        return f"can't read {{}}: {error.strerror}"
    return f"{{}} is damaged: {error or type(error).__name__}"


def _decode(file: Path, shape: tuple[int, int, int]) -> Array:
    """Read the pixels of an image, rotated upright, (pixels,)."""
    from PIL import Image, ImageOps

    height, width, channels = shape
    with Image.open(file, formats=("PNG", "JPEG")) as opened:
        # The JPEG decoder may omit details that are smaller than half a pixel of the result.
        opened.draft(None, (2 * max(height, width),) * 2)
        image = _plain(ImageOps.exif_transpose(opened), "L" if channels == 1 else "RGB")
    if image.size != (width, height):
        # When it shrinks an image, Pillow's bilinear filter averages over all pixels.
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(-1)


def _plain(image: "Pillow.Image", mode: str) -> "Pillow.Image":
    """Convert an image to 8 bits without transparency, in Pillow's mode `L` (gray) or `RGB`."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grayscale, which `convert` would clip at 255
        gray = np.asarray(image)
        is_clear = gray == image.info.get("transparency", -1)
        image = Image.fromarray(np.where(is_clear, 255, gray >> 8).astype(np.uint8))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert(mode)
