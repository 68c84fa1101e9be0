"""Pulse generators of a Keysight B1500A (B1525A), one channel each, by FLEX.

Verified against drivers/sim/virtual/keysight_b1500.py over sockets; no hardware seen.
Commands and their places in the manual: docs/instruments/keysight-b1500a.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

from drivers.instruments.flex import Module, numbers
from drivers.instruments.instrument import output_at
from drivers.instruments.replies import whole
from hil.errors import IdentityError, InstrumentError, LimitError, SettingError, TimeoutError_
from hil.instruments import Standing
from hil.schedule import Pulse

_MODULE = "B1525A"
_VOLTS = 40.0
_SOURCE_OHMS = 50.0
_LOAD_OHMS = (0.1, 1e6)
_PERIOD_S = (20e-9, 10.0)
_EDGE_S = (20e-9, 0.4)
_STEP_S = 10e-9
_ROUNDING_V = 0.5e-3
_MOST = 1_000_000
_POLL_S = 0.01


@dataclass
class KeysightB1500Spgu(Module):
    """One channel of an SPGU module; an `hil.instruments.Pulser`. Others may share its session.

    Parameters
    ----------
    channel
        Slot and 01 or 02: 501 is the first of slot 5.
    edge_s
        Leading and trailing edge; width and gap are twice that at least.
    load_ohms
        What it drives: the module raises its level for the share that its own 50 ohms would take.
    settle_s
        From switching on to the first start: the output relay has closed by then.
    pause
        Waits so many seconds.
    """

    _: KW_ONLY
    channel: int = 101
    edge_s: float = 20e-9
    load_ohms: float = 1e6
    settle_s: float = 0.05
    pause: Callable[[float], None] = time.sleep
    _epoch: int = field(default=-1, init=False)
    _doubtful: bool = field(default=False, init=False)

    def check(self, pulse: Pulse, count: int) -> None:
        """See `hil.instruments.Pulser.check`."""
        role, period, edges = self.session.role, pulse.width_s + pulse.gap_s, 2 * self.edge_s
        volts = _VOLTS * self.load_ohms / (self.load_ohms + _SOURCE_OHMS)
        for what, asked, least, most, unit in (
            ("count", count, 1, _MOST, "pulses"),
            ("amplitude", abs(pulse.amplitude_v), 0.0, volts, "V"),
            ("period", period, *_PERIOD_S, "s"),
            ("width", pulse.width_s, edges, _PERIOD_S[1], "s"),
            ("gap", pulse.gap_s, edges, _PERIOD_S[1], "s"),
            ("edge", self.edge_s, *_EDGE_S, "s"),
            ("load", self.load_ohms, *_LOAD_OHMS, "ohm"),
        ):
            if not least * (1 - 1e-9) <= asked <= most * (1 + 1e-9):
                raise LimitError(
                    f"{role}: {what}: asked for {asked:g} {unit}; allowed are {least:g} to {most:g} {unit}"
                )
        for what, asked in (("width", pulse.width_s), ("period", period)):
            if abs(asked / _STEP_S - round(asked / _STEP_S)) > 1e-3:
                raise LimitError(
                    f"{role}: {what}: asked for {asked:g} s; multiples of {_STEP_S:g} s are allowed"
                )

    def burst(self, pulse: Pulse, count: int) -> None:
        """See `hil.instruments.Pulser.burst`; an error's notes say whether pulses are in doubt."""
        self.check(pulse, count)
        self._doubtful = False

        def known() -> str:
            doubt = f"at most {count} are in doubt" if self._doubtful else "none was started"
            return f"{self.session.role}: 0 of {count} pulses are known to have come; {doubt}"

        with self.safe_on_failure(f"channel {self.channel} stopped and off", known):
            self._set_up(pulse, count)
            self._fire(pulse, count)

    def standing(self) -> Standing:
        """See `hil.instruments.Stands.standing`; base and peak of its pulses."""
        flex = self._frame.flex
        on = any(each.command == "CN" and self.channel in each.parameters for each in flex.learn(0))
        if flex.ask("", "SPST?", whole):
            return Standing(True, "putting out pulses")
        return output_at(on, *flex.ask("", f"SPV? {self.channel},1", numbers)) if on else output_at(False)

    @property
    def _off(self) -> str:
        """Pulses stop, and SMUs are left alone."""
        return f"SPP;CL {self.channel}"

    def _forget(self) -> None:
        self._frame.pulses = None

    def _switched_off(self) -> tuple[str, ...]:
        stop = self._off
        busy = self._frame.flex.ask(stop, "SPST?", whole)
        on = self._frame.flex.learn(0)
        if busy or any(each.command == "CN" and self.channel in each.parameters for each in on):
            return (f"{self.session.role}: after {stop!r} SPST? tells {busy}, *LRN? 0 tells {on}",)
        return ()

    def _find_module(self) -> None:
        module = self._frame.modules.get(self.channel // 100)
        if module != _MODULE or self.channel % 100 not in (1, 2):
            raise IdentityError(
                f"{self.session.role}: channel {self.channel}: slot {self.channel // 100} holds "
                f"{module or 'nothing'}; a {_MODULE} with channels 01 and 02 is needed"
            )

    def _set_up(self, pulse: Pulse, count: int) -> None:
        """Settings with the output off. As a start lets all SPGU channels pulse, the others go to 0 V DC."""
        frame, flex = self._frame, self._frame.flex
        if self._epoch != frame.epoch:
            if flex.ask("", "SPST?", whole):
                raise InstrumentError(
                    f"{self.session.role}: the SPGU is putting out pulses that nobody here started"
                )
            self._epoch, frame.pulses = frame.epoch, None
        ours = frame.pulses is not None and frame.pulses[:2] == (self.channel, pulse)
        if frame.pulses == (self.channel, pulse, count):
            return
        frame.pulses = None
        if ours:
            flex.do(f"SPRM 1,{count}")
        else:
            self._set_pulse(pulse, count)
        self._verify("SPRM?", [1, count])
        if not ours:
            flex.do(f"CN {self.channel}", f"SPUPD {self.channel}")
            self.pause(self.settle_s)
        frame.pulses = (self.channel, pulse, count)

    def _set_pulse(self, pulse: Pulse, count: int) -> None:
        channel, edge = self.channel, f"{self.edge_s:.6e}"
        period, width, volts = pulse.width_s + pulse.gap_s, pulse.width_s, pulse.amplitude_v
        idle = [
            command
            for slot, module in self._frame.modules.items()
            if module == _MODULE
            for other in (100 * slot + 1, 100 * slot + 2)
            if other != channel
            for command in (f"SPM {other},0", f"SPV {other},0,0", f"SPUPD {other}")
        ]
        self._frame.flex.do(
            f"CL {channel}", "SIM 0", *idle, f"SPRM 1,{count}", f"SPPER {period:.6e}", f"SPM {channel},1",
            f"SPT {channel},1,0,{width:.6e},{edge},{edge}", f"SER {channel},{self.load_ohms:.6e}",
            f"SPV {channel},1,0,{volts:.6e}",
        )  # fmt: skip
        self._verify("SIM?", [0])
        self._verify("SPPER?", [period])
        self._verify(f"SPM? {channel}", [1])
        self._verify(f"SPT? {channel},1", [0, width, self.edge_s, self.edge_s])
        self._verify(f"SER? {channel}", [self.load_ohms])
        self._verify(f"SPV? {channel},1", [0, volts], _ROUNDING_V)

    def _verify(self, query: str, asked: list[float], rounding: float = 0.0) -> None:
        held = self._frame.flex.ask("", query, numbers)
        if len(held) != len(asked) or any(
            abs(h - a) > rounding + 1e-5 * abs(a) for h, a in zip(held, asked, strict=True)
        ):
            raise SettingError(f"{self.session.role}: {asked} was set; {query!r} is answered {held}")

    def _fire(self, pulse: Pulse, count: int) -> None:
        """Start once, and wait for the end."""
        flex, lasts = self._frame.flex, count * (pulse.width_s + pulse.gap_s)
        self._doubtful = True
        flex.do("SRP")
        self.pause(lasts)
        patience = self.session.settings.timeout + 0.01 * lasts
        for _ in range(1 + round(patience / _POLL_S)):
            if not flex.ask("", "SPST?", whole):
                break
            self.pause(_POLL_S)
        else:
            raise TimeoutError_(
                f"{self.session.role}: {count} pulses of {lasts:g} s in all have not ended after "
                f"{lasts + patience:g} s"
            )
        flex.raise_errors("SRP")
        self._doubtful = False
