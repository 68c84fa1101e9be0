"""One suite for every instrument of a kind, virtual or real: it finds where a driver breaks its contract.

def test_our_smu_conforms():
    check_smu(lambda: open_our_smu(), volts=0.1, sourcing=Sourcing(1e-3, 20e-3), ohms=1e6)

The volts given are output, and no more than those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from inspect import getdoc
from typing import TypeAlias, TypeVar

import numpy as np

from hil.conformance.probe import NotApplicable, Violation
from hil.errors import HilError, LimitError, ScheduleError
from hil.instruments import Crosspoint, Instrument, Pulser, Readings, Smu, Sourcing, SwitchMatrix
from hil.schedule import Pulse

T = TypeVar("T", bound=Instrument)
Check: TypeAlias = Callable[[T], None]


class InstrumentConformanceError(AssertionError):
    """An instrument breaks its contract; the message lists every failed check."""


def check_smu(
    factory: Callable[[], AbstractContextManager[Smu]],
    *,
    volts: float,
    sourcing: Sourcing,
    ohms: float | None = None,
    rtol: float = 0.01,
) -> Sequence[str]:
    """Check an SMU with a passive load; the names of the checks that did not apply.

    Parameters
    ----------
    factory
        Opens the connected instrument as a context, closed on leaving.
    volts
        What the load stands, of both signs.
    ohms
        The load, if it is a resistor that is known to ``rtol``.

    Raises InstrumentConformanceError if a check failed; all were run.
    """

    def measured(smu: Smu, asked: Sequence[float], how: Sourcing = sourcing) -> Readings:
        return smu.measure(np.array(asked, np.float64), how)

    def once(smu: Smu) -> object:
        return measured(smu, [0.0])

    def answers_in_order(smu: Smu) -> None:
        """Every voltage has its reading, in the order asked for."""
        asked = [0.0, volts, -volts, volts / 2] * 5
        readings = measured(smu, asked)
        if {len(part) for part in readings} != {len(asked)}:
            raise Violation(f"{len(asked)} voltages have {[len(part) for part in readings]} answers")
        if not np.allclose(readings.volts, asked, rtol=rtol, atol=rtol * volts):
            raise Violation(f"asked for {asked[:4]} V; measured {readings.volts[:4].tolist()} V")

    def nothing_asked(smu: Smu) -> None:
        """No voltage has no reading."""
        if len(measured(smu, []).amperes):
            raise Violation("a list of no voltage was answered by a reading")

    def follows_the_load(smu: Smu) -> None:
        """The current is the voltage over the load's resistance, and has its sign."""
        if ohms is None:
            raise NotApplicable
        readings = measured(smu, [volts, -volts])
        expected = np.array([volts, -volts]) / ohms
        if readings.clipped.any() or not np.allclose(readings.amperes, expected, rtol=rtol):
            raise Violation(f"{expected.tolist()} A expected; {readings.amperes.tolist()} A measured")

    def compliance_is_flagged(smu: Smu) -> None:
        """A current that the compliance bounds is flagged, and no other."""
        if ohms is None:
            raise NotApplicable
        tight = Sourcing(abs(volts) / ohms / 2, sourcing.integration_s, sourcing.settle_s)
        clipped = measured(smu, [volts, 0.0, -volts], tight).clipped.tolist()
        if clipped != [True, False, True]:
            raise Violation(f"flags at half the current's compliance for +, 0 and - are {clipped}")

    def impossible_is_refused(smu: Smu) -> None:
        """NaN, infinity and a million volts are refused with LimitError, and nothing is sent."""
        before = smu.transactions
        for impossible in (math.nan, math.inf, 1e6):
            _refused(lambda v=impossible: measured(smu, [0.0, v]), f"{impossible} V")
        _refused(lambda: measured(smu, [0.0], Sourcing(1e6, sourcing.integration_s)), "1e6 A")
        if smu.transactions != before:
            raise Violation(f"refusing took {smu.transactions - before} transactions")

    def works_after_make_safe(smu: Smu) -> None:
        """Making safe is not the end: the next measurement works."""
        smu.make_safe()
        measured(smu, [volts])

    checks = (
        answers_in_order,
        nothing_asked,
        follows_the_load,
        compliance_is_flagged,
        impossible_is_refused,
        works_after_make_safe,
        _counted(once),
    )
    return _run(factory, checks)


