"""The idx reader: what is written comes back, and no damage gets through or escapes as another exception."""

import gzip
import math
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from hil.data import DataSpec, load_dataset
from hil.data.idx import FILES, parse_idx, read_bytes
from hil.errors import DataError

Bytes = NDArray[np.uint8]


def encode(array: Bytes) -> bytes:
    """Write the idx format from its published description, apart from the reader under test."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_folder(folder: Path, packed: bool = False, replaced: Mapping[str, Bytes] | None = None) -> Path:
    """Write a valid 3-class folder of 4x5 images, but for the arrays replaced (train_x, ...)."""
    rng = np.random.default_rng(1)
    arrays = {
        "train_x": rng.integers(0, 256, (9, 4, 5), dtype=np.uint8),
        "train_y": np.arange(9, dtype=np.uint8) % 3,
        "test_x": rng.integers(0, 256, (4, 4, 5), dtype=np.uint8),
        "test_y": np.arange(4, dtype=np.uint8) % 3,
        **(replaced or {}),
    }
    for name, array in zip(FILES, arrays.values(), strict=True):
        content = encode(array)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))
labels = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=1, max_side=40))


@given(st.one_of(images, labels))
def test_what_is_written_as_idx_comes_back(array: Bytes) -> None:
    np.testing.assert_array_equal(parse_idx(encode(array), array.ndim, "f"), array)


@given(st.one_of(images, labels), st.data())
def test_a_file_cut_anywhere_is_a_data_error(array: Bytes, data: st.DataObject) -> None:
    content = encode(array)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(DataError, match=r"^f: "):
        parse_idx(content[:cut], array.ndim, "f")


@st.composite
def plausible(draw: st.DrawFn) -> bytes:
    """Bytes that begin like a small idx file and go on anyhow."""
    counts = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    header = bytes([0, 0, 8, draw(st.integers(0, 4))]) + struct.pack(f">{len(counts)}I", *counts)
    return header + draw(st.binary(max_size=70))


@given(st.one_of(st.binary(), plausible()), st.sampled_from([1, 3]))
def test_arbitrary_bytes_are_what_they_parse_to_or_a_data_error(content: bytes, ndim: int) -> None:
    try:
        array = parse_idx(content, ndim, "f")
    except DataError:
        return
    assert encode(array) == content


@given(st.one_of(images, labels), st.data())
def test_a_damaged_header_never_changes_the_shape_silently(array: Bytes, data: st.DataObject) -> None:
    content = bytearray(encode(array))
    at = data.draw(st.integers(0, 3 + 4 * array.ndim))
    content[at] ^= data.draw(st.integers(1, 255))
    try:
        found = parse_idx(bytes(content), array.ndim, "f")
    except DataError:
        return
    assert array.size == 0 or math.prod(found.shape) == array.size


@given(st.data())
def test_gzip_cut_anywhere_is_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    packed = gzip.compress(encode(np.arange(200, dtype=np.uint8)), mtime=0)
    path = tmp_path_factory.mktemp("cut") / "labels.gz"
    path.write_bytes(packed[: data.draw(st.integers(0, len(packed) - 1))])
    with pytest.raises(DataError, match=r"labels\.gz: "):
        parse_idx(read_bytes(path), 1, str(path))


@given(st.data())
def test_gzip_with_a_flipped_byte_gives_the_content_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = encode(np.arange(200, dtype=np.uint8))
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("flip") / "labels.gz"
    path.write_bytes(packed)
    try:
        array = parse_idx(read_bytes(path), 1, str(path))
    except DataError:
        return
    assert encode(array) == content  # a flip in gzip's time stamp or system byte harms nothing


def test_bytes_after_the_last_value_are_refused() -> None:
    with pytest.raises(DataError, match="too long"):
        parse_idx(encode(np.zeros(3, np.uint8)) + b"\0", 1, "f")


def test_a_header_that_claims_more_than_memory_is_refused_without_allocating() -> None:
    with pytest.raises(DataError, match="truncated"):
        parse_idx(bytes([0, 0, 8, 3]) + b"\xff" * 12, 3, "f")


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_loads_plain_and_packed_alike(tmp_path: Path, packed: bool) -> None:
    data = load_dataset(DataSpec(name="idx", path=write_folder(tmp_path, packed)))
    assert data.train_x.shape == (9, 20)
    assert data.image_shape == (1, 4, 5)
    assert data.classes == 3
    raw = parse_idx(read_bytes(next(tmp_path.glob("train-images*"))), 3, "f")
    np.testing.assert_array_equal(np.rint(data.train_x * 255), raw.reshape(9, 20))
    assert data.train_x.max() <= 1


def test_the_hash_is_of_the_content_and_not_of_how_it_is_packed(tmp_path: Path) -> None:
    hashes: list[str] = []
    for name, packed in (("plain", False), ("packed", True)):
        (tmp_path / name).mkdir()
        hashes.append(load_dataset(DataSpec(name="idx", path=write_folder(tmp_path / name, packed))).sha256)
    assert hashes[0] == hashes[1]


BROKEN: dict[str, tuple[dict[str, Bytes], str]] = {
    "images where labels belong": (
        {"train_y": np.zeros((9, 4, 5), np.uint8)},
        r"train-labels.*labels .* expected, but it holds images",
    ),
    "labels where images belong": (
        {"test_x": np.zeros(4, np.uint8)},
        r"t10k-images.*images .* expected, but it holds labels",
    ),
    "fewer labels than images": (
        {"train_y": np.arange(8, dtype=np.uint8) % 3},
        r"train-images.*9 images, but .*train-labels.* has 8 labels",
    ),
    "a test label that training lacks": (
        {"test_y": np.array([0, 1, 11, 2], np.uint8)},
        r"t10k-labels.*label 11 at index 2; labels run from 0 to 2",
    ),
    "a gap in the training labels": (
        {"train_y": np.array([0, 2, 0, 2, 0, 2, 0, 2, 0], np.uint8)},
        r"train-labels.*label 2 occurs but 1 does not",
    ),
    "a single class": ({"train_y": np.zeros(9, np.uint8)}, r"train-labels.*every label is 0"),
    "test images of another size": (
        {"test_x": np.zeros((4, 5, 4), np.uint8)},
        r"t10k-images.*\(5, 4\).*train-images.*\(4, 5\)",
    ),
    "no test images": (
        {"test_x": np.zeros((0, 4, 5), np.uint8), "test_y": np.zeros(0, np.uint8)},
        r"t10k-images.*empty",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_folder_is_one_error_that_names_the_file(tmp_path: Path, case: str) -> None:
    replaced, message = BROKEN[case]
    with pytest.raises(DataError, match=message):
        load_dataset(DataSpec(name="idx", path=write_folder(tmp_path, replaced=replaced)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write_folder(tmp_path) / FILES[3]).unlink()
    with pytest.raises(DataError, match=f"{FILES[3]} is missing"):
        load_dataset(DataSpec(name="idx", path=tmp_path))


def test_floating_idx_files_are_refused_by_their_type() -> None:
    with pytest.raises(DataError, match="idx type 0x0d"):
        parse_idx(bytes([0, 0, 0x0D, 1]) + struct.pack(">If", 1, 0.5), 1, "f")
