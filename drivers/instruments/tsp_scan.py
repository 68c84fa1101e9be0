"""A Keithley 2600B that leads a TSP-Link, and a relay matrix on it: device after device in one transaction.

A function on the 2600B closes the relays of one device, looks what is closed, and only then sources and
measures. Verified against the virtual instruments over sockets; no hardware seen.
Commands and their places in the manuals: docs/instruments/keithley-2600.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from drivers.instruments.keithley_2600 import Keithley2600
from drivers.instruments.replies import Measured, logical, measured, number
from drivers.instruments.tsp_matrix import TspMatrix
from hil.errors import LimitError, SettingError
from hil.instruments import Crosspoint, Readings, Sourcing

_DEVICES = 6
"""Devices in one line: it stays under 600 characters."""
_LONGEST_S = 1.0
"""So long a line may run, in which nobody can break it off."""
_REST_S = 1e-3
"""From 0 V to the next relay: the source has come down by then."""
_SWITCHING_S = 0.05
"""Opening and closing, with relays that are slow and delays that somebody set."""
_FIELDS = 4


class _Point(NamedTuple):
    """What one device was answered by; nothing measured where relays were not as asked."""

    closed: str
    amperes: Measured | None
    volts: Measured | None
    limited: bool

    @property
    def bound(self) -> bool:
        """Whether a value is only a bound."""
        return self.limited or any(each is not None and each.bound for each in (self.amperes, self.volts))


class TspScan:
    """Reads devices through a matrix that the source-measure unit itself switches.

    Parameters
    ----------
    smu
        The leader of the link.
    matrix
        A node of it, on the same session.
    """

    def __init__(self, smu: Keithley2600, matrix: TspMatrix) -> None:
        self._smu = smu
        self._matrix = matrix
        self._settle_s: float | None = None  # of the function that is loaded

    def read(
        self,
        devices: Sequence[Collection[Crosspoint]],
        volts: float,
        sourcing: Sourcing,
        *,
        until_bound: bool = False,
    ) -> Readings:
        """Each device at one voltage, by its two crosspoints, one after the other; relays switch at 0 V.

        ``until_bound``: the first transaction with a current that is only a bound is the last, and those
        that were not read are not among the readings.

        Raises
        ------
        LimitError
            A crosspoint is not there, or forbidden, or the unit has not such a voltage; nothing was sent.
        BenchError
            An instrument or its line failed; the source was made safe, relays may still be closed.
        """
        self._smu.check(np.array([volts]), sourcing)
        names = [self._pair(each) for each in devices]
        self._matrix.ready()
        each_s = 3 * sourcing.integration_s + sourcing.settle_s + _REST_S + _SWITCHING_S
        size = max(1, min(_DEVICES, int(_LONGEST_S / each_s)))
        found: list[_Point] = []
        with self._smu.safe_on_failure("output at 0 V and off"):
            if self._smu.load(abs(volts), sourcing) or self._settle_s != sourcing.settle_s:
                self._define(sourcing)
            for start in range(0, len(names), size):
                found += self._read(names[start : start + size], volts, each_s)
                if until_bound and any(each.bound for each in found[start:]):
                    break
        return _readings(found)

    def _pair(self, device: Collection[Crosspoint]) -> tuple[str, str]:
        names = sorted(self._matrix.checked(device))
        if len(names) != 2:
            raise LimitError(f"a device is read through two crosspoints; {len(names)} were asked for")
        return names[0], names[1]

    @property
    def _word(self) -> str:
        return self._smu.session.salt

    def _define(self, sourcing: Sourcing) -> None:
        """One line with the function; what it finds closed it compares itself, before there is a voltage."""
        self._settle_s = None
        at, word = self._matrix.tsp.at, self._word
        settle = f"delay({sourcing.settle_s:.6e}) " if sourcing.settle_s else ""
        self._matrix.tsp.ask(
            self._smu.lua(
                f'function {word}r(a,b) {at}channel.exclusiveclose(a..","..b) '
                f'local g={at}channel.getclose("allslots") or "" local i,v,c '
                "if string.len(g)==string.len(a..b)+1 and string.find(g,a,1,true) "
                f"and string.find(g,b,1,true) then S.source.levelv={word}v {settle}i,v=S.measure.iv() "
                f"c=S.source.compliance S.source.levelv=0 delay({_REST_S:.6e}) end return i,v,c,g end"
            ),
            (),
            lambda _: None,
        )
        self._settle_s = sourcing.settle_s

    def _read(self, names: Sequence[tuple[str, str]], volts: float, each_s: float) -> list[_Point]:
        matrix, smu, word = self._matrix, self._smu, self._word
        calls = "".join(f'i{k},v{k},c{k},g{k}={word}r("{a}","{b}") ' for k, (a, b) in enumerate(names))
        values = [f"{letter}{k}" for k in range(len(names)) for letter in "ivcg"]
        rule = f"{matrix.tsp.at}channel.connectrule"

        def parsed(fields: list[str]) -> tuple[list[_Point], list[str], float]:
            points, held = fields[: len(values)], fields[len(values) : -1]
            return _points(points), held, number(fields[-1])

        # The settings are asked for again, as with every reading of the 2600's driver.
        points, held, rules = matrix.tsp.ask(
            f"{rule}=1 {word}v={volts:.6e} {calls}".rstrip(),
            [*values, *smu.held, rule],
            parsed,
            timeout_s=smu.session.settings.timeout + len(names) * each_s,
        )
        for pair, point in zip(names, points, strict=True):
            matrix.verify(frozenset(pair), point.closed, rules)
            if point.amperes is None:
                raise SettingError(
                    f"{smu.session.role}: {' and '.join(pair)} are closed, and nothing was measured"
                )
        smu.verify_held(held)
        return points


def _points(fields: Sequence[str]) -> list[_Point]:
    found: list[_Point] = []
    for k in range(0, len(fields), _FIELDS):
        amperes, volts, limited, closed = fields[k : k + _FIELDS]
        if amperes == "nil":
            found.append(_Point(closed, None, None, False))
        else:
            found.append(_Point(closed, measured(amperes), measured(volts), logical(limited)))
    return found


def _readings(points: Sequence[_Point]) -> Readings:
    measurements = [
        (each.volts.value, each.amperes.value, each.bound)
        for each in points
        if each.volts is not None and each.amperes is not None
    ]
    return Readings(
        np.array([volts for volts, _, _ in measurements]),
        np.array([amperes for _, amperes, _ in measurements]),
        np.array([bound for _, _, bound in measurements], np.bool_),
    )
