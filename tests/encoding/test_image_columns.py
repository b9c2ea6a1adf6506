"""Paths of image files to pixels: every form of PNG and JPEG, and everything that is none."""

from __future__ import annotations

import io
import json
import os
import struct
import warnings
import zlib
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from PIL import Image as Pillow
from pydantic import TypeAdapter, ValidationError

from dlcli.columns.image import Augmentation, Image, ImageEncoder, ImageForm, image_files
from dlcli.columns.layout import Block
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.errors import DataError
from dlcli.tables.table import Table

GREY = [[0, 51], [102, 255], [153, 204]]
"""Three rows of two pixels; as shares of 255: 0, 0.2; 0.4, 1; 0.6, 0.8."""


def save(folder, name, pixels, mode=None, **options):
    """Writes an image file, of unsigned bytes (height, width) or (height, width, channels)."""
    Pillow.fromarray(np.array(pixels, np.uint8), mode).save(folder / name, **options)
    return name


def table(folder, paths):
    data = pa.table({"photo": pa.array(paths, pa.string())})
    return Table(str(folder / "t.csv"), data, np.arange(1, data.num_rows + 1))


def encoder(height=3, width=2, channels=1, **options):
    return ImageEncoder(
        column="photo", shape=(height, width, channels), augmentation=None, **options
    )


def inputs(encoder, table, problems=None):
    out = np.zeros((table.rows, len(encoder.inputs)), np.float32)
    encoder.encode(table, out, problems or ValueProblems())
    return out


def encoded(folder, name, *shape):
    """The inputs of one image, in 255ths."""
    row = inputs(encoder(*shape), table(folder, [name]))[0]
    return (row.astype(np.float64) * 255).round(4).tolist()


def refusal(folder, name, *shape):
    """The message about one image, after file, row and column."""
    with pytest.raises(DataError) as caught:
        inputs(encoder(*shape), table(folder, [name]))
    where = f"{folder / 't.csv'}: row 1, column 'photo': "
    assert str(caught.value).startswith(where)
    return str(caught.value).removeprefix(where)


def test_a_gray_image_becomes_rows_of_pixels_from_0_to_1(tmp_path):
    save(tmp_path, "a.png", GREY)
    row = inputs(encoder(), table(tmp_path, ["a.png"]))
    np.testing.assert_array_equal(row, np.array([[0, 0.2, 0.4, 1, 0.6, 0.8]], np.float32))


def test_a_colored_image_becomes_rows_of_pixels_of_channels(tmp_path):
    save(tmp_path, "a.png", [[[1, 2, 3], [4, 5, 6]]])
    assert encoded(tmp_path, "a.png", 1, 2, 3) == [1, 2, 3, 4, 5, 6]


def test_inputs_are_named_by_row_column_and_color():
    assert encoder(1, 2, 1).inputs == ("photo[0, 0]", "photo[0, 1]")
    assert encoder(1, 1, 3).inputs == ("photo[0, 0] red", "photo[0, 0] green", "photo[0, 0] blue")


def test_the_block_says_what_the_pixels_are_and_how_training_varies_them():
    augmentation = Augmentation(flip=True)
    made = ImageEncoder(column="photo", shape=(1, 2, 1), augmentation=augmentation)
    names = ("photo[0, 0]", "photo[0, 1]")
    assert made.blocks == (Block("photo", "image", names, ImageForm((1, 2, 1), augmentation)),)


# Pillow's weights for the luminance of red, green and blue: 0.299, 0.587, 0.114 (ITU-R BT.601).
def test_colors_become_gray_by_their_luminance(tmp_path):
    save(tmp_path, "a.png", [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]])
    assert encoded(tmp_path, "a.png", 1, 4, 1) == [76, 150, 29, 90]


def test_gray_becomes_equal_colors(tmp_path):
    save(tmp_path, "a.png", [[7, 250]])
    assert encoded(tmp_path, "a.png", 1, 2, 3) == [7, 7, 7, 250, 250, 250]


