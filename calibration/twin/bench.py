"""The bench file of a twin, as plain data: what was fitted, and what the records' own bench file says of
converters and limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration.timing import timing_of
from calibration.twin.chosen import Chosen
from calibration.twin.reading import WHITE, Reading
from hil.schedule import Pulse
from hil.units import format_quantity, parse_quantity

_DIGITS = 6
_NO_TIME_S = 1e-12
_TAKEN_OVER = ("dac", "adc", "limits")


def describe(chosen: Chosen, read: Reading, c2c: tuple[float, float]) -> tuple[dict[str, Any], list[str]]:
    """Content of the bench file but for the file of maps, and what there is to say of it.

    Keys that would say no more than the default are left out.
    """
    record = chosen.curve
    rows, cols = record.target.shape
    sheet = record.target.info.device
    device: dict[str, Any] = {
        "model": "measured",
        "potentiate": pulse(sheet.potentiate),
        "depress": pulse(sheet.depress),
    }
    if any(c2c):
        device["c2c"] = {"up": float(f"{c2c[0]:.4g}"), "down": float(f"{c2c[1]:.4g}")}
    bench: dict[str, Any] = {
        "driver": "sim",
        "name": re.sub("[^a-z0-9_-]", "-", record.bench.lower())[:59] + "-twin",
        "arrays": {record.array: {"rows": rows, "cols": cols}},
        "device": device,
        "read": reading_keys(read),
    }
    effects, findings = _effects(chosen)
    bench |= effects
    timing = timing_of(tuple(chosen.by_routine.values()))
    taking = {key: each for key, each in timing.items() if each is True or _takes_time(each)}
    if taking:
        bench["timing"] = taking
    resolved: Mapping[str, Any] = record.bench_file.get("resolved") or {}
    taken = {key: _given(resolved[key]) for key in _TAKEN_OVER if _given(resolved.get(key))}
    if taken:
        findings.append(f"as the records' bench file says: {', '.join(taken)}")
    return bench | taken, findings


def original(chosen: Chosen) -> dict[str, Any]:
    """Key ``calibrations``: whose records these are, so that a run on the twin goes by them; nothing
    where the twin has some lines of its array alone. What a record once told of the twin's devices does not
    expire.
    """
    record = chosen.curve
    if record.target.shape != record.target.info.shape:
        return {}
    until = chosen.newest.created.isoformat()
    of = {"bench": record.bench, "identity": dict(record.identity), "until": until}
    resolved: Mapping[str, Any] = chosen.newest.bench_file.get("resolved") or {}
    asked: Mapping[str, Sequence[str] | None] = resolved.get("calibrations") or {}
    used = asked.get("use") or ()
    use = [kind for kind in used if kind != "offset" or "read-noise" in chosen.by_routine]
    return {"expired": "mark", **({"use": use} if use else {}), "of": of}


def _effects(chosen: Chosen) -> tuple[dict[str, Any], list[str]]:
    """Drift and half-select disturb, where their records tell them from nothing."""
    found: dict[str, Any] = {}
    told: list[str] = []
    if (drift := chosen.by_routine.get("drift")) is not None:
        nu, spread = (drift.result.estimates[name] for name in ("nu", "nu_spread"))
        if nu.low > 0:
            first = format_quantity(float(drift.result.maps["seconds"][0]), "s", _DIGITS)
            spreads = {"nu_spread": float(f"{spread.value:.4g}")} if spread.low > 0 else {}
            found["drift"] = {"nu": float(f"{nu.value:.4g}"), "t0": first} | spreads
        else:
            told.append("no drift beyond its uncertainty: left out")
    if (disturb := chosen.by_routine.get("disturb")) is not None:
        names = [f"{line}_{way}" for line in ("row", "column") for way in ("up", "down")]
        ways = [disturb.result.estimates[name] for name in names]
        against = [name for name, each in zip(names, ways, strict=True) if each.high < 0]
        if any(each.low > 0 for each in ways):
            share = sum(max(0.0, each.value) for each in ways) / len(ways)
            found["disturb"] = {"half_select": float(f"{share:.4g}")}
            told.append("half-select disturb is the mean of rows, columns and both ways")
        elif np.isnan([each.value for each in ways]).any():
            told.append("half-select disturb was not determined: left out")
        elif not against:
            told.append("no half-select disturb beyond its uncertainty: left out")
        if against:
            told.append(
                f"disturb: {', '.join(against)} against the pulses, which the simulator has not: left out"
            )
    return found, told


def reading_keys(read: Reading) -> dict[str, Any]:
    """The section ``read``."""
    found: dict[str, Any] = {
        "voltage": format_quantity(read.voltage_v, "V", None),
        "integration": format_quantity(read.integration_s, "s", None),
        "noise": float(f"{read.noise:.4g}"),
    }
    if read.exponent != WHITE:
        found["exponent"] = float(f"{read.exponent:.3g}")
    if read.offset_a:
        found["offset"] = format_quantity(read.offset_a, "A", _DIGITS)
    return found


def pulse(one: Pulse) -> dict[str, str]:
    """A pulse as the file says it."""
    found = {
        "amplitude": format_quantity(one.amplitude_v, "V", None),
        "width": format_quantity(one.width_s, "s", None),
    }
    return found | ({"gap": format_quantity(one.gap_s, "s", None)} if one.gap_s else {})


def _takes_time(quantity: str | bool) -> bool:
    """Whether it is more than the rounding of a least-squares fit."""
    return isinstance(quantity, str) and parse_quantity(quantity, "s") > _NO_TIME_S


def _given(section: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a section says something."""
    return {key: value for key, value in (section or {}).items() if value not in (None, "auto")}
