"""One simulated array over time: what its devices hold, what a measurement sees of it, what pulses do to it.

Drift and line resistance stand between the devices and a measurement; both are off by default, and then what
is seen is what is held, without a copy.
"""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from drivers.sim.kernels import Programmed, program
from drivers.sim.response import NOMINAL, Factors
from drivers.sim.settings import DisturbSettings, DriftSettings, LineSettings
from drivers.sim.shots import Train
from drivers.sim.state import Devices, TableDevices
from drivers.sim.tables import mean_over_quantiles
from hil.bench import ArrayInfo
from hil.schedule import Counts, Index, Pulses, Region

Array = NDArray[np.float32]
Floats = NDArray[np.float64]


class SimArray:
    """Devices, wires and time of one array.

    Parameters
    ----------
    info, devices, faulty
        What the array says of itself, its devices, and which of them do not work, bool [rows, cols].
    drift, disturb, lines
        Settings of the effects.
    nu
        Drift exponents [rows, cols].
    """

    def __init__(
        self,
        info: ArrayInfo,
        devices: Devices | TableDevices,
        faulty: NDArray[np.bool_],
        drift: DriftSettings,
        disturb: DisturbSettings,
        lines: LineSettings,
        nu: Floats,
    ) -> None:
        self.info = info
        self.devices = devices
        self._lines = lines
        self._disturb = disturb
        self._t0 = drift.t0
        self._drifts = bool(nu.any())
        self._resists = lines.row > 0 or lines.col > 0
        self._changed = True
        self._seen = devices
        self._seen_at_s = 0.0
        if self._drifts:
            self._nu: Floats = np.where(faulty, 0.0, nu)
            self._programmed_at_s: Floats = np.zeros(info.shape)
        if self._drifts or self._resists:
            self._seen = copy.copy(devices)

    def held(self, now_s: float) -> Array:
        """Conductances [rows, cols] at a time, drift included, whatever the wires show of them."""
        if not self._drifts:
            return self.devices.g
        since = np.maximum(now_s - self._programmed_at_s, self._t0) / self._t0
        return (self.devices.g * since**-self._nu).astype(np.float32)

    def seen(self, now_s: float) -> Devices | TableDevices:
        """The devices as a measurement finds them at a time: their ``g`` is amperes per volt."""
        if self._seen is self.devices:
            return self.devices
        if self._changed or (self._drifts and self._seen_at_s != now_s):
            g = self.held(now_s)
            if self._resists:
                from drivers.sim.lines import transfer

                g = transfer(g.astype(np.float64), self._lines.row, self._lines.col).T
            self._seen.g = np.ascontiguousarray(g, dtype=np.float32)
            self._seen_at_s, self._changed = now_s, False
        return self._seen

    def pulse(
        self, region: Region, counts: Counts | Pulses, now_s: float, key: int, factors: Factors = NOMINAL
    ) -> Programmed:
        """Pulse a region's devices: from the conductance they have drifted to, and drift starts anew where a
        pulse is worth anything.
        """
        if self._drifts:
            pulsed = _pulsed(region, counts, factors)
            self.devices.g[pulsed] = self.held(now_s)[pulsed]
            self._programmed_at_s[pulsed] = now_s
        self._changed = True
        return program(self.devices, region.rows, region.cols, region.col_start, counts, key, factors)

    def put(self, rows: Index, cols: Index, siemens: Array) -> None:
        """Set the devices at [rows[i], cols[i]] to siemens [i]; their drift goes on."""
        self.devices.g[rows, cols] = siemens
        self._changed = True

    def disturb(self, region: Region, up: Train, down: Train, factors: Factors) -> None:
        """Move the devices that were not the target, by the set fraction of a step for each pulse they saw.

        A device sees the pulses of its row and of its column, but not those in which both were driven: these
        are its own. With V/3 the rest of the array sees every shot too, with the opposite sign.
        """
        seen_up = factors.up * _seen_by_lines(self.info, region, up)
        seen_down = factors.down * _seen_by_lines(self.info, region, down)
        if self._disturb.scheme == "V/3":
            own_up, own_down = _placed(self.info, region, up.own), _placed(self.info, region, down.own)
            rest_up = factors.up * (up.shots - own_up) - seen_up
            rest_down = factors.down * (down.shots - own_down) - seen_down
            seen_up, seen_down = seen_up + rest_down, seen_down + rest_up
        share = self._disturb.half_select
        _fractional_pulses(self.devices, share * seen_up, share * seen_down)
        self._changed = True


def _pulsed(region: Region, counts: Counts | Pulses, factors: Factors) -> tuple[Index, Index]:
    """Rows and columns of the devices that get pulses worth anything, [k] each."""
    if isinstance(counts, Pulses):
        rows, cols = np.repeat(np.arange(region.rows.size), np.diff(counts.starts)), counts.places
        numbers = counts.numbers
    else:
        rows, cols = np.nonzero(counts)
        numbers = counts[rows, cols]
    felt = np.where(numbers > 0, factors.up, factors.down) > 0
    return region.rows[rows[felt]], region.cols[cols[felt]]


def _placed(info: ArrayInfo, region: Region, values: Floats) -> Floats:
    """Values of a region [r, c] in an array of zeros [rows, cols]."""
    whole = np.zeros(info.shape)
    whole[np.ix_(region.rows, region.cols)] = values
    return whole


def _seen_by_lines(info: ArrayInfo, region: Region, train: Train) -> Floats:
    """Half-selecting pulses that each device of the array saw through its row or its column [rows, cols]."""
    rows, cols = np.zeros(info.rows), np.zeros(info.cols)
    rows[region.rows] = train.rows
    cols[region.cols] = train.cols
    return rows[:, np.newaxis] + cols - 2 * _placed(info, region, train.own)


def _fractional_pulses(devices: Devices | TableDevices, up: Floats, down: Floats) -> None:
    """First ``up`` and then ``down`` pulses [rows, cols], whole or not, without programming noise."""
    g = devices.g.astype(np.float64)
    for pulses, rising in ((up, True), (down, False)):
        if isinstance(devices, Devices):
            a, k = (devices.up_a, devices.up_k) if rising else (devices.down_a, devices.down_k)
            slope = k.astype(np.float64)
            safe = np.where(slope == 0, 1.0, slope)
            phi = np.where(slope == 0, pulses, -np.expm1(pulses * np.log1p(-slope)) / safe)
            g += (a - slope * g) * phi
        else:
            g += _table_step(devices, g, devices.up if rising else devices.down) * pulses
        np.clip(g, devices.lo, devices.hi, out=g)
    devices.g[...] = g


def _table_step(devices: TableDevices, g: Floats, table: Array) -> Floats:
    """Mean step of each device where it stands [rows, cols]."""
    mean = mean_over_quantiles(table)
    points = mean.shape[1]
    lo, hi = devices.grid_lo[devices.kind], devices.grid_hi[devices.kind]
    x = np.clip((g - lo) / (hi - lo), 0, 1) * (points - 1)
    x0 = np.minimum(x.astype(np.int64), points - 2)
    below, above = mean[devices.kind, x0], mean[devices.kind, x0 + 1]
    return below + (x - x0) * (above - below)
