"""Wires from readings alone: the ohms at which devices that were not pulsed do not seem to change when others
do. What a device reads depends on what else its lines carry, as far as these resist. No conductance has to be
known beforehand, and whatever is constant (an offset, a wrong voltage) hardly matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.crossbar import Wires, readings
from calibration.noise_fit import fit_noise

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

_ROUNDS = 30
_STEPS = 60
_CLOSE = 1e-6
_CLOSE_FOR_SLOPES = 1e-5
_LOOSE = 1e-4
_MOST = 2.0
_SETTLED = 0.02
_NEAR = 0.5
_HALVED = 6
_OWN = 0.5
_TRUSTED = 0.3
_SMALL = 1e-2
_FLAT = 1e-9
_TOUCHED = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class WireFit:
    """Ohms [4] as in `Wires` and their covariance, infinite where these data do not tell; ``freedom`` of it.

    ``siemens`` [states, rows, cols] behind the wires; ``felt`` [4, states, rows, cols]: change of their
    logarithm per ohm; ``seen`` and ``left`` [n]: relative changes of devices that were not
    pulsed, from state to state, as read and behind the wires.
    """

    ohms: Floats
    covariance: Floats
    freedom: int
    siemens: Floats
    felt: Floats
    seen: Floats
    left: Floats


def fit_wires(seen: Floats, pulsed: Flags, usable: Flags) -> WireFit:
    """Least squares over all devices and states, with what all devices of a state have in common left free
    (drift, gain), and intervals from devices as clusters.

    Parameters
    ----------
    seen
        Readings, amperes per volt [states, rows, cols], of all devices of the array.
    pulsed
        Which devices were pulsed before each state [states, rows, cols]; the first is not looked at.
    usable
        Devices [rows, cols] that are read well.

    Raises
    ------
    FloatingPointError
        No wires explain these readings.
    """
    segments = np.cumsum(pulsed, axis=0, dtype=np.int64)
    watched = usable & (seen > 0).all(axis=0)
    level = np.where(watched, seen, 0.0)
    weight = np.minimum(1.0, level / np.median(level[:, watched])) ** 2 if watched.any() else level
    wires, load = Wires(0.0, 0.0), _steady(np.maximum(seen, 0.0), segments)
    before = _centred(_log(seen), segments)
    felt = columns = np.zeros((4, *seen.shape))
    far, step = True, np.zeros(4)
    for _ in range(_ROUNDS):
        wires, siemens, load = _stepped(seen, wires, step, segments, load)
        if far:  # afterwards what is felt per ohm hardly changes
            felt = _felt(seen, wires, segments, siemens, load)
            columns = np.stack([_centred(part, segments) for part in (*felt, *_common(seen.shape))])
        left = _centred(_log(siemens), segments)
        watched &= (siemens > _OWN * seen).all(axis=0)
        step, covariance, rest = _solve(columns, left, np.where(watched, weight, 0.0))
        error = np.sqrt(covariance.diagonal())
        told = np.isfinite(error)
        step = np.where(told, step, 0.0)
        far = bool(np.any(np.abs(step[told]) > _NEAR * error[told]))
        if np.all(np.abs(step[told]) <= _SETTLED * error[told]):
            changes = watched & (_count(segments) > 1)
            freedom = int(changes.any(axis=0).sum()) - len(columns)
            ohms = np.asarray(wires)
            return WireFit(ohms, covariance, freedom, siemens, felt, before[changes], left[changes])
        weight = _weights(seen, rest, watched)
    raise FloatingPointError(f"the fit did not settle; it came to {wires}")


def _stepped(
    seen: Floats, wires: Wires, step: Floats, segments: Counts, load: Floats
) -> tuple[Wires, Floats, Floats]:
    """The wires a step further, or as far towards it as what the best device loses changes little enough to
    trust the slopes, and as there are such networks; and what is behind them.
    """
    rows, cols = load.shape[1:]
    lost = float(np.abs(step) @ (cols, rows, 1, 1) * load.max())
    share = min(1.0, _TRUSTED / lost) if lost > 0 else 1.0
    for halved in range(_HALVED):
        further = Wires(*(np.asarray(wires) + share * 0.5**halved * step))
        try:
            return further, *_behind(seen, further, segments, load)
        except FloatingPointError:
            if not step.any():
                raise
    raise FloatingPointError(f"no wires near {wires} explain these readings")


def _behind(
    seen: Floats, wires: Wires, segments: Counts, load: Floats, close: float = _CLOSE
) -> tuple[Floats, Floats]:
    """Conductances that read like this behind the wires, state by state; and as loads to each other: steady
    between two pulses, so that the noise of a shorted device's reading does not look like a change of others.
    """
    lean, before = 1.0, np.inf
    for number in range(_STEPS):
        found: Floats = np.stack([readings(each, wires) for each in load])
        ratio = np.divide(load, found, out=np.ones_like(load), where=found > 0)
        siemens: Floats = np.maximum(seen, 0.0) * ratio
        # Newton's step of a device alone behind its wires; what reads more than it is has current of others.
        change = _steady(np.clip(ratio, 1.0, _MOST) ** 2 * (seen - found), segments)
        moved = float(np.abs(change).max())
        lean = 0.5 * lean if moved > before else lean
        load, before = np.maximum(load + lean * change, 0.0), moved
        enough = close if number < _STEPS // 2 else _LOOSE
        if moved <= enough * float(load.max()):
            return siemens, load
    raise FloatingPointError(f"no conductances read like this behind {wires}")


def _log(siemens: Floats) -> Floats:
    return np.log(np.where(siemens > 0, siemens, 1.0))


def _felt(seen: Floats, wires: Wires, segments: Counts, siemens: Floats, load: Floats) -> Floats:
    """Change of the logarithm of what readings stand for, per ohm of each wire [4, states, rows, cols]."""
    small = _SMALL / float(load.sum(axis=(1, 2)).max())  # loses a hundredth at most
    found: list[Floats] = []
    for place in range(4):
        more = Wires(*(np.asarray(wires) + small * np.eye(4)[place]))
        there, _ = _behind(seen, more, segments, load, _CLOSE_FOR_SLOPES)
        found.append((_log(there) - _log(siemens)) / small)
    return np.stack(found)


def _common(shape: tuple[int, ...]) -> Floats:
    """What all devices of a state have in common, for all states but the first."""
    return np.eye(shape[0])[1:, :, np.newaxis, np.newaxis] * np.ones(shape)


def _count(segments: Counts) -> Counts:
    """States of each device between two of its pulses."""
    return (segments[:, np.newaxis] == segments[np.newaxis]).sum(axis=1)


def _steady(values: Floats, segments: Counts) -> Floats:
    """Means between two pulses of the same device."""
    same = (segments[:, np.newaxis] == segments[np.newaxis]).astype(np.float64)
    return np.einsum("kl...,l...->k...", same, values) / same.sum(axis=1)


def _centred(values: Floats, segments: Counts) -> Floats:
    """Values less their mean between two pulses of the same device."""
    return values - _steady(values, segments)


def _solve(columns: Floats, left: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Step of the four wires, their covariance (infinite where not told), and what is left then."""
    n, devices = len(columns), left[0].size
    a = columns.reshape(n, len(left), devices)
    y, w = left.reshape(len(left), devices), weight.reshape(len(left), devices)
    size = np.sqrt(np.einsum("pkd,kd,pkd->p", a, w, a))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    a = a * scale[:, np.newaxis, np.newaxis]
    normal = np.einsum("pkd,kd,qkd->pq", a, w, a)
    values, vectors = np.linalg.eigh(normal)
    flat = values < _FLAT
    told = (scale > 0) & ~np.any(np.abs(vectors[:, flat]) > _TOUCHED, axis=1)
    inverse = (vectors / np.where(flat, np.inf, values)) @ vectors.T
    beta = inverse @ np.einsum("pkd,kd,kd->p", a, w, y)
    rest = y - np.tensordot(beta, a, axes=1)
    scores = np.einsum("pkd,kd->pd", a, w * rest)
    clusters = int((w * np.abs(y) > 0).any(axis=0).sum())
    spread = inverse @ (scores @ scores.T) @ inverse * clusters / max(1, clusters - n)
    covariance = (spread * np.outer(scale, scale))[:4, :4]
    unknown = ~told[:4]
    covariance[unknown, :] = covariance[:, unknown] = 0.0
    covariance[unknown, unknown] = np.inf
    return -(beta * scale)[:4], covariance, rest.reshape(left.shape)


def _weights(seen: Floats, rest: Floats, watched: Flags) -> Floats:
    """1 / variance of a logarithm, from what is left: noise that scales with a reading, and a floor."""
    level = np.where(watched, seen, np.nan)
    relative, floor = (part[0] for part in fit_noise(level, (rest * level) ** 2, 1))
    variance = relative**2 + (floor / np.where(seen > 0, seen, np.inf)) ** 2
    return np.divide(1.0, variance, out=np.ones_like(variance), where=variance > 0)
