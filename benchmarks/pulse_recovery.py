"""Forming and pulse search on virtual arrays with known parameters: how often 95 % intervals cover the truth.

    python -m benchmarks.pulse_recovery --routine forming
    python -m benchmarks.pulse_recovery --routine pulse-search

Forming voltages, thresholds and powers are drawn anew for every array; spread, faults and noise are those of
benchmarks.calibration_recovery.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from benchmarks.calibration_recovery import FAMILIES, FAULTS, NOISE, SPREAD, Tally, measure
from calibration.forming import Forming
from calibration.pulse_search import PulseSearch
from drivers.sim import driver

STEP, TOO_LARGE = 0.02, 2.0
MOVING = ("ENODe", "HZO_FeFET", "PCMO")
"""Families for the search: single pulses that move them by such a step stand out of their scatter."""


def forming_trial(family: str, size: int, seed: int, tally: Tally) -> None:
    """One array: forming voltages of mean 3 V, 5 to 20 % spread, brackets of 0.1 V; 1 % open."""
    rng = np.random.default_rng(seed)
    spread, top = rng.uniform(0.05, 0.2), rng.uniform(3.3, 5.0)
    settings = driver.settings(
        device={
            "preset": family,
            "d2d": SPREAD,
            "faults": {"open": 0.01},
            "forming": {"amplitude": 3.0, "spread": spread, "broken_above": 3.0},
        },
        read={"noise": NOISE},
    )
    bench = driver.open(settings, {"main": (size, size)}, seed)
    unformed = bench._arrays["main"].devices.unformed
    dead = ~unformed.left
    routine = Forming(compliance=1e-4, first=1.0, most_amplitude=float(top))
    result = measure(bench, routine)
    maps, truth = result.maps, {"amplitude": 3.0, "spread": spread}
    for name, each in truth.items():
        found = result.estimates[name]
        tally.state(name, found.low, found.high, each, found.value)
    formed = maps["forming"] == 0
    low, high = maps["amplitude_v_low"][formed], maps["amplitude_v_high"][formed]
    tally.state("device amplitude", low, high, unformed.volts[formed], maps["amplitude_v"][formed])
    tally.faulty += int(dead.sum())
    tally.missed += int((dead & formed).sum())
    tally.working += int((~dead).sum())
    reached = maps["amplitude_v_high"][formed].max()
    tally.false_alarms += int((~dead & ~formed & (unformed.volts <= reached)).sum())


def pulse_trial(family: str, size: int, seed: int, tally: Tally) -> None:
    """One array: threshold 0.3 to 0.7 of the nominal amplitude, powers 1 to 2 and 0.6 to 1, of each way."""
    rng = np.random.default_rng(seed)
    drawn = {"threshold": (0.3, 0.7), "amplitude_exponent": (1.0, 2.0), "width_exponent": (0.6, 1.0)}
    response = {key: dict(zip(("up", "down"), rng.uniform(*ends, 2).tolist(), strict=True))
                for key, ends in drawn.items()}  # fmt: skip
    settings = driver.settings(
        device={
            "preset": family,
            "initial": "uniform",
            "d2d": SPREAD,
            "faults": FAULTS,
            "response": response,
        },
        read={"noise": NOISE},
    )
    bench = driver.open(settings, {"main": (size, size)}, seed)
    sheet = bench.arrays["main"].device
    nominal = {"up": sheet.potentiate, "down": sheet.depress}
    highest = max(abs(pulse.amplitude_v) for pulse in nominal.values())
    wide = family == "ENODe"  # 200 levels: a step of 0.02 takes four times the width, or more amplitude
    routine = PulseSearch(step=STEP, too_large=TOO_LARGE, most_amplitude=None if wide else 2 * highest)
    result = measure(bench, routine)
    for way, pulse in nominal.items():
        for name, truth in _needed(bench, way, pulse, result, response).items():
            found = result.estimates[f"{name}_{way}"]
            tally.state(f"{name}_{way}", found.low, found.high, truth, found.value)
    devices = bench._arrays["main"].devices
    faulty = devices.lo == devices.hi
    for way in nominal:
        answers, undecided = (result.maps[f"{name}_{way}"] == 1 for name in ("answers", "undecided"))
        at = np.ix_(result.maps["rows"], result.maps["cols"])
        tally.faulty += int(faulty[at].sum())
        tally.missed += int((faulty[at] & answers).sum())
        tally.working += int((~faulty[at]).sum())
        tally.false_alarms += int((~faulty[at] & ~answers & ~undecided).sum())
        tally.undecided += int(undecided.sum())


def _needed(bench, way: str, pulse, result, response) -> dict[str, float]:
    """What is true of a way: by the mean step of all working devices in the middle of the range."""
    device, devices = bench.settings.device, bench._arrays["main"].devices
    works = devices.lo < devices.hi
    a, k = (getattr(devices, f"{way}_{part}").astype(float)[works] for part in "ak")
    span, middle = device.g_max - device.g_min, 0.5 * (device.g_max + device.g_min)
    threshold, p, q = (response[key][way] for key in ("threshold", "amplitude_exponent", "width_exponent"))

    def pulses(step: float) -> float:
        """Nominal pulses, whole or not, that make a step."""
        one = np.abs(a - k * middle) / span
        return brentq(lambda n: np.mean(one * -np.expm1(n * np.log1p(-k)) / k) - step, 1e-6, 1e4)

    def volts(worth: float) -> float:
        return abs(pulse.amplitude_v) * (threshold + (1 - threshold) * worth ** (1 / p))

    found = result.estimates[f"width_{way}"].value / pulse.width_s
    worth = pulses(STEP)
    width = found if np.isfinite(found) else 1.0  # what is too large is told at the width that was found
    return {
        "threshold": threshold * abs(pulse.amplitude_v),
        "exponent": p,
        "width_exponent": q,
        "amplitude": volts(worth),
        "width": worth ** (1 / q) * pulse.width_s,
        "large": volts(pulses(TOO_LARGE * STEP) / width**q),
    }


ROUTINES: dict[str, tuple[tuple[str, ...], Callable[[str, int, int, Tally], None]]] = {
    "forming": (FAMILIES, forming_trial),
    "pulse-search": (MOVING, pulse_trial),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--routine", choices=ROUTINES, required=True)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first array")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--family", action="append", help="a device preset; may be repeated")
    asked = parser.parse_args()
    families, try_one = ROUTINES[asked.routine]
    for family in asked.family or families:
        tally, begun = Tally(), time.perf_counter()
        for seed in range(asked.first, asked.first + asked.trials):
            try_one(family, asked.size, seed, tally)
        print(f"\n{asked.routine}, {family}: {asked.trials} arrays, {time.perf_counter() - begun:.0f} s")
        print(f"  dead devices: {tally.faulty}, taken for live: {tally.missed}; live ones taken for dead: "
              f"{tally.false_alarms} of {tally.working}; undecided: {tally.undecided}")  # fmt: skip
        for name in [name for name, stated in tally.stated.items() if stated]:
            error = tally.relative_error.get(name)
            mean = "" if not error else f"   mean error {100 * np.mean(error):+.2f} %"
            print(
                f"  {name:20s} {100 * tally.coverage(name):5.1f} % of {tally.stated[name]:,}{mean}",
                flush=True,
            )


if __name__ == "__main__":
    main()
