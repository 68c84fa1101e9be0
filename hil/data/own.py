"""Data of the user's own, as tables (csv) or arrays (npz); an error names the file and the line or key."""

import csv
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hil.data.checks import check_label_values, class_count, features, integer_labels
from hil.data.dataset import Pixels, Raw
from hil.errors import DataError

_LABEL: Final = "label"
_DEFAULT_FRACTION: Final = 0.2
_SPLIT_KEYS: Final = ("train_x", "train_y", "test_x", "test_y")
_WHOLE_KEYS: Final = ("x", "y")

Samples = tuple[Pixels, NDArray[np.int64]]


@dataclass(frozen=True)
class Split:
    """How samples that come in one piece are divided: a share for testing (None: 0.2), drawn by ``rng``."""

    fraction: float | None
    rng: np.random.Generator

    def divide(self, whole: Samples, where: str, source: str) -> Raw:
        """Draw the test samples at random; both parts keep the order of the file."""
        x, y = whole
        classes = class_count(y, where)
        fraction = _DEFAULT_FRACTION if self.fraction is None else self.fraction
        held_out = round(fraction * len(y))
        if not 0 < held_out < len(y):
            raise DataError(
                f"{where}: a test fraction of {fraction:g} of {len(y)} samples leaves one part empty"
            )
        test = np.zeros(len(y), np.bool_)
        test[self.rng.permutation(len(y))[:held_out]] = True
        return Raw(
            x[~test], y[~test], x[test], y[test], classes, f"{source}, {held_out} split off for testing"
        )

    def keep(self, train: Samples, test: Samples, where: tuple[str, str], source: str) -> Raw:
        """Take a split the data bring along, after checking that the two parts agree."""
        if self.fraction is not None:
            raise DataError(
                f"{where[1]}: has its own test samples: test_fraction = {self.fraction:g} does not apply"
            )
        if train[0].shape[1:] != test[0].shape[1:] or train[0].dtype != test[0].dtype:
            raise DataError(
                f"{where[1]}: samples are {test[0].dtype} {list(test[0].shape[1:])}, "
                f"but those of {where[0]} are {train[0].dtype} {list(train[0].shape[1:])}"
            )
        classes = class_count(train[1], where[0])
        check_label_values(test[1], where[1], classes)
        return Raw(*train, *test, classes, source)


def read_npz(path: Path, split: Split) -> Raw:
    """Read arrays train_x, train_y, test_x, test_y, or x and y, from a ``.npz`` file.

    x is [n, inputs] of any finite numbers, or images [n, height, width] or [n, channels, height, width] in
    0..1; uint8 is always taken as image bytes and divided by 255. y is [n], integers 0..k-1.

    Raises
    ------
    DataError
        Not such a file, corrupt, pickled objects, other keys, or arrays that are not the above.
    """
    arrays = _npz_arrays(path)
    if set(arrays) == set(_SPLIT_KEYS):
        where = (f"{path}: train_x, train_y", f"{path}: test_x, test_y")
        train, test = (_samples(path, arrays, f"{part}_x", f"{part}_y") for part in ("train", "test"))
        return split.keep(train, test, where, f"arrays in {path}")
    if set(arrays) == set(_WHOLE_KEYS):
        return split.divide(_samples(path, arrays, *_WHOLE_KEYS), f"{path}: y", f"arrays in {path}")
    raise DataError(
        f"{path}: holds {', '.join(sorted(arrays)) or 'no arrays'}; "
        f"it must hold {', '.join(_SPLIT_KEYS)}, or {' and '.join(_WHOLE_KEYS)}"
    )


def _npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise DataError(f"{path}: not an .npz file, or truncated")
            with np.load(file, allow_pickle=False) as archive:
                arrays: dict[str, Any] = {key: archive[key] for key in archive.files}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    # A damaged archive fails anywhere in zipfile, zlib or numpy's header parser, in a dozen types.
    except Exception as error:
        raise DataError(f"{path}: corrupt, or holds pickled objects ({error})") from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy hands out any other member of the zip as bytes
            raise DataError(f"{path}: {key} is not an array")
    return arrays


