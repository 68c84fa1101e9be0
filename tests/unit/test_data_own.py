"""A user's own tables and arrays: taken exactly, or refused with file, line, column or key."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.data import Dataset, DataSpec, load_dataset
from hil.errors import DataError


def load_csv(tmp_path: Path, text: str, **more: Any) -> Dataset:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return load_dataset(DataSpec(name="csv", path=path, **more))


def load_npz(tmp_path: Path, arrays: dict[str, Any], **more: Any) -> Dataset:
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays)
    return load_dataset(DataSpec(name="npz", path=path, **more))


def samples_of(data: Dataset) -> set[tuple[float, ...]]:
    """Every sample with its label, of both parts."""
    return {
        (*map(float, x), int(y))
        for part_x, part_y in ((data.train_x, data.train_y), (data.test_x, data.test_y))
        for x, y in zip(part_x, part_y, strict=True)
    }


ROWS = {(0.5, -1.0, 0), (1.5, 2.0, 1), (2.5, 4.0, 0), (3.5, 8.0, 1), (4.5, 16.0, 0)}
PLAIN = "0.5,-1,0\n1.5,2,1\n2.5,4,0\n3.5,8,1\n4.5,16,0\n"
TABLES = {
    "no header": PLAIN,
    "header, label last": "a,b,c\n" + PLAIN,
    "label by name": "label,a,b\n0,0.5,-1\n1,1.5,2\n0,2.5,4\n1,3.5,8\n0,4.5,16\n",
    "numbered columns beside label": "0,1,label\n" + PLAIN,
    "labels written as 1.0": PLAIN.replace(",1\n", ",1.0\n"),
    "byte order mark, CRLF and blank lines": "\ufeff" + PLAIN.replace("\n", "\r\n\r\n"),
    "quotes": PLAIN.replace("0.5", '"0.5"'),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_way_to_write_a_table_gives_the_same_samples(tmp_path: Path, kind: str) -> None:
    data = load_csv(tmp_path, TABLES[kind])
    assert samples_of(data) == ROWS
    assert (len(data.train_y), len(data.test_y)) == (4, 1)
    assert data.image_shape is None


BAD_TABLES = {
    "empty": ("", "empty"),
    "only a header": ("a,b,label\n", "no samples"),
    "one column": ("1\n0\n", "line 1"),
    "two label columns": ("label,label\n1,0\n", "line 1"),
    "a word": (PLAIN + "x1,2,1\n", r"line 6: 'x1' in 'column 1' is not a number"),
    "an empty field": ("a,b,label\n" + PLAIN + "1,,1\n", r"line 7: '' in 'b' is not a number"),
    "NaN": (PLAIN + "1,nan,1\n", r"line 6: 'nan' in 'column 2' is NaN"),
    "infinity": (PLAIN + "inf,1,1\n", r"line 6: 'inf' in 'column 1'"),
    "beyond single precision": (PLAIN + "1e39,1,1\n", r"line 6: '1e39' in 'column 1'"),
    "a NaN label": (PLAIN + "1,1,nan\n", r"line 6: 'nan' in 'column 3'"),
    "half a label": (PLAIN + "1,1,0.5\n", r"line 6: '0\.5' in 'column 3' is not a label"),
    "a negative label": (PLAIN + "1,1,-1\n", r"line 6: '-1' in 'column 3' is not a label"),
    "a missing field": (PLAIN + "1,1\n", r"line 6: 2 fields where the first line has 3"),
    "a typing error in the first line": ("0.5,x,0\n" + PLAIN, r"line 1: 'x' in 'column 2' is not a number"),
    "a gap in the labels": (PLAIN + "1,1,5\n", r"label 5 occurs but 2 does not"),
    "an open quote": (PLAIN + '"1,1,1\n', "not a comma-separated table"),
    "semicolons": (PLAIN.replace(",", ";"), "line 1"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_wrong_table_is_refused_with_file_and_line(tmp_path: Path, case: str) -> None:
    text, message = BAD_TABLES[case]
    with pytest.raises(DataError, match=rf"table\.csv.*{message}"):
        load_csv(tmp_path, text)


@given(content=st.one_of(st.binary(max_size=80), st.text("01.,;\n\"'ena-", max_size=60).map(str.encode)))
def test_arbitrary_bytes_as_a_table_load_or_are_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "table.csv"
    path.write_bytes(content)
    try:
        data = load_dataset(DataSpec(name="csv", path=path))
    except DataError:
        return
    assert np.isfinite(data.train_x).all()


def test_a_folder_of_two_tables_keeps_their_split_and_order(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,label\n1,0\n2,1\n3,0\n")
    (tmp_path / "test.csv").write_text("a,label\n9,1\n")
    data = load_dataset(DataSpec(name="csv", path=tmp_path))
    assert data.train_x[:, 0].tolist() == [1, 2, 3]
    assert data.test_x[:, 0].tolist() == [9]
    assert data.test_y.tolist() == [1]


def test_two_tables_with_other_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b,label\n1,1,0\n2,1,1\n")
    (tmp_path / "test.csv").write_text("b,a,label\n1,1,0\n")
    with pytest.raises(
        DataError, match=r"test\.csv: its columns b, a, label are not those of train\.csv, a, b"
    ):
        load_dataset(DataSpec(name="csv", path=tmp_path))


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("csv", "npz"):
        with pytest.raises(DataError, match=r"absent: cannot be read \(No such file"):
            load_dataset(DataSpec.model_validate({"name": name, "path": tmp_path / "absent"}))


X = np.arange(12, dtype=np.float64).reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])
SPLIT: dict[str, Any] = {"train_x": X, "train_y": Y, "test_x": X[:2], "test_y": Y[:2]}


def test_floating_features_are_taken_as_they_are(tmp_path: Path) -> None:
    data = load_npz(tmp_path, SPLIT)
    np.testing.assert_array_equal(data.train_x, X)
    np.testing.assert_array_equal(data.test_y, Y[:2])


def test_image_bytes_are_scaled_and_given_a_channel(tmp_path: Path) -> None:
    images = np.array([[[0, 51, 255], [1, 2, 3]]] * 4, np.uint8)
    data = load_npz(tmp_path, {"x": images, "y": np.array([0, 1, 0, 1])}, test_fraction=0.5)
    assert data.image_shape == (1, 2, 3)
    np.testing.assert_array_equal(
        data.train_x[0], np.array([0, 51, 255, 1, 2, 3], np.float32) / np.float32(255)
    )


def test_channels_come_before_rows_and_columns(tmp_path: Path) -> None:
    images = np.linspace(0, 1, 4 * 2 * 3 * 5).reshape(4, 2, 3, 5)
    data = load_npz(tmp_path, {"x": images, "y": np.array([0, 1, 0, 1])})
    assert data.image_shape == (2, 3, 5)
    assert samples_of(data) == {
        (*map(float, image.astype(np.float32).ravel()), i % 2) for i, image in enumerate(images)
    }


def test_a_split_loses_and_repeats_nothing_and_follows_its_seed(tmp_path: Path) -> None:
    arrays = {"x": np.arange(50.0)[:, None], "y": np.arange(50) % 2}
    first = load_npz(tmp_path, arrays, test_fraction=0.3)
    assert len(first.test_y) == 15
    together = np.concatenate([first.train_x, first.test_x])[:, 0]
    assert sorted(together.tolist()) == list(range(50))
    spec = DataSpec(name="npz", path=tmp_path / "arrays.npz", test_fraction=0.3)
    assert load_dataset(spec, seed=0).sha256 == first.sha256
    assert load_dataset(spec, seed=1).sha256 != first.sha256


BAD_ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "a key missing": ({"train_x": X, "train_y": Y}, "holds train_x, train_y; it must hold"),
    "a key too many": (SPLIT | {"extra": X}, "holds extra,"),
    "NaN": (SPLIT | {"test_x": np.array([[0, np.nan]] * 2)}, r"test_x: value nan at index \[0, 1\] is NaN"),
    "too large for float32": (SPLIT | {"train_x": X * 1e39}, r"train_x: value 1e\+39 at index \[0, 1\]"),
    "complex": (SPLIT | {"train_x": X * 1j}, "train_x: values of type complex128"),
    "words": (SPLIT | {"train_x": X.astype(str)}, "train_x: values of type <U"),
    "one dimension": (SPLIT | {"train_x": X[:, 0]}, r"train_x: shape \[6\]"),
    "no samples": (SPLIT | {"train_x": X[:0], "train_y": Y[:0]}, r"train_x: shape \[0, 2\]"),
    "no inputs": (SPLIT | {"train_x": X[:, :0]}, r"train_x: shape \[6, 0\]"),
    "another width": (SPLIT | {"test_x": X[:2, :1]}, r"test_x.*\[1\], but those of .*train_x.*\[2\]"),
    "bytes beside floats": (SPLIT | {"test_x": X[:2].astype(np.uint8)}, "test_x.*uint8.*float32"),
    "labels short": (SPLIT | {"train_y": Y[:5]}, "train_x has 6 samples, but train_y has 5 labels"),
    "half labels": (SPLIT | {"train_y": Y + 0.5}, "train_y: label 0.5 at index 0 is not an integer"),
    "huge labels": (
        SPLIT | {"train_y": np.full(6, 2**64 - 1, np.uint64)},
        "train_y: label 18446744073709551615",
    ),
    "one-hot labels": (SPLIT | {"train_y": np.eye(6)}, r"train_y: labels must be a non-empty \[n\]"),
    "negative labels": (SPLIT | {"train_y": Y - 1}, "train_y: label -1 at index 0"),
    "unseen test label": (SPLIT | {"test_y": np.array([0, 3])}, "test_y: label 3 at index 1; .* 0 to 2"),
    "unscaled image": (
        {"x": X.reshape(6, 1, 2), "y": Y},
        r"x: value 2.0 at index \[1, 0, 0\] is outside 0..1",
    ),
    "nothing left to train on": ({"x": X[:2], "y": Y[:2]}, "leaves one part empty"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_wrong_arrays_are_refused_with_file_and_key(tmp_path: Path, case: str) -> None:
    arrays, message = BAD_ARRAYS[case]
    with pytest.raises(DataError, match=rf"arrays\.npz.*{message}"):
        load_npz(tmp_path, arrays)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    objects = np.array([[{"a": 1}, None]], dtype=object)
    with pytest.raises(DataError, match="pickled"):
        load_npz(tmp_path, SPLIT | {"train_x": objects})
    (tmp_path / "bare.npz").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match=r"bare\.npz: not an \.npz file"):
        load_dataset(DataSpec(name="npz", path=tmp_path / "bare.npz"))


def test_a_zip_of_other_things_is_not_taken_for_arrays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        for key in SPLIT:
            archive.writestr(key, "not an array")
    with pytest.raises(DataError, match=r"other\.npz: train_x is not an array"):
        load_dataset(DataSpec(name="npz", path=tmp_path / "other.npz"))


def test_a_test_fraction_is_refused_where_the_data_have_a_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test_fraction = 0\.5 does not apply"):
        load_npz(tmp_path, SPLIT, test_fraction=0.5)


@given(data=st.data())
def test_a_damaged_archive_gives_the_same_samples_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **SPLIT)
    content = bytearray(packed.getvalue())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "arrays.npz"
    path.write_bytes(content)
    try:
        found = load_dataset(DataSpec(name="npz", path=path))
    except DataError:
        return
    np.testing.assert_array_equal(found.train_x, X)
    np.testing.assert_array_equal(found.train_y, Y)
