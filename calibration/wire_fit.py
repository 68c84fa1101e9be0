"""Wires from readings alone: the ohms at which devices that were not pulsed do not seem to change when others
do. What a device reads depends on what else its lines carry, as far as these resist. No conductance has to be
known beforehand, and whatever is constant (an offset, a wrong voltage) hardly matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.crossbar import Network, Wires, network
from calibration.noise_fit import fit_noise
from hil.calibrate.contracts import DUST

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

_ROUNDS = 40
_MOST = 1.5
_CALMED = 0.3
_SETTLED = 0.02
_STEADY = 1e-4
_HALVED = 12
_OWN = 0.5
_TRUSTED = 0.3
_UNTOLD = 1e-4
_EXACT = 1e-4
_TURNS = 60
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
    sound = usable & (seen > 0).all(axis=0)
    if not sound.any():
        raise FloatingPointError("no device was read well before and after")
    level: Floats = np.where(sound, seen, 0.0)
    typical = float(np.median(level[:, sound]))
    weight, before = np.minimum(1.0, level / typical) ** 2, _centred(_log(seen), segments)
    size = np.maximum(seen, typical)
    point = _Point.at(Wires(0.0, 0.0), _steady(np.maximum(seen, 0.0), segments))
    first = _log(point.load)
    common = np.stack([_centred(part, segments) for part in _common(seen.shape)])
    exact = DUST / max(float(level.sum(axis=(1, 2)).max()), typical)
    pace, last = np.full(seen.shape, _MOST), np.zeros(seen.shape)
    for _ in range(_ROUNDS):
        near, turns = _solved(point, seen, size, first, segments)
        near = np.clip(near, -pace, pace)
        siemens = np.maximum(seen, 0.0) * point.own()
        felt = turns - point.relative(point.net.by_wires, turns)
        left = _centred(_log(siemens) - point.relative(0.0, near[np.newaxis])[0], segments)
        columns = np.concatenate([[_centred(part, segments) for part in felt], common])
        watched = sound & (siemens > _OWN * seen).all(axis=0)
        step, covariance, rest = _solve(columns, left, np.where(watched, weight, 0.0))
        error = np.sqrt(covariance.diagonal())
        told = np.isfinite(error)
        step = np.where(told, step, 0.0)
        still = float(np.abs(near[:, watched]).max(initial=0.0)) <= _STEADY
        if still and np.all(np.abs(step[told]) <= np.maximum(_SETTLED * error[told], exact)):
            changes = watched & (_count(segments) > 1)
            freedom = int(changes.any(axis=0).sum()) - len(columns)
            ohms = np.asarray(point.wires)
            return WireFit(ohms, covariance, freedom, siemens, felt, before[changes], left[changes])
        weight = _weights(seen, rest, watched)
        grown = near + np.tensordot(step, turns, axes=1)
        pace = np.where(grown * last < 0, _CALMED * pace, pace)  # what swings is led in
        point, last = point.moved(step, near, turns, pace), grown
    came_to = ", ".join(f"{name} {ohms:.3g} ohm" for name, ohms in point.wires._asdict().items())
    raise FloatingPointError(f"the fit did not settle; it came to {came_to}")


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """Wires, conductances [states, rows, cols] between two pulses of a device, and what they read."""

    wires: Wires
    load: Floats
    net: Network

    @classmethod
    def at(cls, wires: Wires, load: Floats) -> _Point:
        return cls(wires, load, network(load, wires))

    def own(self) -> Floats:
        """What devices conduct for what they read."""
        return np.divide(
            self.load, self.net.readings, out=np.ones_like(self.load), where=self.net.readings > 0
        )

    def relative(self, more: Floats | float, grown: Floats) -> Floats:
        """Relative changes of readings [n, ...] by ``more``, and by what loads grow by, relatively."""
        change = more + self.net.changed(self.load * grown)
        return np.divide(change, self.net.readings, out=np.zeros_like(change), where=self.net.readings > 0)

    def moved(self, step: Floats, near: Floats, turns: Floats, pace: Floats) -> _Point:
        """A step further, or as far towards it as what the best device loses changes little enough to trust
        the slopes, and as there are such networks.
        """
        rows, cols = self.load.shape[1:]
        lost = float(np.abs(step) @ (cols, rows, 1, 1) * np.median(self.load))
        share = min(1.0, _TRUSTED / lost) if lost > 0 else 1.0
        for halved in range(_HALVED):
            part = share * 0.5**halved
            grown = near + part * np.tensordot(step, turns, axes=1)
            load = self.load * np.exp(np.clip(grown, -pace, pace))
            try:
                return _Point.at(Wires(*(np.asarray(self.wires) + part * step)), load)
            except FloatingPointError:
                continue
        raise FloatingPointError(f"no wires near {self.wires} explain these readings")


def _solved(
    point: _Point, seen: Floats, size: Floats, first: Floats, segments: Counts
) -> tuple[Floats, Floats]:
    """What loads grow by, relatively, so as to read as seen [states, rows, cols], and for an ohm of each wire
    so as to read the same [4, states, rows, cols].

    Least squares by conjugate gradients, of readings in units of ``size``. What readings hardly tell, as
    those of devices beside a shorted one, stays near what it was first, to a factor of e.
    """
    parts = np.concatenate([(seen - point.net.readings)[np.newaxis], -point.net.by_wires]) / size
    load, net = point.load, point.net
    kept = _UNTOLD * np.concatenate([(first - _log(load))[np.newaxis], np.zeros((4, *load.shape))])

    def times(x: Floats) -> Floats:
        through = load * net.weighed(net.changed(load * x) / size**2)
        return np.stack([_steady(each, segments) for each in through]) + _UNTOLD * x

    right = np.stack([_steady(each, segments) for each in load * net.weighed(parts / size)]) + kept
    usual = _steady((load * net.own() / size) ** 2, segments) + _UNTOLD
    x = np.zeros_like(right)
    left, way = right, right / usual
    sizes = _inner(left, way)
    enough = _EXACT**2 * sizes
    for _ in range(_TURNS):
        if np.all(sizes <= enough):
            break
        along = times(way)
        far = _ratio(sizes, _inner(way, along))
        x, left = x + far * way, left - far * along
        turned = left / usual
        before, sizes = sizes, _inner(left, turned)
        way = turned + _ratio(sizes, before) * way
    return x[0], x[1:]


def _inner(one: Floats, other: Floats) -> Floats:
    return (one * other).sum(axis=(1, 2, 3))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """[n, 1, 1, 1]; 0 where there is nothing to divide by."""
    found = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return found[:, np.newaxis, np.newaxis, np.newaxis]


def _log(siemens: Floats) -> Floats:
    return np.log(np.where(siemens > 0, siemens, 1.0))


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
