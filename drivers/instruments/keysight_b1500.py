"""Source-measure modules of a Keysight B1500A (B1510A, B1511A, B1511B, B1517A), by FLEX.

Its pulse generators are in keysight_spgu; drivers of all its modules may share one session.

Verified against drivers/sim/virtual/keysight_b1500.py over sockets; no hardware seen.
Commands and their places in the manual: docs/instruments/keysight-b1500a.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from drivers.instruments.flex import LONGEST, Datum, Learnt, Module
from drivers.instruments.instrument import output_at
from drivers.instruments.smu_limits import Family, check_limits, highest
from hil.errors import IdentityError, LimitError, SettingError
from hil.instruments import Readings, Sourcing, Standing
from hil.region import Floats

_DECADES = tuple(float(f"1e{k}") for k in range(-11, 1))
_MEDIUM = ((20.0, 0.1), (40.0, 0.05), (100.0, 0.02))
_MPSMU = Family((0.5, 2.0, 5.0, 20.0, 40.0, 100.0), _DECADES[2:11], _MEDIUM, 1e-9)
_FAMILIES = {
    "B1510A": Family(
        (2.0, 20.0, 40.0, 100.0, 200.0),
        _DECADES[2:],
        ((20.0, 1.0), (40.0, 0.5), (100.0, 0.125), (200.0, 0.05)),
        1e-9,
    ),
    "B1511A": _MPSMU,
    "B1511B": _MPSMU,
    "B1517A": _MPSMU._replace(amperes=_DECADES[:11], least_a=10e-12),
}
_RANGE_V = {0.5: 5, 2.0: 20, 5.0: 50, 20.0: 200, 40.0: 400, 100.0: 1000, 200.0: 2000}
_RANGE_A = dict(zip(_DECADES, range(9, 21), strict=True))
_INTEGRATION_S = (2e-6, 20e-3)
_STEP_S = 2e-6
_WAIT_S = 1e-4
_LONGEST_WAIT_S = 99.9999
_GOOD = "N"
_ANY = math.nan
_LEVEL = 2
"""Of the parameters of DV: module, range, volts, compliance."""


@dataclass
class KeysightB1500Smu(Module):
    """One source-measure module; an `hil.instruments.Smu`. See `Module` for session and serial number.

    Parameters
    ----------
    channel
        The slot of the module, 1 to 10.
    """

    _: KW_ONLY
    channel: int = 1
    _family: Family = field(default=_MPSMU, init=False)
    _set: tuple[int, float, Sourcing] | None = field(default=None, init=False)

    def check(self, volts: Floats, sourcing: Sourcing) -> None:
        """See `hil.instruments.Smu.check`."""
        role = self.session.role
        check_limits(role, self._family, volts, sourcing, _INTEGRATION_S, _LONGEST_WAIT_S)
        steps = sourcing.integration_s / _STEP_S
        if abs(steps - round(steps)) > 1e-3:
            raise LimitError(
                f"{role}: integration: asked for {sourcing.integration_s:g} s; this module takes multiples "
                f"of {_STEP_S:g} s"
            )

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        """See `hil.instruments.Smu.measure`; a transaction for each few points, and one for the errors."""
        self.check(volts, sourcing)
        found: list[Datum] = []
        with self.safe_on_failure(f"slot {self.channel} at 0 V and off"):
            top = self._family.range_v(highest(volts))
            self._set_up(top, sourcing)
            for line, count in self._lines(volts, top, sourcing):
                found += self._measure(line, count, sourcing)
            self._frame.flex.raise_errors(f"measurements of slot {self.channel}")
        currents, levels = found[::2], found[1::2]
        bound = [
            a.value.bound or v.value.bound or a.status != _GOOD or v.status != _GOOD
            for a, v in zip(currents, levels, strict=True)
        ]
        return Readings(
            np.array([each.value.value for each in levels]),
            np.array([each.value.value for each in currents]),
            np.array(bound, np.bool_),
        )

    def standing(self) -> Standing:
        """See `hil.instruments.Stands.standing`. With its switch closed it holds a DV or another source."""
        held = self._frame.flex.learn(self.channel)
        if held == [Learnt("CL", [self.channel])]:
            return output_at(False)
        if len(held) == 1 and held[0].command == "DV" and len(held[0].parameters) > _LEVEL:
            return output_at(True, held[0].parameters[_LEVEL])
        return Standing(True, f"output on: {', '.join(each.command for each in held)}")

    @property
    def _off(self) -> str:
        """Other modules are left alone."""
        return f"CL {self.channel}"

    def _forget(self) -> None:
        self._set = None

    def _switched_off(self) -> tuple[str, ...]:
        off = self._off
        held = self._frame.flex.learn(self.channel, off)
        if held != [Learnt("CL", [self.channel])]:
            return (f"{self.session.role}: after {off!r} slot {self.channel} holds {held}",)
        return ()

    def _find_module(self) -> None:
        module = self._frame.modules.get(self.channel)
        if module not in _FAMILIES:
            raise IdentityError(
                f"{self.session.role}: slot {self.channel} holds {module or 'nothing'}; one of "
                f"{', '.join(_FAMILIES)} is needed"
            )
        self._family = _FAMILIES[module]

    def _set_up(self, top: float, sourcing: Sourcing) -> None:
        """The switch closes at 0 V first: the module takes its settings only then. They are read back before
        any other voltage.
        """
        frame, slot = self._frame, self.channel
        if self._set == (frame.epoch, top, sourcing) and frame.integration_s == sourcing.integration_s:
            return
        self._set = frame.integration_s = None
        compliance, seconds = f"{sourcing.compliance_a:.6e}", f"{sourcing.integration_s:.6e}"
        frame.flex.do(
            "FMT 11,0", "CM 0", "AV 1", f"AIT 0,3,{seconds}", f"AAD {slot},0", f"CL {slot}", f"CN {slot}",
            f"DV {slot},{_RANGE_V[top]},0,{compliance}",
        )  # fmt: skip
        self._verify(31, Learnt("FMT", [11, 0]))
        self._verify(55, Learnt("AAD", [slot, 0]))
        self._verify(56, Learnt("AIT", [0, 3, float(seconds)]))
        # A range has several numbers. What is set is rounded to the 20000th part of its range (page 1-37).
        rounding = self._family.range_a(sourcing.compliance_a) / 20000
        self._verify(slot, Learnt("DV", [slot, _ANY, 0, float(compliance)]), rounding)
        self._set, frame.integration_s = (frame.epoch, top, sourcing), sourcing.integration_s

    def _verify(self, kind: int, asked: Learnt, rounding: float = 0.0) -> None:
        """That a setting is held; what the instrument tells beyond the parameters asked for is left open."""
        held = self._frame.flex.learn(kind)
        if not any(_alike(each, asked, rounding) for each in held):
            raise SettingError(f"{self.session.role}: {asked} was set; *LRN? {kind} tells {held}")

    def _lines(self, volts: Floats, top: float, sourcing: Sourcing) -> list[tuple[str, int]]:
        """Lines of spot measurements that end at 0 V, and how many values each is answered by."""
        source, meter = (
            f"{self.channel},{_RANGE_V[top]}",
            _RANGE_A[self._family.range_a(sourcing.compliance_a)],
        )
        # PA counts in 0.1 ms; a wait in between is rounded up.
        ticks = math.ceil(round(sourcing.settle_s / _WAIT_S, 6))
        wait = f"PA {ticks * _WAIT_S:.4f};" if ticks else ""
        points = [
            f"DV {source},{volt:.6e};{wait}TI {self.channel},-{meter};TV {source};" for volt in volts.tolist()
        ]
        end = f"DV {source},0"
        longest = max((len(point) for point in points), default=1)
        size = (LONGEST - len(end)) // longest
        return [
            ("".join(points[k : k + size]) + end, 2 * len(points[k : k + size]))
            for k in range(0, len(points), size)
        ]

    def _measure(self, line: str, count: int, sourcing: Sourcing) -> Sequence[Datum]:
        longest = self.session.settings.timeout + count * (2 * sourcing.integration_s + sourcing.settle_s)
        letter = "ABCDEFGHIJ"[self.channel - 1]
        return self._frame.flex.spots(line, [letter + "I", letter + "V"] * (count // 2), timeout_s=longest)


def _alike(held: Learnt, asked: Learnt, rounding: float) -> bool:
    if held.command != asked.command or len(held.parameters) < len(asked.parameters):
        return False
    return all(
        math.isnan(wanted) or abs(now - wanted) <= rounding + 1e-5 * abs(wanted)
        for now, wanted in zip(held.parameters, asked.parameters, strict=False)
    )
