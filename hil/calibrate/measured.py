"""What single records say of an array, as a bench takes it: faults, data sheet, offsets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, DeviceSheet, StepCurve
from hil.calibrate.record import Record
from hil.corrected import Offsets
from hil.errors import ConfigError, StoreError
from hil.faults import Faults
from hil.schedule import Index, ReadAnswer

Floats = NDArray[np.float64]


def offsets_of(record: Record, info: ArrayInfo) -> Offsets:
    """Of a record of ``offset`` by line, of ``read-noise`` one for all. Lines that were not measured have the
    typical one.

    Sums are as measured with all lines at 0 V. Where an offset of the voltage is seen, that depends on what
    the devices conduct; then sums carry the part alone that does not.

    Raises
    ------
    StoreError
        It was not determined.
    """
    typical, estimates = _estimate(record, "offset"), record.result.estimates
    rows, cols = record.target.region.rows, record.target.region.cols
    devices = _by_line(record, "column_a", cols, np.full(info.cols, typical))
    volts, amplifier = estimates.get("voltage_offset"), estimates.get("amplifier")
    if volts is not None and amplifier is not None and not volts.low <= 0 <= volts.high:
        apart = amplifier.value if np.isfinite(amplifier.value) else typical
        return Offsets(devices, devices - (typical - apart), np.full(info.rows, apart))
    return Offsets(
        devices,
        _by_line(record, "zero_forward_a", cols, devices),
        _by_line(record, "zero_back_a", rows, np.full(info.rows, typical)),
    )


def faults_of(record: Record, info: ArrayInfo, offsets: Offsets | None) -> Faults:
    """Of a record of ``devices``: its maps ``fault`` and ``siemens`` in an array that works elsewhere.

    Raises
    ------
    StoreError
        It has no such maps of its region.
    """
    region, maps = record.target.region, record.result.maps
    kind, siemens = np.zeros(info.shape, np.uint8), np.full(info.shape, np.inf, np.float32)
    at = np.ix_(region.rows, region.cols)
    try:
        kind[at] = maps["fault"]
        found = np.asarray(maps["siemens"], np.float64)
        if offsets is not None:
            found = found - offsets.devices[region.cols] / _voltage_v(record)
        siemens[at] = np.where(np.isnan(found), np.inf, found)
        return Faults(kind, siemens)
    except (KeyError, ValueError, ConfigError) as error:
        raise StoreError(f"{_name(record)}: no maps fault and siemens of its devices: {error}") from error


def sheet_of(record: Record, info: ArrayInfo, offsets: Offsets | None) -> DeviceSheet:
    """Of a record of ``update-curve``: the array's data sheet with the measured range, steps and curve.

    The curve is the median change of a pulse against the place in the range, over devices and cycles. The
    nominal steps are the range over the measured number of levels, as on a data sheet, or where that was not
    determined the steps in the middle of the range.

    Raises
    ------
    StoreError
        Range or steps were not determined.
    """
    low, high = _estimate(record, "g_min"), _estimate(record, "g_max")
    if not low < high:
        raise StoreError(f"{_name(record)}: its range, {low:g} to {high:g} S, is none; calibrate again")
    span = high - low
    up, down = (_step(record, way, span) for way in ("up", "down"))
    if offsets is not None:
        low -= float(offsets.devices.mean()) / _voltage_v(record)
    places = np.linspace(0, 1, 21)
    curve = StepCurve(
        low + span * places,
        span * np.maximum(_changes(record, "up", places), 0),
        span * np.minimum(_changes(record, "down", places), 0),
    )
    sheet = info.device
    return replace(sheet, g_min_s=low, g_max_s=low + span, step_up_s=up, step_down_s=down, curve=curve)


def _by_line(record: Record, name: str, lines: Index, otherwise: Floats) -> Floats:
    """A map of lines where it is there and known."""
    found = otherwise.copy()
    if name in record.result.maps:
        values = record.result.maps[name]
        found[lines] = np.where(np.isfinite(values), values, otherwise[lines])
    return found


def _step(record: Record, way: str, span: float) -> float:
    levels = record.result.estimates.get(f"levels_{way}")
    if levels is not None and np.isfinite(levels.value) and levels.value > 0:
        return span / levels.value
    step = _estimate(record, f"step_{way}")
    if not step > 0:
        raise StoreError(f"{_name(record)}: its step_{way} is {step:g} S; calibrate again")
    return step


def _changes(record: Record, way: str, places: Floats) -> Floats:
    """Median change of one pulse at places of the range (0 to 1), in units of it; straight on beyond the
    first and last that were seen.
    """
    maps = record.result.maps
    try:
        median = maps[f"change_{way}"][:, int(np.argmin(np.abs(maps["quantiles"] - 0.5)))]
        seen = np.isfinite(median)
        x, y = maps["bins"][seen], median[seen]
        if x.size < 2:
            raise StoreError(
                f"{_name(record)}: its pulses {way} were seen in too few places; calibrate again"
            )
    except (KeyError, IndexError) as error:
        raise StoreError(f"{_name(record)}: no map change_{way} of its steps") from error
    found = np.interp(places, x, y)
    for beyond, a, b in ((places < x[0], 0, 1), (places > x[-1], -1, -2)):
        found[beyond] = y[a] + (y[b] - y[a]) / (x[b] - x[a]) * (places[beyond] - x[a])
    return found


def _estimate(record: Record, name: str) -> float:
    found = record.result.estimates.get(name)
    if found is None or not np.isfinite(found.value):
        raise StoreError(f"{_name(record)}: {name} was not determined; calibrate again")
    return found.value


def _voltage_v(record: Record) -> float:
    """The voltage that a record's conductances were read at."""
    steps = (step.answer for step in reversed(record.steps))
    nominal = record.target.info.device.read_voltage_v
    return next((answer.voltage_v for answer in steps if isinstance(answer, ReadAnswer)), nominal)


def _name(record: Record) -> str:
    return f"calibration {record.routine} of {record.array}, {record.created.isoformat(timespec='minutes')}"