def test_a_jpeg_is_read_as_well(tmp_path):
    # All pixels alike, which JPEG keeps.
    save(tmp_path, "a.jpeg", np.full((8, 8), 100))
    save(tmp_path, "b.jpg", np.full((8, 8, 3), 100))
    assert encoded(tmp_path, "a.jpeg", 8, 8, 1) == [100] * 64
    assert encoded(tmp_path, "b.jpg", 8, 8, 3) == [100] * 192


def test_an_image_is_known_by_its_content_not_its_name(tmp_path):
    save(tmp_path, "a.jpg", GREY, format="PNG")
    save(tmp_path, "a", GREY, format="PNG")
    assert encoded(tmp_path, "a.jpg") == encoded(tmp_path, "a") == [0, 51, 102, 255, 153, 204]


def test_a_larger_image_shrinks_to_means(tmp_path):
    # Twice as wide, the filter weighs pixels at distances of 1/4, 1/4 and 3/4 by 3/4, 3/4 and 1/4:
    # a seventh of each half is the other one's.
    save(tmp_path, "a.png", [[0, 0, 140, 140]])
    assert encoded(tmp_path, "a.png", 1, 2, 1) == [20, 120]


def test_a_smaller_image_grows_between_its_pixels(tmp_path):
    # The middles of the four lie at 0.25, 0.75, 1.25 and 1.75, those of the two at 0.5 and 1.5.
    save(tmp_path, "a.png", [[0, 100]])
    assert encoded(tmp_path, "a.png", 1, 4, 1) == [0, 25, 75, 100]


def test_a_large_photograph_shrinks_to_its_mean(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64)).repeat(16, 0).repeat(16, 1)
    save(tmp_path, "a.jpg", pixels, quality=95)
    assert abs(encoded(tmp_path, "a.jpg", 1, 1, 1)[0] - pixels.mean()) < 12


def test_a_palette_is_looked_up(tmp_path):
    image = Pillow.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([9, 8, 7, 200, 100, 50])
    image.save(tmp_path / "a.png")
    assert encoded(tmp_path, "a.png", 1, 2, 3) == [9, 8, 7, 200, 100, 50]


def test_black_and_white_become_0_and_1(tmp_path):
    Pillow.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "a.png")
    assert encoded(tmp_path, "a.png", 1, 2, 1) == [0, 255]


def png(color_type, bits, row, *chunks):
    """A PNG file of one row of two pixels, written from the format's description."""

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, bits, color_type, 0, 0, 0)),
            *(chunk(*pair) for pair in chunks),
            chunk(b"IDAT", zlib.compress(b"\0" + row)),
            chunk(b"IEND", b""),
        ]
    )


def test_16_bits_of_gray_become_8(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0, 16, struct.pack(">HH", 0x1234, 0xFFFF)))
    assert encoded(tmp_path, "a.png", 1, 2, 1) == [0x12, 0xFF]


def test_16_bits_of_color_become_8(tmp_path):
    row = struct.pack(">6H", 0x1234, 0, 0xFFFF, 0x8000, 0x00FF, 0x0100)
    (tmp_path / "a.png").write_bytes(png(2, 16, row))
    assert encoded(tmp_path, "a.png", 1, 2, 3) == [0x12, 0, 0xFF, 0x80, 0, 1]


def test_what_is_transparent_shows_white_paper(tmp_path):
    # Opaque, clear, and one fifth of black on white: 255 · 0.8.
    save(tmp_path, "a.png", [[[9, 8, 7, 255], [9, 8, 7, 0], [0, 0, 0, 51]]])
    assert encoded(tmp_path, "a.png", 1, 3, 3) == [9, 8, 7, 255, 255, 255, 204, 204, 204]


