"""Single readings, and the converters between numbers and lines: DAC before, ADC after."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.sim.state import Devices, TableDevices
from hil.chance import bits, normal, words
from hil.jit import inline, kernel, lean
from hil.schedule import Index

Array = NDArray[np.float32]


def read(
    devices: Devices | TableDevices, rows: Index, cols: Index, col_start: int, voltage_v: float,
    sigma_rel: float, sigma_abs_a: float, key: int,
) -> Array:  # fmt: skip
    """Currents of single devices, float32 [r, c]: v g (1 + sigma_rel x1) + sigma_abs_a x2 with normal x1 and
    x2.

    ``rows``, ``cols``, ``col_start`` and ``key`` as in :func:`drivers.sim.kernels.multiply`.
    """
    return _read(
        devices.g, rows, cols, col_start, float(voltage_v), float(sigma_rel), float(sigma_abs_a), key
    )


def adc(amperes: Array, resolution_bits: int, range_a: float) -> NDArray[np.bool_]:
    """Convert amperes (float32, C-contiguous, any shape) in place; returns where they are only a bound.

    2^bits - 1 codes evenly from -range_a to +range_a, one of them 0; bits 0 leaves values as they are. What
    lies beyond the range (which may be inf at 0 bits) is put on its end and marked. NaN stays NaN, unmarked.
    """
    clipped = np.empty(amperes.shape, np.bool_)
    convert(amperes.reshape(-1), clipped.reshape(-1), resolution_bits, float(range_a))
    return clipped


def dac(volts: NDArray[Any], resolution_bits: int, range_v: float) -> Array:
    """Volts [n, lines] as a converter of ``resolution_bits`` over ±range_v puts them out: a float32 copy.

    Codes as in :func:`adc`; bits 0 leaves values as they are. Volts beyond the range are refused before this,
    by limits.
    """
    out = np.array(volts, dtype=np.float32, order="C")
    flat = out.reshape(-1)
    convert(flat, np.empty(flat.size, np.bool_), resolution_bits, float(range_v))
    return out


@inline
def _rounded(y: Any) -> Any:
    """Nearest whole number, halves away from 0, by truncation, which SIMD has."""
    return np.float32(np.int32(y + (np.float32(0.5) if y >= 0 else np.float32(-0.5))))


@lean
def convert(values: Array, clipped: NDArray[np.bool_], resolution_bits: int, full: float) -> None:
    """Convert values [m] in place as :func:`adc` says; ``full`` is the range."""
    limit = np.float32(full)
    for j in range(values.size):
        clipped[j] = abs(values[j]) > limit
    for j in range(values.size):
        x = values[j]
        y = min(max(x, -limit), limit)
        values[j] = y if x == x else x
    if resolution_bits == 0:
        return
    codes = np.float32((1 << (resolution_bits - 1)) - 1)
    per_unit = np.float32(codes / limit)
    step = np.float32(limit / codes)
    for j in range(values.size):
        x = values[j]
        y = _rounded(x * per_unit) * step
        values[j] = y if x == x else x


@kernel
def _read(
    g: Array,
    rows: Index,
    cols: Index,
    col_start: int,
    voltage_v: float,
    sigma_rel: float,
    sigma_abs: float,
    key: int,
) -> Array:
    out = np.empty((rows.size, cols.size), np.float32)
    _read_rows(g, rows, cols, col_start, voltage_v, sigma_rel, sigma_abs, key, out)
    return out


@lean
def _read_rows(
    g: Array, rows: Index, cols: Index, col_start: int, voltage_v: float, sigma_rel: float, sigma_abs: float,
    key: int, out: Array,
) -> None:  # fmt: skip
    low, high = words(key)
    v, rel, offset = np.float32(voltage_v), np.float32(sigma_rel), np.float32(sigma_abs)
    c = cols.size
    other = np.uint32(high ^ np.uint32(0x9E3779B9))
    for i in range(rows.size):
        o = out[i]
        if col_start >= 0:
            row = g[rows[i], col_start : col_start + c]
            for j in range(c):
                o[j] = v * row[j]
        else:
            for j in range(c):
                o[j] = v * g[rows[i], cols[j]]
        first = np.uint32(i * c)
        if rel > 0:
            for j in range(c):
                o[j] *= np.float32(1) + rel * normal(bits(low, high, np.uint32(first + np.uint32(j))))
        if offset > 0:
            for j in range(c):
                o[j] += offset * normal(bits(low, other, np.uint32(first + np.uint32(j))))
