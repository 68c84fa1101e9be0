"""Devices as they were measured, each with figures of its own: the maps that `device.maps` of a bench file
names, and what `hil twin` writes.

An .npz without pickle, and of each array NAME (float, siemens, [rows, cols] where nothing else is said):

- exponential devices: ``NAME.g_min_s``, ``NAME.g_max_s``; ``NAME.step_up_s``, ``NAME.step_down_s``, the steps
  in the middle of the range, both 0 or more; ``NAME.nl_up``, ``NAME.nl_down``, nonlinearity labels;
- or tables: ``NAME.kind`` (whole numbers [rows, cols]), ``NAME.table_min_s``, ``NAME.table_max_s`` [kinds],
  ``NAME.table_up_s``, ``NAME.table_down_s`` [kinds, quantiles, points], as `drivers.sim.state.TableDevices`;
- ``NAME.start_s``: what devices hold at the start; ``NAME.stuck_s``: where devices never move from, NaN where
  they work; ``NAME.nu``, if given: drift exponents;
- the data sheet: ``NAME.sheet_s`` [4]: g_min, g_max, step up, step down; ``NAME.sheet_curve_s`` [3, k]:
  conductance, and the change by a pulse up and by one down there.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.sim.curve import NL_LIMIT, shapes_of_labels
from drivers.sim.models import pulse
from drivers.sim.settings import MeasuredDevice, ReadSettings
from drivers.sim.state import Devices, TableDevices
from hil.bench import DeviceSheet, StepCurve
from hil.errors import ConfigError

Floats: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, int]

_EXPONENTIAL = ("g_min_s", "g_max_s", "step_up_s", "step_down_s", "nl_up", "nl_down")
_TABLES = ("kind", "table_min_s", "table_max_s", "table_up_s", "table_down_s")
_ALWAYS = ("start_s", "stuck_s", "sheet_s", "sheet_curve_s")
_MOST_KINDS = np.iinfo(np.int16).max
_DAMAGE = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError)


def read_maps(path: Path, device: MeasuredDevice) -> dict[str, Measured]:
    """The measured arrays of a file, by name.

    Raises
    ------
    ConfigError
        It is not there, damaged, not the file of the checksum, or a map is missing, of a wrong shape or holds
        what no device can be; begins with the key and names file and map.
    """
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"device.maps: {path}: cannot be read: {error.strerror}") from error
    found = hashlib.sha256(blob).hexdigest()
    if device.sha256 not in (None, found):
        raise ConfigError(
            f"device.sha256: {path}: its checksum is {found}; it is damaged, or not the file that was meant"
        )
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            maps: dict[str, NDArray[Any]] = {name: file[name] for name in file.files}
    except _DAMAGE as error:
        raise ConfigError(f"device.maps: {path}: not a file of maps (.npz), or damaged") from error
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    for key, values in maps.items():
        name, _, what = key.rpartition(".")
        arrays.setdefault(name, {})[what] = values
    if not arrays:
        raise ConfigError(f"device.maps: {path}: it holds no maps")
    return {name: Measured(f"device.maps: {path}: {name}", device, own) for name, own in arrays.items()}


class _State(NamedTuple):
    g: NDArray[np.float32]
    lo: NDArray[np.float32]
    hi: NDArray[np.float32]
    faulty: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The maps of one array, held against what devices can be; ``where`` begins its messages."""

    where: str
    device: MeasuredDevice
    maps: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        wanted = (*(_TABLES if "kind" in self.maps else _EXPONENTIAL), *_ALWAYS)
        missing = [name for name in wanted if name not in self.maps]
        if missing:
            raise ConfigError(f"{self.where}: {', '.join(missing)} missing")
        for name in wanted + (("nu",) if "nu" in self.maps else ()):
            values = self.maps[name]
            if values.dtype.kind not in "fiu":
                raise ConfigError(f"{self.where}.{name}: {values.dtype} given; numbers are needed")
            if name.startswith(("table", "sheet")):
                continue
            if values.ndim != 2 or values.shape != self.shape:
                raise ConfigError(f"{self.where}.{name}: shape {values.shape} given; {self.shape} is needed, "
                                  "that of start_s")  # fmt: skip
        finite = {name: np.isfinite(self.maps[name]).all() for name in wanted if name != "stuck_s"}
        for name in (name for name, good in finite.items() if not good):
            raise ConfigError(f"{self.where}.{name}: NaN or infinite in places; every device needs a number")
        if self.maps["sheet_s"].shape != (4,):
            found = self.maps["sheet_s"].shape
            raise ConfigError(f"{self.where}.sheet_s: shape {found} given; (4,) is needed")
        curve = self.maps["sheet_curve_s"]
        if curve.ndim != 2 or len(curve) != 3:
            raise ConfigError(f"{self.where}.sheet_curve_s: shape {curve.shape} given; [3, points] is needed")
        if "kind" in self.maps and (self.device.c2c.up > 0 or self.device.c2c.down > 0):
            raise ConfigError("device.c2c: these maps hold tables with the spread of steps; leave it out")

    @property
    def shape(self) -> Shape:
        """(rows, cols) that were measured."""
        rows, cols = (*self.maps["start_s"].shape, 0, 0)[:2]
        return rows, cols

    def sheet(self, reading: ReadSettings) -> DeviceSheet:
        """What protocols know of the typical device: the data sheet of the array that was measured."""
        low, high, up, down = (float(value) for value in self.maps["sheet_s"])
        try:
            curve = StepCurve(*np.asarray(self.maps["sheet_curve_s"], np.float64))
        except ConfigError as error:
            raise ConfigError(f"{self.where}.sheet_curve_s: {error}") from error
        pulses = pulse(self.device.potentiate), pulse(self.device.depress)
        return DeviceSheet(low, high, up, down, curve, *pulses, reading.voltage, reading.integration)

    def require(self, shape: Shape) -> None:
        """Refuse an array larger than was measured.

        Raises
        ------
        ConfigError
            More devices are asked for than there are maps of.
        """
        if shape[0] > self.shape[0] or shape[1] > self.shape[1]:
            asked, there = (f"{rows} x {cols}" for rows, cols in (shape, self.shape))
            raise ConfigError(f"{self.where}: {asked} asked for; {there} devices were measured")

    def deal(self, shape: Shape) -> tuple[Devices | TableDevices, NDArray[np.bool_]]:
        """The first ``shape`` (rows, cols) of the devices, and which of them are faulty.

        Raises
        ------
        ConfigError
            More devices are asked for than were measured, or a map holds what no device can be.
        """
        self.require(shape)
        try:
            return self._tables(shape) if "kind" in self.maps else self._exponential(shape)
        except ConfigError as error:
            raise ConfigError(f"{self.where}.{error}") from error

    def nu(self, shape: Shape) -> Floats | None:
        """Drift exponents [rows, cols] of the devices; None where they were not measured."""
        return self._part("nu", shape) if "nu" in self.maps else None

    def _part(self, name: str, shape: Shape) -> Floats:
        return self.maps[name][: shape[0], : shape[1]].astype(np.float64)

    def _state(self, lo: Floats, hi: Floats) -> _State:
        """Conductance and range at the start, float32; what is stuck has no range."""
        rows, cols = lo.shape
        stuck, start = self._part("stuck_s", (rows, cols)), self._part("start_s", (rows, cols))
        faulty = np.isfinite(stuck)
        if not np.all(lo < hi):
            row, col = np.argwhere(~(lo < hi))[0]
            raise ConfigError(
                f"g_min_s: {lo[row, col]:g} S of device [{row}, {col}] is not below its g_max_s"
            )
        if np.any(stuck[faulty] < 0) or np.any(lo < 0):
            raise ConfigError("g_min_s, stuck_s: a conductance below 0 S")
        g = np.where(faulty, stuck, np.clip(start, lo, hi))
        parts = (g, np.where(faulty, g, lo), np.where(faulty, g, hi))
        now, low, high = (np.ascontiguousarray(part, np.float32) for part in parts)
        return _State(now, low, high, faulty)

    def _exponential(self, shape: Shape) -> tuple[Devices, NDArray[np.bool_]]:
        low, high, up, down, nl_up, nl_down = (self._part(name, shape) for name in _EXPONENTIAL)
        state = self._state(low, high)
        span, middle = high - low, 0.5 * (low + high)
        if np.any(up < 0) or np.any(down < 0):
            raise ConfigError("step_up_s, step_down_s: a step below 0; both are sizes")
        # The change a - k g is m in the middle, and tanh(b/2) = k span / 2m for the shape b of the curve.
        up_k = 2 * up * np.tanh(0.5 * self._shapes("nl_up", nl_up)) / span
        down_k = 2 * down * np.tanh(-0.5 * self._shapes("nl_down", nl_down)) / span
        up_a, down_a = up + up_k * middle, -down + down_k * middle
        parts = (state.g, up_a, up_k, down_a, down_k, state.lo, state.hi)
        planes = [np.ascontiguousarray(part, np.float32) for part in parts]
        return Devices(*planes, c2c_up=self.device.c2c.up, c2c_down=self.device.c2c.down), state.faulty

    def _shapes(self, name: str, labels: Floats) -> Floats:
        if not np.all(np.abs(labels) <= NL_LIMIT):
            found = f"{labels.min():g} to {labels.max():g}"
            raise ConfigError(f"{name}: labels from {found} given; -{NL_LIMIT:g} to {NL_LIMIT:g} are allowed")
        return shapes_of_labels(labels)

    def _tables(self, shape: Shape) -> tuple[TableDevices, NDArray[np.bool_]]:
        kind = self.maps["kind"][: shape[0], : shape[1]]
        parts = [np.ascontiguousarray(self.maps[name], np.float32) for name in _TABLES[1:]]
        low, high, up, down = parts
        if low.ndim != 1 or kind.min(initial=0) < 0 or kind.max(initial=0) >= low.size:
            raise ConfigError(f"kind: {kind.min()} to {kind.max()} given; there are {low.size} tables")
        if low.size > _MOST_KINDS:
            raise ConfigError(f"table_min_s: {low.size:,} tables given; up to {_MOST_KINDS:,} are allowed")
        state = self._state(low.astype(np.float64)[kind], high.astype(np.float64)[kind])
        kinds = np.ascontiguousarray(kind, np.int16)
        return TableDevices(state.g, state.lo, state.hi, kinds, up, down, low, high), state.faulty