def test_a_transparent_gray_or_palette_entry_shows_white_paper(tmp_path):
    (tmp_path / "gray.png").write_bytes(png(0, 8, b"\x05\x06", (b"tRNS", b"\0\x06")))
    (tmp_path / "16.png").write_bytes(png(0, 16, b"\x05\0\x06\0", (b"tRNS", b"\x06\0")))
    palette = ((b"PLTE", b"\x01\x02\x03\x04\x05\x06"), (b"tRNS", b"\xff\x00"))
    (tmp_path / "palette.png").write_bytes(png(3, 8, b"\0\1", *palette))
    assert encoded(tmp_path, "gray.png", 1, 2, 1) == [5, 255]
    assert encoded(tmp_path, "16.png", 1, 2, 1) == [5, 255]
    assert encoded(tmp_path, "palette.png", 1, 2, 3) == [1, 2, 3, 255, 255, 255]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, [0, 51, 102, 255, 153, 204]),
        (2, [51, 0, 255, 102, 204, 153]),  # mirrored
        (3, [204, 153, 255, 102, 51, 0]),  # upside down
    ],
)
def test_a_camera_that_was_turned_is_turned_back(tmp_path, orientation, upright):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    save(tmp_path, "a.png", GREY, exif=exif)
    assert encoded(tmp_path, "a.png") == upright


def test_a_camera_that_lay_on_its_side_is_turned_back(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6  # what is at the left belongs at the top
    save(tmp_path, "a.png", GREY, exif=exif)
    assert encoded(tmp_path, "a.png", 2, 3, 1) == [153, 102, 0, 204, 255, 51]


def test_paths_start_at_the_folder_of_the_table(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    save(tmp_path / "photos", "a.png", GREY)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    above = table(Path(".."), ["photos/a.png"])
    assert inputs(encoder(), above)[0, 3] == 1


def test_a_path_may_be_absolute(tmp_path):
    save(tmp_path, "a.png", GREY)
    assert inputs(encoder(), table(Path("nowhere"), [str(tmp_path / "a.png")]))[0, 3] == 1


@pytest.mark.parametrize("name", ["standard input", "s3://bucket/t.csv", "https://host/t.csv"])
def test_paths_of_standard_input_and_of_urls_start_at_the_current_folder(tmp_path, name):
    piped = Table(name, table(tmp_path, ["a.png"]).data, np.array([1]))
    codes, files = image_files(piped, "photo")
    assert codes.tolist() == [0]
    assert files == [Path("a.png")]


def test_paths_of_several_files_start_at_the_folder_of_each(tmp_path):
    whole = Table(
        "*/t.csv",
        table(tmp_path, ["a.png", "a.png", None, "b.png"]).data,
        np.array([1, 2, 1, 2]),
        files=("x/t.csv", "s3://y/t.csv"),
        file_numbers=np.array([0, 0, 1, 1], dtype=np.int32),
    )
    codes, files = image_files(whole, "photo")
    assert codes.tolist() == [0, 0, -1, 1]
    assert files == [Path("x/a.png"), Path("b.png")]


def test_rows_with_the_same_path_have_the_same_pixels_and_it_is_read_once(tmp_path, monkeypatch):
    save(tmp_path, "a.png", [[10]])
    save(tmp_path, "b.png", [[20]])
    opened = []
    real = Pillow.open
    monkeypatch.setattr(
        Pillow, "open", lambda file, **k: opened.append(file.name) or real(file, **k)
    )
    rows = inputs(encoder(1, 1), table(tmp_path, ["b.png", "a.png", "b.png", "b.png"]))
    assert (rows * 255).round(3).tolist() == [[20], [10], [20], [20]]
    assert sorted(opened) == ["a.png", "b.png"]


def test_many_images_are_each_in_their_own_row_whatever_the_number_of_threads(
    tmp_path, monkeypatch
):
    names = [save(tmp_path, f"{number}.png", [[number]]) for number in range(200)]
    for processors in (1, 32):
        monkeypatch.setattr(os, "cpu_count", lambda count=processors: count)
        rows = inputs(encoder(1, 1), table(tmp_path, names))
        assert (rows[:, 0] * 255).round(3).tolist() == list(range(200))


def test_rows_in_parts_give_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    names = [save(tmp_path, f"{n}.png", rng.integers(0, 256, (5, 7, 3))) for n in range(6)]
    whole, made = table(tmp_path, names), encoder(3, 4, 3)
    parts = np.concatenate([inputs(made, part) for part in whole.parts(4)])
    np.testing.assert_array_equal(parts, inputs(made, whole))


def test_a_file_that_is_not_there_is_named_with_what_paths_start_at(tmp_path):
    assert refusal(tmp_path, "photos/9.png") == (
        f"no such file: '{tmp_path}/photos/9.png'; "
        "paths are relative to the table's folder, or to the current folder if the table is "
        "standard input or a URL"
    )


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert refusal(tmp_path, "a.png").startswith(f"no such file: '{tmp_path}/a.png'")


def test_what_can_not_be_a_path_at_all_is_no_file(tmp_path):
    assert refusal(tmp_path, "a\0b").startswith("no such file: ")
    message = refusal(tmp_path, "word " * 1000)
    assert message.startswith("can't read '...")
    assert message.endswith("word': File name too long")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_one_may_not_read_is_reported(tmp_path):
    save(tmp_path, "a.png", GREY)
    (tmp_path / "a.png").chmod(0)
    assert refusal(tmp_path, "a.png") == f"can't read '{tmp_path}/a.png': Permission denied"


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"GIF89a\1\0\1\0\0\0\0;", b"II*\0\x08\0\0\0"], ids=str
)
def test_what_is_no_png_or_jpeg_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert refusal(tmp_path, "a.png") == f"'{tmp_path}/a.png' is not a PNG or JPEG image"


