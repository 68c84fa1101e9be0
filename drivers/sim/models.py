"""Deals the devices of an array: typical values from the settings, spread and faults from one generator.

Also writes the typical device's data sheet, which is all that protocols know before they measure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from drivers.sim.curve import NL_LIMIT, first_step, shape_of_label, shapes_of_labels
from drivers.sim.forming import Unformed
from drivers.sim.settings import ExponentialDevice, FaultSettings, PulseSettings, ReadSettings, TableDevice
from drivers.sim.state import Devices, TableDevices
from drivers.sim.tables import step_table
from hil.bench import DeviceSheet, StepCurve
from hil.errors import ConfigError
from hil.schedule import Pulse

Floats = NDArray[np.float64]
Shape = tuple[int, int]
Faulty = NDArray[np.bool_]


def deal(
    device: ExponentialDevice | TableDevice, shape: Shape, rng: np.random.Generator
) -> tuple[Devices | TableDevices, Faulty]:
    """Draw one array's devices of ``shape`` (rows, cols), and say which of them are faulty [rows, cols].

    Raises
    ------
    ConfigError
        The spread is too wide for the range, or a fault is placed outside the array.
    """
    if isinstance(device, TableDevice):
        devices, faulty = _deal_table(device, shape, rng)
    else:
        devices, faulty = _deal_exponential(device, shape, rng)
    if device.forming is not None:
        short_s = 1 / device.faults.short_resistance
        devices.unformed = Unformed(device.forming, short_s, devices, faulty, rng)
    return devices, faulty


def sheet(device: ExponentialDevice | TableDevice, reading: ReadSettings) -> DeviceSheet:
    """Data sheet of the typical device. A table's nominal step is its mean step over the range."""
    if isinstance(device, TableDevice):
        curve, step_up, step_down = _table_curve(device)
    else:
        curve = _exponential_curve(device)
        span = device.g_max - device.g_min
        step_up, step_down = span / device.levels_up, span / device.levels_down
    return DeviceSheet(
        g_min_s=float(curve.siemens[0]),
        g_max_s=float(curve.siemens[-1]),
        step_up_s=step_up,
        step_down_s=step_down,
        curve=curve,
        potentiate=pulse(device.potentiate),
        depress=pulse(device.depress),
        read_voltage_v=reading.voltage,
        integration_s=reading.integration,
    )


def pulse(settings: PulseSettings) -> Pulse:
    """The pulse that settings describe."""
    return Pulse(settings.amplitude, settings.width, settings.gap)


def _deal_exponential(
    device: ExponentialDevice, shape: Shape, rng: np.random.Generator
) -> tuple[Devices, Faulty]:
    spread = device.d2d

    def draw_range(count: int) -> Floats:
        ends = np.array([[device.g_min], [device.g_max]])
        return ends * _factors(rng, spread.range, (2, count))

    lo, hi = _redraw(draw_range, lambda ends: ends[0] < ends[1], shape, "d2d.range", "g_min reaches g_max")
    common = _factors(rng, spread.step, shape)
    up_pulses = device.levels_up / (common * _factors(rng, spread.asymmetry, shape))
    down_pulses = device.levels_down / (common * _factors(rng, spread.asymmetry, shape))
    up_shape = _shapes(device.nl_up, spread.nonlinearity.up, shape, rng)
    down_shape = -_shapes(device.nl_down, spread.nonlinearity.down, shape, rng)
    g, lo, hi, faulty = _start(device, lo, hi, rng)

    # With y = (g - lo) / span a potentiating pulse gives span f (1 - q y), q = 1 - exp(-b); depression is the
    # mirror image about the middle of the range.
    span = hi - lo
    up_first, down_first = first_step(up_shape, up_pulses), first_step(down_shape, down_pulses)
    up_k, down_k = -up_first * np.expm1(-up_shape), -down_first * np.expm1(-down_shape)
    _check_slopes(device, up_k, down_k)
    up_a = span * up_first + up_k * lo
    down_a = -span * down_first + down_k * hi
    parts = [part.astype(np.float32) for part in (g, up_a, up_k, down_a, down_k, lo, hi)]
    return Devices(*parts, c2c_up=device.c2c.up, c2c_down=device.c2c.down), faulty


def _check_slopes(device: ExponentialDevice, up_k: Floats, down_k: Floats) -> None:
    """Labels too large for so few pulses leave no curve: one pulse crosses the range, or doubles the step."""
    spread = device.d2d
    for name, k, labels, label, levels in (
        ("up", up_k, spread.nonlinearity.up, device.nl_up, device.levels_up),
        ("down", down_k, spread.nonlinearity.down, device.nl_down, device.levels_down),
    ):
        steep = int(np.count_nonzero(~(np.abs(k.astype(np.float32)) < 1)))
        if steep == 0:
            continue
        key = "d2d.nonlinearity" if labels > 0 else "d2d" if spread.step or spread.asymmetry else f"nl_{name}"
        raise ConfigError(
            f"device.{key}: {steep} of {k.size} devices are too steep for a curve of pulses {name} "
            f"(one pulse would double the step, or take all of the range): label {label:g} spread by "
            f"{labels:g}, {levels} levels; make labels or spreads smaller, or give more levels"
        )