def _samples(path: Path, arrays: dict[str, NDArray[Any]], x_key: str, y_key: str) -> Samples:
    x = features(arrays[x_key], f"{path}: {x_key}")
    y = integer_labels(arrays[y_key], f"{path}: {y_key}")
    if len(x) != len(y):
        raise DataError(f"{path}: {x_key} has {len(x)} samples, but {y_key} has {len(y)} labels")
    return x, y


def read_csv(path: Path, split: Split) -> Raw:
    """Read a comma-separated table, or a folder of train.csv and test.csv, in UTF-8.

    The first line is a header if it has a column named label, or no number at all. The label is the column of
    that name, else the last. All other columns are features and taken as they are.

    Raises
    ------
    DataError
        Unreadable, empty, ragged, not a number, NaN or infinite, a label that is not an integer >= 0 (the
        message names file, line and column); labels with gaps; two tables that differ in their columns.
    """
    if not path.is_dir():
        table = _read_table(path)
        return split.divide((table.x, table.y), str(path), f"table {path}")
    train, test = _read_table(path / "train.csv"), _read_table(path / "test.csv")
    if train.columns != test.columns:
        raise DataError(
            f"{path / 'test.csv'}: its columns {_shown(test.columns)} are not those of train.csv, "
            f"{_shown(train.columns)}"
        )
    where = (str(path / "train.csv"), str(path / "test.csv"))
    return split.keep((train.x, train.y), (test.x, test.y), where, f"tables train.csv and test.csv in {path}")


@dataclass(frozen=True, eq=False)
class _Table:
    columns: list[str]
    x: NDArray[np.float32]
    y: NDArray[np.int64]


def _read_table(path: Path) -> _Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            return _parse_table(path, ((reader.line_num, row) for row in reader if row))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a comma-separated table in UTF-8 ({error})") from error


def _parse_table(path: Path, rows: Iterator[tuple[int, list[str]]]) -> _Table:
    head = next(rows, None)
    if head is None:
        raise DataError(f"{path}: empty")
    line, first = head
    names = [name.strip() for name in first]
    is_header = _LABEL in names or not any(map(_is_number, names))
    columns = names if is_header else [f"column {i}" for i in range(1, len(first) + 1)]
    if len(columns) < 2 or columns.count(_LABEL) > 1:
        raise DataError(
            f"{path}, line {line}: {_shown(columns)}: needs one label column and a feature at least"
        )
    label_at = columns.index(_LABEL) if _LABEL in columns else len(columns) - 1
    x: list[NDArray[np.float32]] = []
    y: list[int] = []
    for line, row in rows if is_header else chain([head], rows):
        if len(row) != len(columns):
            raise DataError(f"{path}, line {line}: {len(row)} fields where the first line has {len(columns)}")
        values = _numbers(row, columns, f"{path}, line {line}")
        label = values[label_at]
        if label < 0 or label != np.floor(label) or label >= 2**53:
            raise DataError(
                f"{path}, line {line}: {row[label_at]!r} in {columns[label_at]!r} is not a label 0, 1, 2.."
            )
        y.append(int(label))
        x.append(np.delete(values, label_at).astype(np.float32))
    if not y:
        raise DataError(f"{path}: a header, but no samples")
    return _Table(columns, np.stack(x), np.array(y, np.int64))


def _numbers(row: Sequence[str], columns: Sequence[str], where: str) -> NDArray[np.float64]:
    """Fields as doubles that are finite in single precision too."""
    try:
        values = np.fromiter(map(float, row), np.float64, len(row))
    except ValueError as error:
        at = next(i for i, text in enumerate(row) if not _is_number(text))
        raise DataError(f"{where}: {row[at]!r} in {columns[at]!r} is not a number") from error
    wrong = ~(np.abs(values) <= np.finfo(np.float32).max)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"{where}: {row[at]!r} in {columns[at]!r} is NaN, infinite or beyond single precision"
        )
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(columns: Sequence[str]) -> str:
    """Name at most a handful of columns: tables of images have hundreds."""
    return (
        ", ".join(columns) if len(columns) <= 6 else f"{', '.join(columns[:5])}, ... ({len(columns)} columns)"
    )
