"""Checks every reader shares: what a label and a feature may be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import DataError


def check_label_values(labels: NDArray[np.int64], where: str, classes: int) -> None:
    """Refuse a label outside 0..classes-1, naming the first one and its index (from 0)."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(f"{where}: label {labels[at]} at index {at}; labels run from 0 to {classes - 1}")


def class_count(labels: NDArray[np.int64], where: str) -> int:
    """Count the classes k of labels that use every one of 0..k-1; a gap is a typing error or a wrong column.

    Raises
    ------
    DataError
        A negative label, a class below the highest that never occurs, or a single class.
    """
    found: NDArray[np.int64] = np.unique(labels)
    if found[0] < 0:
        at = int((labels < 0).argmax())
        raise DataError(f"{where}: label {labels[at]} at index {at}; labels start at 0")
    gaps = np.flatnonzero(found != np.arange(len(found)))
    if len(gaps):
        raise DataError(
            f"{where}: label {found[-1]} occurs but {gaps[0]} does not; labels must be 0..k-1, each in use"
        )
    if len(found) < 2:
        raise DataError(f"{where}: every label is 0; there is nothing to tell apart")
    return len(found)


def integer_labels(array: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Labels [n] as int64; whole floating numbers are accepted, as tables often hold them.

    Raises
    ------
    DataError
        Not one-dimensional, empty, not numbers, not whole, or beyond 2**53.
    """
    if array.ndim != 1 or array.size == 0:
        raise DataError(f"{where}: labels must be a non-empty [n], not {list(array.shape)}")
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: labels of type {array.dtype}; they must be integers")
    values = array.astype(np.float64)
    wrong = ~((values == np.floor(values)) & (np.abs(values) < 2.0**53))
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(f"{where}: label {array[at]} at index {at} is not an integer")
    return array.astype(np.int64)


def features(array: NDArray[Any], where: str) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Check samples: uint8 (image bytes) or float32, [n, inputs] or images [n, channels, height, width].

    Three dimensions are images of one channel.

    Raises
    ------
    DataError
        Not numbers, another number of dimensions, empty, NaN or infinite (as float32 too), or floating images
        outside 0..1.
    """
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: values of type {array.dtype}; they must be real numbers")
    if array.ndim not in (2, 3, 4) or array.size == 0:
        raise DataError(
            f"{where}: shape {list(array.shape)}; it must be a non-empty [n, inputs], [n, height, width] or "
            "[n, channels, height, width]"
        )
    shaped = array[:, None] if array.ndim == 3 else array
    if shaped.dtype == np.uint8:
        return shaped
    with np.errstate(over="ignore"):
        values = shaped.astype(np.float32)
    wrong = ~np.isfinite(values)
    what = "NaN, infinite or beyond single precision"
    if not wrong.any() and values.ndim == 4:
        wrong = (values < 0) | (values > 1)
        what = "outside 0..1; give images as uint8, scale them, or flatten them to [n, inputs]"
    if wrong.any():
        at = [int(i) for i in np.unravel_index(int(wrong.argmax()), array.shape)]
        raise DataError(f"{where}: value {array[tuple(at)]} at index {at} is {what}")
    return values