def _deal_table(device: TableDevice, shape: Shape, rng: np.random.Generator) -> tuple[TableDevices, Faulty]:
    table = step_table(device.table)
    kind = rng.integers(0, len(table.grid_lo), shape).astype(np.int16)
    lo, hi = table.grid_lo.astype(np.float64)[kind], table.grid_hi.astype(np.float64)[kind]
    g, lo, hi, faulty = _start(device, lo, hi, rng)
    now, low, high = (part.astype(np.float32) for part in (g, lo, hi))
    return TableDevices(now, low, high, kind, table.up, table.down, table.grid_lo, table.grid_hi), faulty


def _start(
    device: ExponentialDevice | TableDevice, lo: Floats, hi: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Faulty]:
    """Conductance and range of every device at the start; faulty devices have no range left."""
    g = {
        "g_min": lambda: lo.copy(),
        "mid": lambda: 0.5 * (lo + hi),
        "g_max": lambda: hi.copy(),
        "uniform": lambda: rng.uniform(lo, hi),
    }[device.initial]()
    stuck_at = {
        "stuck": rng.uniform(lo, hi),
        "stuck_low": lo,
        "stuck_high": hi,
        "open": np.zeros_like(lo),
        "shorted": np.full_like(lo, 1 / device.faults.short_resistance),
    }
    faulty = np.zeros(lo.shape, np.bool_)
    for kind, which in _faults(device.faults, lo.shape, rng).items():
        g[which] = stuck_at[kind][which]
        faulty |= which
    return g, np.where(faulty, g, lo), np.where(faulty, g, hi), faulty


def _faults(faults: FaultSettings, shape: Shape, rng: np.random.Generator) -> dict[str, Faulty]:
    """Which devices have which fault: one at most if drawn, what is named last if named."""
    dealt = rng.random(shape)
    found: dict[str, Faulty] = {}
    below = 0.0
    for kind, places in faults.by_kind():
        if not isinstance(places, list):
            found[kind] = (below <= dealt) & (dealt < below + places)
            below += places
    for kind, places in faults.by_kind():
        if not isinstance(places, list):
            continue
        found[kind] = np.zeros(shape, np.bool_)
        for row, col in places:
            if not (0 <= row < shape[0] and 0 <= col < shape[1]):
                raise ConfigError(
                    f"device.faults.{kind}: asked for crosspoint [{row}, {col}]; "
                    f"the array has rows 0 to {shape[0] - 1} and columns 0 to {shape[1] - 1}"
                )
            found[kind][row, col] = True
    return found


def _factors(rng: np.random.Generator, relative: float, shape: tuple[int, ...]) -> Floats:
    """Log-normal factors of mean 1 and the relative standard deviation asked for."""
    if relative == 0:
        return np.ones(shape)
    variance = np.log1p(relative**2)
    return rng.lognormal(-0.5 * variance, np.sqrt(variance), shape)


def _shapes(label: float, spread: float, shape: Shape, rng: np.random.Generator) -> Floats:
    if spread == 0:
        return np.full(shape, shape_of_label(label))
    labels = _redraw(
        lambda count: rng.normal(label, spread, (1, count)),
        lambda drawn: np.abs(drawn[0]) <= NL_LIMIT,
        shape,
        "d2d.nonlinearity",
        f"labels leave -{NL_LIMIT:g} to {NL_LIMIT:g}",
    )
    return shapes_of_labels(labels[0])


def _redraw(
    draw: Callable[[int], Floats], allowed: Callable[[Floats], Faulty], shape: Shape, key: str, what: str
) -> Floats:
    """Draw [k, rows, cols], again where it is not allowed: a distribution is cut off, not piled up."""
    count = shape[0] * shape[1]
    values = draw(count)
    for _ in range(100):
        wrong = np.flatnonzero(~allowed(values))
        if wrong.size == 0:
            return values.reshape(-1, *shape)
        values[:, wrong] = draw(wrong.size)
    raise ConfigError(f"device.{key}: so wide that {what} in one device of many draws; make it smaller")


def _exponential_curve(device: ExponentialDevice) -> StepCurve:
    span = device.g_max - device.g_min
    up, down = shape_of_label(device.nl_up), -shape_of_label(device.nl_down)
    rise, fall = span * first_step(up, device.levels_up), span * first_step(down, device.levels_down)
    return StepCurve(
        siemens=np.array([device.g_min, device.g_max]),
        up_s=np.array([rise, rise * np.exp(-up)]),
        down_s=np.array([-fall * np.exp(-down), -fall]),
    )


def _table_curve(device: TableDevice) -> tuple[StepCurve, float, float]:
    """Mean over the measured devices, each scaled to the typical range; wrong signs count as 0."""
    table = step_table(device.table)
    up, down = table.mean_steps()
    spans = (table.grid_hi - table.grid_lo).astype(np.float64)
    low, span = float(np.median(table.grid_lo)), float(np.median(spans))
    up_s = np.maximum(span * np.mean(up / spans[:, np.newaxis], axis=0), 0.0)
    down_s = np.minimum(span * np.mean(down / spans[:, np.newaxis], axis=0), 0.0)
    curve = StepCurve(np.linspace(low, low + span, up_s.size), up_s, down_s)
    return curve, float(up_s.mean()), float(-down_s.mean())
