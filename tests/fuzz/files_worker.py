"""Predict from damaged Parquet and Arrow files, and read damaged PNG and JPEG files, by Hypothesis.

Called as `files_worker.py EXAMPLES`, in an empty folder. An example fails unless it ends in a
result, or in an error of dlcli with one line. The last line of output counts the results.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import csv, feather, ipc, parquet

import dlcli
from benchmarks.worker import peak_bytes
from dlcli.columns.image import read_images
from dlcli.data_checks.inspection import inspect_table
from dlcli.tables.table_files import read_table

CORPUS = Path(__file__).parents[1] / "compatibility/corpus/0.1.0"
MOST_BYTES = 10**9
"""The memory of the process, most of which its libraries need."""
_FAR_TOO_MUCH = 6 * 10**9
"""The limit at which the system stops a file that would fill the memory."""
ORIENTATION = 0x0112
"""The number of a field of Exif."""
ENDS = Counter[str]()


def valid_tables() -> dict[str, list[bytes]]:
    """Return Parquet and Arrow files of each layout, by their endings."""
    table = csv.read_csv(CORPUS / "new.csv")
    city = table["city"].dictionary_encode()
    listed = table["listed"].cast(pa.timestamp("us"))
    typed = table.set_column(2, "city", city).set_column(3, "listed", listed)
    parquets: list[dict[str, Any]] = [
        *({"compression": name} for name in ("none", "snappy", "zstd")),
        {"row_group_size": 7, "version": "1.0"},
        {"data_page_version": "2.0"},
    ]
    return {
        ".parquet": [
            written(partial(parquet.write_table, each, **layout))
            for each in (table, typed)
            for layout in parquets
        ],
        ".arrow": [
            *(
                written(partial(feather.write_feather, each, compression=compression))
                for each in (table, typed)
                for compression in ("uncompressed", "lz4", "zstd")
            ),
            written(partial(write_stream, table)),
            written(partial(write_stream, typed)),
        ],
    }


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    """Return the bytes that a function writes."""
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def write_stream(table: pa.Table, stream: io.BytesIO) -> None:
    """Write Arrow's stream format."""
    with ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def valid_images() -> list[bytes]:
    """Return PNG and JPEG files of each mode."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 4), dtype=np.uint8)
    whole = Image.fromarray(pixels)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) << 8)
    pngs = [deep, *(whole.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA"))]
    jpegs = [whole.convert(mode) for mode in ("L", "RGB", "CMYK")]
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return [
        written(partial(image.save, format=form, **more))
        for form, images in (("PNG", pngs), ("JPEG", jpegs))
        for image in images
        for more in ({}, {"progressive": True, "exif": exif})
    ]


NUMBERS = st.sampled_from([0, 1, 7, 127, 2**15, 2**24, 2**31 - 1, 2**31, 2**32 - 1])
PIECES = (
    st.binary(min_size=1, max_size=8)
    | NUMBERS.map(lambda number: number.to_bytes(4, "little"))
    | NUMBERS.map(lambda number: number.to_bytes(8, "big"))
)


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """Draw a valid file, and overwrite, insert, remove, repeat or cut some of its bytes."""
    content = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        at = draw(st.integers(0, size) | st.integers(max(0, size - 64), size))
        other = draw(st.integers(0, size))
        piece = draw(PIECES)
        edit = draw(
            st.sampled_from(["flip", "flip", "write", "write", "insert", "remove", "copy", "cut"])
        )
        if edit == "flip" and at < size:
            content = content[:at] + bytes([content[at] ^ 1 << piece[0] % 8]) + content[at + 1 :]
        elif edit == "write":
            content = content[:at] + piece + content[at + len(piece) :]
        elif edit == "insert":
            content = content[:at] + piece + content[at:]
        elif edit == "remove":
            content = content[:at] + content[at + piece[0] :]
        elif edit == "copy":
            content = content[:at] + content[other : other + 40] + content[at:]
        elif edit == "cut":
            content = content[:at]
    return content


def ends_well(kind: str, function: Callable[[], object]) -> None:
    """Check that a function returns, or raises an error of dlcli with one line."""
    try:
        function()
        ENDS[kind] += 1
    except dlcli.DlcliError as error:
        assert str(error).strip() and error.exit_code > 1, repr(error)
        ENDS[f"{kind} refused"] += 1
    except MemoryError:  # the file states a size over the limit
        ENDS[f"{kind} too large"] += 1
    used = peak_bytes()
    assert used < MOST_BYTES, f"took {used:,} bytes"


def main(examples: int) -> None:
    """Try damaged tables and images."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=dlcli.DataWarning)
    resource.setrlimit(resource.RLIMIT_AS, (_FAR_TOO_MUCH, _FAR_TOO_MUCH))
    model = dlcli.load(CORPUS / "runs/classification")
    many = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples < 1000,
        suppress_health_check=list(HealthCheck),
    )

    for ending, files in valid_tables().items():
        path = Path(f"table{ending}")
        for content in files:
            path.write_bytes(content)
            model.predict(path)
        many(given(damaged(files))(lambda content: check_table(model, path, content)))()  # noqa: B023
    many(given(damaged(valid_images()))(check_image))()
    print(json.dumps(ENDS))


def check_table(model: dlcli.Model, path: Path, content: bytes) -> None:
    """Predict from a file, and inspect it."""
    path.write_bytes(content)
    ends_well(f"{path.suffix} predicted", lambda: model.predict(path))
    ends_well(f"{path.suffix} inspected", lambda: inspect_table(read_table(path), "sold"))


def check_image(content: bytes) -> None:
    """Read an image."""
    path = Path("image")
    path.write_bytes(content)
    _, (problem,) = read_images([path], (4, 5, 3))
    assert problem.isprintable(), problem
    ENDS["image refused" if problem else "image"] += 1


if __name__ == "__main__":
    main(int(sys.argv[1]))
