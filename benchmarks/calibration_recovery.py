"""Calibration of virtual arrays with known parameters: how often the stated 95 % intervals cover the truth.

    python -m benchmarks.calibration_recovery
    python -m benchmarks.calibration_recovery --routine offset
    python -m benchmarks.calibration_recovery --routine line-resistance

Three families of devices, spread, 5 % of them faulty, noisy readings with an offset; a table for each family,
of 200 arrays of 32 x 32. Offsets and wires are drawn anew for every array.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from calibration.devices import Devices
from calibration.line_resistance import LineResistance
from calibration.offset import Offset
from calibration.read_noise import ReadNoise
from calibration.update_curve import UpdateCurve
from drivers.sim import driver
from drivers.sim.curve import shape_of_label
from drivers.sim.lines import transfer
from hil.bench import Execution
from hil.calibrate.contracts import Result, Target
from hil.calibrate.tape import Tape
from hil.plan import run
from hil.schedule import Read

FAMILIES = ("ENODe", "HZO_FeFET", "EpiRAM_AgSiGe")
SPREAD = {"range": 0.1, "step": 0.1, "asymmetry": 0.05}
FAULTS = {"stuck": 0.02, "stuck_low": 0.01, "open": 0.01, "shorted": 0.01}
NOISE = 0.01
ARRAYS = 1000
"""Seeds of a family: with the same ones, the spreads drawn for one would be those of all."""
CONDUCTING = ("AlOx_HfO2", "GST_PCM", "EpiRAM_AgSiGe")
"""Families for wires: 59, 212 and 12 uS at most."""


@dataclass
class Tally:
    """Of many trials: intervals that cover the truth, and all, by figure; faults missed, false alarms."""

    covered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    stated: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    relative_error: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    faulty: int = 0
    missed: int = 0
    working: int = 0
    false_alarms: int = 0
    undecided: int = 0

    def state(self, name: str, low, high, truth, value) -> None:
        """Intervals of one figure, of the array or [devices]; what is not determined is no statement."""
        low, high, truth, value = np.broadcast_arrays(low, high, truth, value)
        known = np.isfinite(value)
        self.covered[name] += int(((low <= truth) & (truth <= high))[known].sum())
        self.stated[name] += int(known.sum())
        if np.ndim(value) == 0 and truth:
            self.relative_error[name].append(float(value / truth - 1))

    def coverage(self, name: str) -> float:
        """Share of the intervals that cover the truth."""
        return self.covered[name] / self.stated[name]


def measure(bench, routine) -> Result:
    """One routine on the array `main`."""
    target, tape = Target.whole(bench.arrays["main"]), Tape()
    run(routine.plan(target), bench, tape)
    return routine.analyse(tape.steps, target)


def open_array(family: str, size: int, seed: int):
    """A virtual array nobody has seen, and its settings."""
    settings = driver.settings(
        device={"preset": family, "initial": "uniform", "d2d": SPREAD, "faults": FAULTS},
        read={"noise": NOISE, "offset": 0.0},
    )
    return driver.open(settings, {"main": (size, size)}, seed), settings.device


def trial(family: str, size: int, seed: int, tally: Tally, curve: UpdateCurve | None = None) -> None:
    """Calibrate one array and hold every statement against what was put in."""
    bench, device = open_array(family, size, seed)
    array = bench._arrays["main"]
    faulty = array.devices.lo == array.devices.hi
    fault = measure(bench, Devices()).maps["fault"]
    tally.faulty += int(faulty.sum())
    tally.missed += int((faulty & (fault == 0)).sum())
    tally.working += int((~faulty).sum())
    tally.false_alarms += int((~faulty & (fault != 0)).sum())
    noise = measure(bench, ReadNoise()).estimates
    both = np.hypot(SPREAD["step"], SPREAD["asymmetry"]) * np.sqrt(1 + 0.5 * 0.1**2 * 0.05**2)
    truths = {
        "noise": NOISE, "exponent": 0.5, "offset": 0.0, "nonlinearity": 0.0, "g_min": device.g_min,
        "g_max": device.g_max, "nl_up": device.nl_up, "nl_down": device.nl_down,
        "levels_up": device.levels_up, "levels_down": device.levels_down, "c2c_up": device.c2c.up,
        "c2c_down": device.c2c.down, "d2d_g_min": 0.1, "d2d_g_max": 0.1, "d2d_step_up": both,
        "d2d_step_down": both,
    }  # fmt: skip
    result = measure(bench, curve or UpdateCurve())
    for name, each in (noise | result.estimates).items():
        if name in truths:
            tally.state(name, each.low, each.high, truths[name], each.value)
    for name, truth in devices_truth(device, array.devices).items():
        values = result.maps[name]
        inside = np.isfinite(values) & ~faulty
        low, high = result.maps[f"{name}_low"], result.maps[f"{name}_high"]
        tally.state(f"device {name}", low[inside], high[inside], truth[inside], values[inside])


def devices_truth(device, devices) -> dict[str, np.ndarray]:
    """What each device is, [rows, cols], by the names of the maps."""
    lo, hi, up_k, down_k = (getattr(devices, name).astype(float) for name in ("lo", "hi", "up_k", "down_k"))
    shape = {"up": shape_of_label(device.nl_up), "down": -shape_of_label(device.nl_down)}
    middle = 0.5 * (lo + hi)
    return {
        "g_min_s": lo,
        "g_max_s": hi,
        "nl_up": np.full(lo.shape, device.nl_up),
        "nl_down": np.full(lo.shape, device.nl_down),
        "levels_up": shape["up"] / -np.log1p(-up_k),
        "levels_down": shape["down"] / -np.log1p(-down_k),
        "step_up_s": devices.up_a - up_k * middle,
        "step_down_s": -(devices.down_a - down_k * middle),
        "c2c_up_s": devices.c2c_up * (hi - lo),
        "c2c_down_s": devices.c2c_down * (hi - lo),
    }


class Altered:
    """A bench whose single readings are altered on their way: ``alter`` gets operation and amperes."""

    def __init__(self, bench, alter, **info) -> None:
        self.bench, self.alter, self.durable, self.identity = bench, alter, bench.durable, bench.identity
        self.arrays = {name: replace(each, **info) for name, each in bench.arrays.items()}

    def execute(self, schedule) -> Execution:
        """As the bench, but for what single readings bring."""
        done = self.bench.execute(schedule)
        for op, answer in zip(schedule, done.answers, strict=True):
            if isinstance(op, Read):
                answer.amperes = self.alter(op, answer.amperes.astype(np.float64))
        return done

    def make_safe(self) -> None:
        """As the bench."""
        self.bench.make_safe()

    def close(self) -> None:
        """As the bench."""
        self.bench.close()


def offset_trial(family: str, size: int, seed: int, tally: Tally) -> None:
    """One array with one offset; the same with offsets of columns and of the voltage."""
    bench, device = open_array(family, size, seed)
    rng = np.random.default_rng(seed)
    unit = 0.1 * device.g_min
    common, columns, volts = unit * rng.normal(), unit * rng.normal(size=size), rng.normal(scale=1e-4)
    for name, each, of_voltage in (("", np.full(size, common), 0.0), ("apart ", columns, volts)):
        altered = Altered(bench, lambda op, a, o=each, v=of_voltage: a * (1 + v / op.voltage_v) + o)
        result = measure(altered, Offset())
        truths = {"amplifier": each.mean(), "voltage_offset": of_voltage, "rectification": 0.0}
        if not name:
            truths |= {"offset": common, "offset_columns": 0.0}
        for key, truth in truths.items():
            found = result.estimates[key]
            tally.state(name + key, found.low, found.high, truth, found.value)
        g = bench.conductances("main").astype(float)
        for key, truth in (("offset_a", each + of_voltage * g), ("column_a", each)):
            if not name or key == "offset_a":
                maps = result.maps
                tally.state(f"{name}{key}", maps[f"{key}_low"], maps[f"{key}_high"], truth, maps[key])


def wires_trial(family: str, size: int, seed: int, tally: Tally) -> None:
    """One array behind wires of 0 to 5 ohm a segment; and one of devices reached one at a time, in series
    with theirs.
    """
    rng = np.random.default_rng(seed)
    (row, col), offset = rng.uniform(0, 5, 2), 1e-9
    device = {"preset": family, "initial": "uniform", "d2d": SPREAD, "faults": FAULTS}
    read = {"noise": NOISE, "offset": offset}
    settings = driver.settings(device=device, read=read, lines={"row": row, "col": col})
    bench = driver.open(settings, {"main": (size, size)}, seed)
    held, full = bench.conductances("main").astype(float), np.full((size, size), settings.device.g_max)
    result = measure(bench, LineResistance())
    lost = [1 - transfer(g, row, col).T / np.where(g > 0, g, np.nan) for g in (held, full)]
    truths = {
        "row": row, "col": col, "row_lead": 0.0, "col_lead": 0.0, "loss_worst": lost[1][0, -1],
        "offset": offset,
    }  # fmt: skip
    for name, truth in truths.items():
        found = result.estimates[name]
        tally.state(name, found.low, found.high, truth, found.value)
    maps = result.maps
    if maps:  # else the routine says that it tells nothing
        tally.state("device loss", maps["loss_low"], maps["loss_high"], lost[0], maps["loss"])
    row, col = 20 * row, 20 * col
    i, j = np.indices((size, size))
    ohms = row * (j + 1) + col * (size - i)
    settings = driver.settings(device=device, read=read)
    bench = driver.open(settings, {"main": (size, size)}, seed)
    one = Altered(bench, lambda op, a: a / (1 + ohms * a / op.voltage_v), parallel_read=False)
    result = measure(one, LineResistance())
    for name, truth in (("row", row), ("col", col)):
        found = result.estimates[name]
        tally.state(f"one at a time {name}", found.low, found.high, truth, found.value)


ROUTINES: dict[str, tuple[tuple[str, ...], Callable[[str, int, int, Tally], None]]] = {
    "curves": (FAMILIES, trial),
    "offset": (FAMILIES, offset_trial),
    "line-resistance": (CONDUCTING, wires_trial),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--family", action="append", help="a device preset; may be repeated")
    parser.add_argument(
        "--routine", choices=ROUTINES, default="curves", help="curves: the devices themselves"
    )
    asked = parser.parse_args()
    families, try_one = ROUTINES[asked.routine]
    for family in asked.family or families:
        tally, begun = Tally(), time.perf_counter()
        first = ARRAYS * families.index(family) if family in families else 0
        for seed in range(first, first + asked.trials):
            try_one(family, asked.size, seed, tally)
        seconds = time.perf_counter() - begun
        print(f"\n{family}: {asked.trials} arrays of {asked.size} x {asked.size}, {seconds:.0f} s")
        if tally.working:
            print(f"  faulty devices: {tally.faulty}, missed {tally.missed}; false alarms: "
                  f"{tally.false_alarms} of {tally.working} "
                  f"({100 * tally.false_alarms / tally.working:.3f} %)")  # fmt: skip
        for name in [name for name, stated in tally.stated.items() if stated]:
            error = tally.relative_error.get(name)
            mean = "" if not error else f"   mean error {100 * np.mean(error):+.2f} %"
            print(
                f"  {name:20s} {100 * tally.coverage(name):5.1f} % of {tally.stated[name]:,}{mean}",
                flush=True,
            )


if __name__ == "__main__":
    main()
