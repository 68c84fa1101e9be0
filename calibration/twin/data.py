"""From data that a lab already has to a twin: the entry point ``data`` of ``hil.twins``.

One device, or a few, stand for an array: nothing is known of how devices differ beyond that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.labels import label_of_tanh
from calibration.twin.lookup import Lookup, is_lookup, line_through, read_lookup
from calibration.twin.ramps import Device, estimates, fit_ramps
from calibration.twin.table import Table
from calibration.twin.tables_read import Ramps, read_ramps
from hil.calibrate.contracts import Estimate
from hil.calibrate.twin import Described, Twin
from hil.errors import DataError
from hil.units import counted, format_quantity, parse_quantity, rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_GOOD, _BETTER = 0.005, 0.7
_READ_V = 0.1
_ASSUMED = {
    "potentiate": {"amplitude": "1 V", "width": "1 us"},
    "depress": {"amplitude": "-1 V", "width": "1 us"},
}
_SEED = 1


def fit(files: Sequence[Path], described: Described) -> Twin:
    """Fit a simulated bench to files (see `hil.calibrate.twin.FitsData`)."""
    if any(is_lookup(path) for path in files):
        return _of_lookup(files, read_lookup(files), described)
    return _of_ramps(files, [read_ramps(path, described.unit) for path in files], described)


def _of_ramps(files: Sequence[Path], read: Sequence[Ramps], described: Described) -> Twin:
    courses = [course for one in read for course in _siemens(one, described)]
    ups = [each for each in courses if each[-1] > each[0]]
    downs = [each for each in courses if each[-1] < each[0]]
    if not ups or not downs:
        which = "falls" if ups else "rises"
        raise DataError(f"{files[0]}: nothing in it {which}; both ways are needed (give a second file)")
    device = fit_ramps(ups, downs)
    misfit = device.misfit
    tables = described.model == "table" or (
        described.model == "auto"
        and misfit["exponential"] > _GOOD
        and misfit["table"] < _BETTER * misfit["exponential"]
    )
    found = estimates(ups, downs)
    good = {
        f"misfit_{name}": Estimate(
            value, np.nan, np.nan, "", f"rms distance of mean ramps, {name} device, of the range"
        )
        for name, value in misfit.items()
    }
    span = f"{counted(len(ups), 'ramp')} up and {len(downs)} down"
    findings = [
        f"{'tables' if tables else 'exponential devices'} taken: exponential devices leave "
        f"{rounded(100 * misfit['exponential'])} % of the range (rms), "
        f"tables {rounded(100 * misfit['table'])} %",
        *(
            f"{one.file.name}: one column, taken as a reading after each pulse and cut where the course turns"
            for one in read
            if one.trace
        ),
        *_assumed(described),
    ]
    maps, c2c = _maps_of_ramps(device, tables, described.size)
    noise = found["noise"].value
    source = f"{', '.join(path.name for path in files)}: {span}"
    bench = _bench(files[0], described, noise, c2c)

    def draw() -> Figure:
        from calibration.figures.twin import draw_ramps

        return draw_ramps(device, tables)

    return Twin(source, bench, maps, found, good, findings, draw)


def _siemens(one: Ramps, described: Described) -> list[Floats]:
    """Courses as conductances."""
    if one.dimension == "A":
        if described.read_voltage_v is None:
            raise DataError(
                f"{one.file}: currents; give the voltage they were read at: --read-voltage '100 mV'"
            )
        courses = [each / described.read_voltage_v for each in one.courses]
    elif one.dimension == "ohm":
        if any(np.any(each <= 0) for each in one.courses):
            raise DataError(f"{one.file}: a resistance of 0 or less")
        courses = [1 / each for each in one.courses]
    else:
        courses = list(one.courses)
    if one.dimension == "" and described.ends_s is None:
        raise DataError(f"{one.file}: in which unit? name it in the header, or give --unit uS (--unit A for "
                        "currents), or for normalised data --range 1uS:10uS")  # fmt: skip
    if described.ends_s is not None:
        low, high = (float(take([take(each) for each in courses])) for take in (min, max))
        least, most = described.ends_s
        courses = [least + (each - low) * (most - least) / (high - low) for each in courses]
    if any(np.any(each <= 0) for each in courses):
        raise DataError(f"{one.file}: a conductance of 0 or less; is it normalised? give --range 1uS:10uS")
    return courses


def _maps_of_ramps(
    device: Device, tables: bool, size: tuple[int, int]
) -> tuple[dict[str, NDArray[Any]], tuple[float, float]]:
    model = device.exponential
    low, high = float(model.low[0]), float(model.high[0])
    every: dict[str, NDArray[Any]]
    curve = _curve(device.table) if tables else _affine(device)
    if tables:
        every = device.table.maps(np.ones((1, 1), np.bool_)) | {"kind": np.zeros(size, np.int16)}
    else:
        values = {
            "g_min_s": low, "g_max_s": high, "step_up_s": model.step_up[0], "step_down_s": model.step_down[0],
            "nl_up": float(np.clip(label_of_tanh(model.bend_up[0]), -9.4, 9.4)),
            "nl_down": float(np.clip(-label_of_tanh(model.bend_down[0]), -9.4, 9.4)),
        }  # fmt: skip
        every = {name: np.full(size, value) for name, value in values.items()}
    return _named(every, np.full(size, 0.5 * (low + high)), curve), (0.0, 0.0) if tables else model.c2c


def _affine(device: Device) -> Floats:
    """Conductance, change up and change down at both ends [3, 2], siemens."""
    m = device.exponential
    ends = np.array([-1.0, 1.0])
    up, down = m.step_up * (1 - ends * m.bend_up), -m.step_down * (1 + ends * m.bend_down)
    return np.stack([np.array([m.low[0], m.high[0]]), np.maximum(up, 0.0), np.minimum(down, 0.0)])


def _curve(table: Table) -> Floats:
    """The same on all knots [3, knots]; of several devices the mean, over the mean range."""
    up, down = table.mean_up.mean(axis=0), table.mean_down.mean(axis=0)
    g = np.linspace(float(table.low.mean()), float(table.high.mean()), up.size)
    return np.stack([g, np.maximum(up, 0.0), np.minimum(down, 0.0)])


def _named(every: Mapping[str, NDArray[Any]], start: Floats, curve: Floats) -> dict[str, NDArray[Any]]:
    g, up, down = (np.asarray(row, np.float64) for row in curve)
    pace = [float(np.mean(up)), float(-np.mean(down))]
    sheet = np.array([g[0], g[-1], *(max(each, 1e-6 * (g[-1] - g[0])) for each in pace)])
    rest = {
        "start_s": start,
        "stuck_s": np.full(start.shape, np.nan),
        "sheet_s": sheet,
        "sheet_curve_s": curve,
    }
    return {f"main.{name}": values for name, values in {**every, **rest}.items()}


def _of_lookup(files: Sequence[Path], lookup: Lookup, described: Described) -> Twin:
    scale = 1.0
    if described.unit is not None:
        scale = parse_quantity(f"1 {described.unit}", "S")
    low, high, up, down = (scale * part for part in (lookup.low, lookup.high, lookup.up, lookup.down))
    if float(high.max()) > 1.0:
        raise DataError(f"{files[0]}: conductances of {high.max():.3g} S; in which unit are they? --unit uS")
    kind = np.random.default_rng(_SEED).integers(0, low.size, described.size).astype(np.int16)
    means = [0.5 * (part[:, 1:] + part[:, :-1]).mean(axis=1) for part in (up, down)]
    spans = (high - low)[:, np.newaxis]
    typical = [np.median(high - low) * np.mean(mean / spans, axis=0) for mean in means]
    g = np.linspace(float(np.median(low)), float(np.median(low) + np.median(high - low)), typical[0].size)
    curve = np.stack([g, np.maximum(typical[0], 0.0), np.minimum(typical[1], 0.0)])
    every: dict[str, NDArray[Any]] = {
        "kind": kind, "table_min_s": low, "table_max_s": high,
        "table_up_s": up.astype(np.float32), "table_down_s": down.astype(np.float32),
    }  # fmt: skip
    start = 0.5 * (low + high)[kind]
    about = "rms of mean steps that a straight line in G misses, of the mean step"
    good = {
        f"misfit_exponential_{way}": Estimate(_line_misses(mean), np.nan, np.nan, "", f"{about}, {way}")
        for way, mean in zip(("up", "down"), means, strict=True)
    }
    findings = _assumed(described)
    if low.size > 1:
        findings = [f"{low.size} devices are dealt at random over the array", *findings[:1], *findings[2:]]
    source = f"{', '.join(path.name for path in files)}: lookup tables of {counted(low.size, 'device')}"
    bench = _bench(files[0], described, 0.0, (0.0, 0.0))

    def draw() -> Figure:
        from calibration.figures.twin import draw_lookup

        return draw_lookup(low, high, means)

    return Twin(source, bench, _named(every, start, curve), {}, good, findings, draw)


def _line_misses(mean: Floats) -> float:
    """Part of mean steps [kinds, points] that the best lines against conductance leave."""
    left = np.stack([each - line_through(each) for each in mean])
    return float(np.sqrt(np.mean(left**2) / np.mean(mean**2)))


def _bench(file: Path, described: Described, noise: float, c2c: tuple[float, float]) -> dict[str, Any]:
    rows, cols = described.size
    device: dict[str, Any] = {"model": "measured", **_ASSUMED}
    if any(c2c):
        device["c2c"] = {"up": float(f"{c2c[0]:.4g}"), "down": float(f"{c2c[1]:.4g}")}
    volts = described.read_voltage_v or _READ_V
    return {
        "driver": "sim",
        "name": re.sub("[^a-z0-9_-]", "-", file.stem.lower())[:59] + "-twin",
        "arrays": {"main": {"rows": rows, "cols": cols}},
        "device": device,
        "read": {"voltage": format_quantity(volts, "V", None), "noise": float(f"{noise:.3g}")},
    }


def _assumed(described: Described) -> list[str]:
    told = [
        "assumed, since no such file tells: pulses of 1 V, -1 V and 1 us; correct them in the bench file",
        "all devices alike: how they differ is not in such data",
    ]
    if described.read_voltage_v is None:
        told.append("read voltage 100 mV is assumed")
    return told