def test_a_gif_is_refused_whatever_pillow_reads(tmp_path):
    save(tmp_path, "a.gif", GREY)
    assert refusal(tmp_path, "a.gif") == f"'{tmp_path}/a.gif' is not a PNG or JPEG image"


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_file_that_was_cut_off_is_damaged(tmp_path, name):
    save(tmp_path, name, np.random.default_rng(0).integers(0, 256, (50, 50)))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert refusal(tmp_path, name).startswith(f"'{tmp_path}/{name}' is damaged: ")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_file_of_which_only_the_first_bytes_are_left_is_damaged(tmp_path, name):
    save(tmp_path, name, GREY)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:10])
    assert refusal(tmp_path, name).startswith(f"'{tmp_path}/{name}' is damaged")


def test_an_image_that_states_more_bytes_than_there_is_memory_may_be_damaged(tmp_path, monkeypatch):
    save(tmp_path, "a.png", GREY)
    monkeypatch.setattr("dlcli.columns.image._decode", Mock(side_effect=MemoryError))
    assert refusal(tmp_path, "a.png") == (
        f"'{tmp_path}/a.png' is damaged, or needs more memory than is free"
    )


def test_an_image_that_would_fill_the_memory_is_refused_before_it_does(tmp_path):
    # 12,000² pixels are more than Pillow warns of; 60,000² more than it takes at all.
    for side in (12_000, 60_000):
        content = png(0, 8, b"\0\0").replace(
            struct.pack(">II", 2, 1), struct.pack(">II", side, side)
        )
        crc = zlib.crc32(content[12:29])
        (tmp_path / "a.png").write_bytes(content[:29] + struct.pack(">I", crc) + content[33:])
        assert refusal(tmp_path, "a.png") == (
            f"'{tmp_path}/a.png' has more than 89,478,485 pixels; make it smaller"
        )


def test_the_first_bad_row_is_reported_be_it_empty_or_broken(tmp_path):
    save(tmp_path, "a.png", GREY)
    rows = table(tmp_path, ["a.png", None, "b.png"])
    with pytest.raises(DataError) as caught:
        inputs(encoder(), rows)
    assert str(caught.value) == (
        f"{tmp_path / 't.csv'}: row 2, column 'photo': is empty, expected the path of an image"
        "; 1 more row has this problem"
    )


def test_lenient_findings_take_bad_rows_in_and_leave_them_black(tmp_path):
    save(tmp_path, "a.png", GREY)
    problems = ValueProblems(lenient=True)
    rows = inputs(encoder(), table(tmp_path, ["b.png", "a.png", None, "b.png"]), problems)
    assert [(bad.index, bad.column) for bad in problems.bad_rows()] == [
        (0, "photo"),
        (2, "photo"),
        (3, "photo"),
    ]
    assert list(problems.bad_rows())[1].reason == snapshot(
        "is empty, expected the path of an image"
    )
    assert rows.any(axis=1).tolist() == [False, True, False, False]