def check_pulser(factory: Callable[[], AbstractContextManager[Pulser]], *, pulse: Pulse) -> Sequence[str]:
    """Check a pulse generator with pulses of one kind, eight in all; see `check_smu`."""

    def impossible_is_refused(pulser: Pulser) -> None:
        """No pulse, a negative number and a million volts are refused, and nothing is sent."""
        before = pulser.transactions
        for count in (0, -1):
            _refused(lambda n=count: pulser.burst(pulse, n), f"{count} pulses")
        _refused(lambda: pulser.burst(Pulse(1e6, pulse.width_s, pulse.gap_s), 1), "1e6 V")
        if pulser.transactions != before:
            raise Violation(f"refusing took {pulser.transactions - before} transactions")

    def once(pulser: Pulser) -> None:
        pulser.burst(pulse, 1)

    def bursts(pulser: Pulser) -> None:
        """One pulse and several, one burst after the other and after making safe."""
        for count in (1, 4, 1):
            pulser.burst(pulse, count)
        pulser.make_safe()
        pulser.burst(pulse, 1)

    return _run(factory, (impossible_is_refused, bursts, _counted(once)))


def check_matrix(
    factory: Callable[[], AbstractContextManager[SwitchMatrix]], *, closed: Collection[Crosspoint]
) -> Sequence[str]:
    """Check a switch matrix on crosspoints that may be closed together; see `check_smu`."""

    def impossible_is_refused(matrix: SwitchMatrix) -> None:
        """A crosspoint outside is refused, and nothing is sent."""
        before, (rows, cols) = matrix.transactions, matrix.shape
        for outside in (Crosspoint(rows, 0), Crosspoint(0, cols), Crosspoint(-1, 0)):
            _refused(lambda point=outside: matrix.connect([*closed, point]), str(outside))
        if matrix.transactions != before:
            raise Violation(f"refusing took {matrix.transactions - before} transactions")

    def none(matrix: SwitchMatrix) -> None:
        matrix.connect(())

    def connects(matrix: SwitchMatrix) -> None:
        """All of them, each alone, none, and again after making safe."""
        for chosen in (closed, *([point] for point in closed), ()):
            matrix.connect(chosen)
        matrix.make_safe()
        matrix.connect(closed)

    return _run(factory, (impossible_is_refused, connects, _counted(none)))


def _identity(instrument: Instrument) -> None:
    """Who answers is said whole, and the same twice."""
    first = instrument.identify()
    if not all((first.maker, first.model, first.serial, first.firmware, first.language)):
        raise Violation(f"a field is empty: {first!r}")
    if instrument.identify() != first:
        raise Violation("asked twice, another one answers")


def _safe(instrument: Instrument) -> None:
    """Making safe is verified, and can be done twice."""
    for problems in (instrument.make_safe(), instrument.make_safe()):
        if problems:
            raise Violation("; ".join(problems))


def _counted(act: Callable[[T], object]) -> Check[T]:
    def transactions_counted(instrument: T) -> None:
        """What is done is counted in transactions."""
        before = instrument.transactions
        act(instrument)
        if not instrument.transactions > before:
            raise Violation(f"transactions went from {before} to {instrument.transactions}")

    return transactions_counted


def _refused(act: Callable[[], object], what: str) -> None:
    try:
        act()
    except (LimitError, ScheduleError):
        return
    raise Violation(f"{what} was not refused")


def _run(factory: Callable[[], AbstractContextManager[T]], checks: Sequence[Check[T]]) -> Sequence[str]:
    """Each check on a freshly opened instrument; the names of those that did not apply."""
    failed: list[str] = []
    skipped: list[str] = []
    for check in (_identity, _safe, *checks):
        name = check.__name__.strip("_")
        try:
            with factory() as instrument:
                check(instrument)
        except NotApplicable:
            skipped.append(name)
        except Violation as violation:
            failed.append(f"{name}: {getdoc(check)}\n    {violation}")
        except HilError as error:
            failed.append(f"{name}: {getdoc(check)}\n    refused or failed: {type(error).__name__}: {error}")
        except Exception as error:  # a fault of the driver: the other checks must still run
            failed.append(f"{name}: {getdoc(check)}\n    raised {type(error).__name__}: {error}")
    if failed:
        raise InstrumentConformanceError(
            f"{len(failed)} of {len(checks) + 2} checks failed\n" + "\n".join(failed)
        )
    return skipped
