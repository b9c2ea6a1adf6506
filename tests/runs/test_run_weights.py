"""Weights: equal bytes for equal arrays, and verified when read."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dlcli.errors import RunError
from dlcli.runs.file_formats import max_archive_bytes, read_arrays, weight_specs, write_arrays

FILE = Path("runs/iris/weights.npz")
KERNEL = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
BIAS = np.array([0.5, -0.5, 0], np.float32)
SHAPES = {"hidden_1/kernel": (2, 3), "hidden_1/bias": (3,)}


def stored(path, arrays):
    write_arrays(path, arrays)
    return path.read_bytes()


def read(content, shapes):
    return read_arrays(io.BytesIO(content), weight_specs(shapes), FILE)


def saved(**arrays):
    """An archive as NumPy itself writes it."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def archive(members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return stream.getvalue()


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npy_with_header(header):
    """A member whose header says whatever it likes, before the twelve bytes of `BIAS`."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + BIAS.tobytes()


def test_weights_are_read_by_name_in_the_given_order(tmp_path):
    content = stored(tmp_path / "w", {"hidden_1/bias": BIAS, "hidden_1/kernel": KERNEL})
    weights = read(content, SHAPES)
    assert list(weights) == ["hidden_1/kernel", "hidden_1/bias"]
    np.testing.assert_array_equal(weights["hidden_1/kernel"], KERNEL, strict=True)
    np.testing.assert_array_equal(weights["hidden_1/bias"], BIAS, strict=True)


def test_every_bit_of_a_float_is_kept(tmp_path):
    numbers = np.array([-0.0, 1e-45, np.inf, np.nan, np.float32(1) / 3], np.float32)
    weights = read(stored(tmp_path / "w", {"b": numbers}), {"b": (5,)})
    assert weights["b"].tobytes() == numbers.tobytes()


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 3, 4)])
def test_any_shape_is_read(tmp_path, shape):
    array = np.full(shape, 7, np.float32)
    weights = read(stored(tmp_path / "w", {"a": array}), {"a": shape})
    np.testing.assert_array_equal(weights["a"], array, strict=True)


def test_equal_arrays_give_equal_bytes_whatever_their_layout(tmp_path):
    by_rows = stored(tmp_path / "first", {"a": KERNEL})
    assert stored(tmp_path / "second", {"a": np.asfortranarray(KERNEL)}) == by_rows
    assert stored(tmp_path / "third", {"a": np.repeat(KERNEL, 2, axis=1)[:, ::2]}) == by_rows


def test_the_archive_has_no_times(tmp_path):
    write_arrays(tmp_path / "w", {"a": BIAS})
    with zipfile.ZipFile(tmp_path / "w") as stored_archive:
        assert stored_archive.getinfo("a.npy").date_time == (1980, 1, 1, 0, 0, 0)


def test_an_archive_by_numpy_itself_is_read():
    np.testing.assert_array_equal(read(saved(a=BIAS), {"a": (3,)})["a"], BIAS)


def test_weights_are_read_only(tmp_path):
    weights = read(stored(tmp_path / "w", {"a": BIAS}), {"a": (3,)})
    with pytest.raises(ValueError, match="read-only"):
        weights["a"][0] = 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(), "lacks array 'a'"),
        (saved(b=BIAS), "lacks array 'a'"),
        (saved(a=BIAS, b=BIAS), "has an unknown 'b.npy'"),
        (saved(a=KERNEL), r"array 'a' has the shape \(2, 3\), expected \(3,\)"),
        (saved(a=BIAS[:2]), r"array 'a' has the shape \(2,\), expected \(3,\)"),
        (saved(a=BIAS.astype(np.float64)), "array 'a' is float64, expected float32"),
        (saved(a=BIAS.astype(">f4")), "array 'a' is >f4, expected float32"),
        (saved(a=np.array([1, 2, 3])), "array 'a' is int64, expected float32"),
        (b"", "is not an archive of arrays"),
        (b"PK\x03\x04 and so on", "is not an archive of arrays"),
        (archive({"a.npy": b""}), "is not an archive of arrays"),
        (archive({"a.npy": npy(BIAS)}, zipfile.ZIP_DEFLATED), "array 'a' is compressed"),
        (archive({"a.npy": npy(BIAS)[:-1]}), "array 'a' has 11 bytes of values, expected 12"),
        (
            archive({"a.npy": npy(BIAS) + b"more"}),
            "array 'a' has 16 bytes of values, expected 12",
        ),
        (archive({"a.npy": b"\x93NUMPY\x02\x00"}), "array 'a' has an unknown format"),
    ],
)
def test_an_archive_of_another_network_is_rejected(content, message):
    with pytest.raises(RunError, match=rf"runs/iris/weights\.npz: {message}"):
        read(content, {"a": (3,)})


def test_an_array_in_fortran_order_is_rejected():
    content = saved(a=np.asfortranarray(KERNEL))
    with pytest.raises(RunError, match="'a' is float32 in Fortran order, expected float32"):
        read(content, {"a": (2, 3)})


def test_a_repeated_array_is_rejected():
    with pytest.warns(UserWarning, match="Duplicate name"):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as target:
            target.writestr("a.npy", npy(BIAS))
            target.writestr("a.npy", npy(BIAS))
    with pytest.raises(RunError, match="contains a name twice"):
        read(stream.getvalue(), {"a": (3,)})


class Trap:
    """Pickled, it is an order to call `sprung` on loading."""

    def __reduce__(self):
        return sprung, ()


calls = []


def sprung():
    calls.append("called")


def test_a_pickle_is_rejected_without_being_executed():
    trap = np.array([Trap()], object)
    with pytest.raises(RunError, match="array 'a' is object, expected float32"):
        read(archive({"a.npy": npy(trap, allow_pickle=True)}), {"a": (1,)})
    with pytest.raises(RunError, match="is not an archive of arrays"):
        read(archive({"a.npy": pickle.dumps(Trap())}), {"a": (1,)})
    assert calls == []


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,)}",
        "__import__('os').abort()",
        "(" * 5000,
        "",
    ],
)
def test_a_false_header_is_rejected(header):
    with pytest.raises(RunError, match=r"runs/iris/weights\.npz: "):
        read(archive({"a.npy": npy_with_header(header)}), {"a": (3,)})


def test_a_false_size_takes_no_memory():
    content = bytearray(archive({"a.npy": npy(BIAS)}))
    directory = content.index(b"PK\x01\x02")
    for field in (directory + 20, directory + 24):  # compressed and uncompressed size
        content[field : field + 4] = (128 + 4 * 10**9 // 4).to_bytes(4, "little")
    with pytest.raises(RunError, match=r"runs/iris/weights\.npz: "):
        read(bytes(content), {"a": (10**9 // 4,)})


def test_values_with_a_flipped_bit_are_rejected():
    content = bytearray(archive({"a.npy": npy(BIAS)}))
    content[content.index(BIAS.tobytes())] ^= 1
    with pytest.raises(RunError, match="is not an archive of arrays: Bad CRC-32"):
        read(bytes(content), {"a": (3,)})


@pytest.mark.parametrize("name", ["a", "a" * 1000, "長" * 1000], ids=["short", "long", "not Latin"])
def test_no_archive_is_larger_than_the_limit(name, tmp_path):
    write_arrays(tmp_path / "a.npz", {name: BIAS})
    kinds = weight_specs({name: BIAS.shape})
    assert (
        max_archive_bytes(kinds) - 2048
        < (tmp_path / "a.npz").stat().st_size
        <= max_archive_bytes(kinds)
    )
