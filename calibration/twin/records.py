"""From calibration records of an array to its twin: the entry point ``records`` of ``hil.twins``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.arrival import told_before
from calibration.twin.bench import describe, original
from calibration.twin.chosen import Chosen, choose
from calibration.twin.exponential import fit_exponential, maps_of
from calibration.twin.goodness import Goodness, Staircases, goodness
from calibration.twin.jumps import MANY, abrupt, fit_jumps
from calibration.twin.reading import Reading, reading
from calibration.twin.table import MOST_KINDS, fit_table
from calibration.twin.walk import Exponential
from calibration.update_curve import UpdateCurve, read_curves
from hil.calibrate.choose import recorded_routine
from hil.calibrate.record import Record
from hil.calibrate.twin import Asked, Twin
from hil.errors import StoreError
from hil.schedule import ReadAnswer
from hil.units import rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_GOOD = 0.01
"""Distance of mean staircases, in units of the range, up to which exponential devices are good enough."""
_BETTER = 0.7
"""Tables are taken if they leave less than this part of what exponential devices leave."""
_KINDS = ("", "stuck", "open", "shorted")
_OF_CURVE = (
    *("g_min", "g_max", "nl_up", "nl_down", "levels_up", "levels_down", "step_up", "step_down"),
    *("c2c_up", "c2c_down", "d2d_g_min", "d2d_g_max", "d2d_step_up", "d2d_step_down"),
)
_OF_OTHERS = {
    "devices": ("yield", "stuck", "open", "shorted"),
    "drift": ("nu", "nu_spread"),
    "disturb": ("row_up", "row_down", "column_up", "column_down"),
}


def fit(records: Sequence[tuple[Path, Record]], asked: Asked, now: datetime) -> Twin:
    """Fit the simulated bench to an array's records (see `hil.calibrate.twin.FitsRecords`)."""
    chosen = choose(records, asked, now)
    record = chosen.curve
    moves = np.asarray(record.result.maps["moves"], np.bool_)
    if not moves.any():
        raise StoreError("no device of the update curve moved through a range: there is nothing to fit")
    read, estimates, findings = reading(chosen)
    measured = _measured(record)
    fitted = _fitted(record, moves, measured, read, asked.model)
    faults = _faults(chosen, moves, measured, read)
    maps = dict(fitted.maps)
    for name in ("g_min_s", "g_max_s", "table_min_s", "table_max_s"):
        if name in maps:
            maps[name] = np.maximum(maps[name] - read.offset_s, 0.0)
    start = np.maximum(chosen.last_read() - read.offset_s, 0.0)
    maps["start_s"] = np.where(np.isfinite(start), start, record.target.info.device.g_min_s)
    maps["stuck_s"] = faults.stuck_s
    estimates = {name: record.result.estimates[name] for name in _OF_CURVE} | estimates
    for routine, names in _OF_OTHERS.items():
        if routine in chosen.by_routine:
            estimates |= {name: chosen.by_routine[routine].result.estimates[name] for name in names}
    bench, told = describe(chosen, read, fitted.c2c)
    array = record.array
    named = {f"{array}.{name}": values for name, values in (maps | _sheet(record)).items()}
    rows, cols = record.target.shape
    source = f"array {array} of {record.bench}, {rows} x {cols}: " + ", ".join(
        f"{name} of {one.created.isoformat(timespec='minutes')}" for name, one in chosen.by_routine.items()
    )
    late = [f"{record.routine}: {each}" for each in told_before(record.result.findings)]
    findings = [*fitted.findings, *late, *findings, *faults.findings, *told, *_lines(record)]
    findings += _left_out(chosen)
    good = fitted.good.estimates(fitted.name)
    return Twin(source, bench, named, estimates, good, findings, fitted.draw, chosen.paths, original(chosen))


def _measured(record: Record) -> Staircases:
    routine = recorded_routine(record)
    if not isinstance(routine, UpdateCurve):
        raise StoreError(f"{record.routine} is measured by {type(routine).__name__}, not by ours")
    curves = read_curves(record.steps, routine.ways(record.target), routine.cycles, routine.turning)
    return Staircases(curves.up, curves.down, curves.strides)


class _Fitted(NamedTuple):
    name: str
    maps: Mapping[str, NDArray[Any]]
    c2c: tuple[float, float]
    good: Goodness
    ends: tuple[Floats, Floats]  # of the ranges of devices that moved [devices]
    measured: Staircases
    findings: list[str]

    @property
    def misfit(self) -> float:
        return self.good.estimates(self.name)["misfit"].value

    def draw(self) -> Figure:
        from calibration.figures.twin import draw_records

        return draw_records(self.measured, self.good, *self.ends)


