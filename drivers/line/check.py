"""What `hil check` asks an array controller: who it is, what it can do, how it stands (``hil.checks``).

No program is sent, no limit is loaded, nothing is stopped: another host's program may still run.
"""

from __future__ import annotations

from typing import final

import numpy as np

from drivers.array_controller import ArrayController
from drivers.examine import refusals, round_trip_s
from drivers.line.answers import BoardLimits, BoardState
from drivers.line.bench import check_scheme, wired_arrays
from drivers.line.link import BoardLink
from drivers.line.lowering import Ticks
from drivers.line.settings import LineBenchSettings
from drivers.transport.session import open_session
from hil.check import Calm, Seen
from hil.units import format_quantity


@final
class LineCheck:
    """Examines a line bench's board."""

    def examine(self, settings: LineBenchSettings, role: str) -> Seen:
        """See `hil.check.Examiner`."""
        board = settings.controller
        with open_session(board.resource, board.transport, role=role) as session:
            controller, link = ArrayController(session, board.serial), BoardLink(session, board.serial)
            link.greet()
            identity = controller.identify()
            limits, state = link.ask("LIMITS", BoardLimits.of), controller.state()
            return Seen(
                identity,
                _words(limits),
                f"{state.run}, outputs {'on' if state.out else 'off'}",
                tuple(f"{code} {message}" for code, message in link.errors()),
                round_trip_s(controller),
                (*_busy(state), *_refused(settings, limits)),
            )

    def make_safe(self, settings: LineBenchSettings, role: str) -> Calm:
        """See `hil.check.Calmer`; a program that runs is stopped."""
        board = settings.controller
        with open_session(board.resource, board.transport, role=role) as session:
            controller, link = ArrayController(session, board.serial), BoardLink(session, board.serial)
            link.greet()
            controller.identify()
            return Calm(controller.make_safe())


def _words(limits: BoardLimits) -> str:
    read, pulse = (format_quantity(volts, "V", digits=3) for volts in (limits.vread, limits.vpulse))
    times = (limits.width_min, limits.width_max, limits.tick)
    shortest, longest, tick = (format_quantity(ns / 1e9, "s", digits=3) for ns in times)
    lines = f"{limits.rows} x {limits.cols} lines"
    return f"{lines}, reads to {read}, pulses to {pulse} of {shortest} to {longest} in steps of {tick}"


def _busy(state: BoardState) -> tuple[str, ...]:
    if state.run == "running":
        return ("a program still runs: wait for its end, or find out whose it is",)
    return ("an output is on: hil safe stops it, or switch the board off and on",) if state.out else ()


def _refused(settings: LineBenchSettings, limits: BoardLimits) -> tuple[str, ...]:
    """What the file asks for and the board does not allow."""
    tick, read = Ticks(limits.tick), settings.read

    def pulses() -> None:
        for name, wired in wired_arrays(settings, limits).items():
            for pulse in (wired.info.device.potentiate, wired.info.device.depress):
                limits.check_pulses(pulse, 1, name)

    return refusals(
        lambda: check_scheme(settings, limits),
        lambda: limits.check_volts(np.array([read.voltage]), "any array"),
        lambda: tick.of("read.settle", read.settle),
        lambda: tick.of("read.integration", read.integration),
        pulses,
    )


check = LineCheck()