def fit(table, **options):
    return Image(shape=(3, 2, 1), **options).fit("photo", table, Input())


def test_fitting_keeps_shape_augmentation_and_the_share_of_missing_values(tmp_path):
    save(tmp_path, "a.png", GREY)
    augmentation = Augmentation(shift=1)
    made = fit(table(tmp_path, [None, "a.png", "a.png", "b.png"]), augmentation=augmentation)
    assert made == ImageEncoder(
        column="photo", shape=(3, 2, 1), augmentation=augmentation, missing_share=0.25
    )


def test_fitting_refuses_a_first_path_that_leads_nowhere(tmp_path):
    with pytest.raises(DataError, match="row 2, column 'photo': no such file: "):
        fit(table(tmp_path, [None, "a.png"]))


def test_fitting_refuses_a_column_without_a_value(tmp_path):
    with pytest.raises(DataError, match="column 'photo': has no value in the training rows"):
        fit(table(tmp_path, [None, ""]))


def test_fitting_refuses_a_column_of_numbers(tmp_path):
    numbers = Table("t.csv", pa.table({"photo": [1, 2]}), np.array([1, 2]))
    with pytest.raises(DataError) as caught:
        fit(numbers)
    assert str(caught.value) == (
        snapshot("t.csv: column 'photo': expected image paths, but the column holds int64")
    )


FEATURE = TypeAdapter(FeatureEncoder)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    pixels=st.lists(st.integers(0, 255), min_size=6, max_size=6),
    name=st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\0"),
                 min_size=1, max_size=20),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3])),
    augmentation=st.none() | st.builds(Augmentation, flip=st.booleans(), noise=st.floats(0, 9)),
)  # fmt: skip
def test_to_json_and_back_it_gives_the_same_bits(tmp_path, pixels, name, shape, augmentation):
    file = f"a{name}.png"  # or Pillow would take `..png` for a name without an extension
    save(tmp_path, file, np.array(pixels).reshape(2, 3))
    rows = table(tmp_path, [file])
    made = Image(shape=shape, augmentation=augmentation).fit("photo", rows, Input())
    again = FEATURE.validate_json(FEATURE.dump_json(made))
    assert again == made
    np.testing.assert_array_equal(inputs(again, rows), inputs(made, rows))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3, 2, 2]},
        {"shape": [3, 2]},
        {"shape": [0, 2, 1]},
        {"shape": [10**9, 10**9, 3]},
        {"augmentation": {"shift": -1}},
        {"augmentation": {"turn": 1}},
        {"missing_share": 2},
        {"more": 1},
    ],
    ids=str,
)
def test_json_that_no_fitting_gives_is_refused(change):
    document = json.loads(encoder().model_dump_json()) | change
    with pytest.raises(ValidationError):
        FEATURE.validate_json(json.dumps(document))


def test_a_shift_that_may_leave_nothing_of_an_image_is_a_conflict():
    with pytest.raises(ValidationError) as caught:
        Image(shape=(8, 4, 1), augmentation=Augmentation(shift=4))
    assert caught.value.errors()[0]["loc"] == ("augmentation", "shift")
    assert caught.value.errors()[0]["msg"] == (
        snapshot("expected less than the shorter side, 4 pixels, got 4")
    )


WHOLE = {}
for form in ("PNG", "JPEG"):
    stream = io.BytesIO()
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(stream, form, exif=exif)
    WHOLE[form] = stream.getvalue()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    form=st.sampled_from(["PNG", "JPEG"]),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
    kept=st.integers(0, 2000),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else_happens(tmp_path, form, damage, kept):
    content = bytearray(WHOLE[form])
    for place, byte in damage:
        content[place % len(content)] = byte
    (tmp_path / "a").write_bytes(content[:kept])
    problems = ValueProblems(lenient=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs(encoder(), table(tmp_path, ["a"]), problems)
    assert len(list(problems.bad_rows())) <= 1