def _fitted(
    record: Record, moves: NDArray[np.bool_], measured: Staircases, read: Reading, wanted: str
) -> _Fitted:
    """The exponential model; tables where they are asked for, or where that one does not fit and they do."""
    which, reader = moves.ravel(), read.of_conductance()
    moved = Staircases(measured.up[..., which], measured.down[..., which], measured.strides)
    exponential = None if wanted == "table" else fit_exponential(record, len(measured.up))
    findings: list[str] = []
    found: _Fitted | None = None
    if exponential is not None:
        moving = _some(exponential, which)
        good, maps = goodness(moving, moved, reader), maps_of(exponential, moves.shape)
        ends = moving.low, moving.high
        found = _Fitted("exponential twin", maps, exponential.c2c, good, ends, moved, findings)
        if wanted == "exponential" or found.misfit <= _GOOD:
            return found
        findings.append(f"exponential devices leave {rounded(100 * found.misfit)} % of the range (rms)")
    elif wanted == "exponential":
        raise StoreError("the staircases tell no steps of exponential devices; --model table takes any")
    if int(which.sum()) > MOST_KINDS:
        too_many = (
            f"tables are for up to {MOST_KINDS:,} devices, {which.sum():,} moved; calibrate fewer lines"
        )
        if found is None:
            raise StoreError(too_many)
        findings.append(f"{too_many} for them")
        return found
    jumping = abrupt(moved, reader)
    table = fit_jumps(moved, reader) if jumping else fit_table(moved, reader)
    good, ends = goodness(table, moved, reader), (table.low, table.high)
    tables = _Fitted("table twin", table.maps(moves), (0.0, 0.0), good, ends, moved, findings)
    findings.append(f"tables leave {rounded(100 * tables.misfit)} %")
    if jumping and (cycles := len(moved.up)) < MANY:
        findings.append(
            f"abrupt devices, each known from its own {cycles} cycles alone: {MANY} tell them better "
            f"(--routine update-curve --set cycles={MANY})"
        )
    return found if found is not None and tables.misfit > _BETTER * found.misfit else tables


def _some(model: Exponential, which: NDArray[np.bool_]) -> Exponential:
    parts = {each.name: getattr(model, each.name) for each in fields(model)}
    return Exponential(**{name: part if name == "c2c" else part[which] for name, part in parts.items()})


class _Faults(NamedTuple):
    stuck_s: NDArray[np.float64]  # NaN where a device works
    findings: list[str]


def _faults(chosen: Chosen, moves: NDArray[np.bool_], measured: Staircases, read: Reading) -> _Faults:
    """What does not move stands where it was read; open is 0 S, a clipped one as much as could be read."""
    with np.errstate(invalid="ignore"):
        level = measured.readings().mean(axis=0).reshape(moves.shape)
    kinds = chosen.on_the_curve("devices", "fault")
    found = chosen.on_the_curve("devices", "siemens")
    findings: list[str] = []
    if kinds is None or found is None:
        kinds, findings = np.zeros(moves.shape), ["no record of devices: what did not move counts as stuck"]
    else:
        level = np.where(np.isfinite(found) & (kinds > 0), found, level)
    level = np.where(np.isfinite(level), level, _largest(chosen.curve).reshape(moves.shape))
    level = np.where(kinds == 2, 0.0, np.maximum(level - read.offset_s, 0.0))
    still = ~moves
    for code, name in enumerate(_KINDS):
        if code and (count := int((still & (kinds == code)).sum())):
            findings.append(f"{count:,} {name}")
    if unknown := int((still & ~(kinds > 0)).sum()):
        findings.append(f"{unknown:,} did not move through a range: taken as stuck where they stood")
    return _Faults(np.where(still, level, np.nan), findings)


def _largest(record: Record) -> NDArray[np.float64]:
    """Largest conductance that a reading of each device [rows, cols] stands for, clipped or not."""
    answers = [step.answer for step in record.steps if isinstance(step.answer, ReadAnswer)]
    return np.max([np.abs(each.amperes / each.voltage_v) for each in answers], axis=0).astype(np.float64)


def _sheet(record: Record) -> dict[str, NDArray[np.float64]]:
    """The array's own data sheet: protocols know the twin by what they know the array by."""
    sheet = record.target.info.device
    return {
        "sheet_s": np.array([sheet.g_min_s, sheet.g_max_s, sheet.step_up_s, sheet.step_down_s]),
        "sheet_curve_s": np.stack([sheet.curve.siemens, sheet.curve.up_s, sheet.curve.down_s]),
    }


def _lines(record: Record) -> list[str]:
    info, shape = record.target.info, record.target.shape
    if shape == info.shape:
        return []
    rows, cols = shape
    return [
        f"some lines were measured: the twin's array has those {rows} x {cols} of {info.rows} x {info.cols}, "
        "numbered from 0, and it is trained on without records, whose lines are those of the whole array"
    ]


def _left_out(chosen: Chosen) -> list[str]:
    return [f"passed over: {each}" for each in chosen.passed_over]
