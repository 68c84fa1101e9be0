"""What the benches of real instruments share: what they hold, whose doses, and safe again after a failure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from drivers.checks import Checks, Hardware
from drivers.instruments.failure import tell_unsafe
from drivers.ledger import Ledger
from hil.bench import ArrayInfo, Cost, Execution, Progress
from hil.errors import BenchError, LimitError, ScheduleError
from hil.schedule import Answer, Nudge, Op, Program, Schedule


class InstrumentBench(ABC):
    """Arrays behind instruments, which are made safe whenever a schedule fails.

    Parameters
    ----------
    arrays, identity
        The arrays by name, and who the instruments are by role.
    checks
        What is refused before anything is sent; it counts the pulses.
    """

    durable = True

    def __init__(self, arrays: Mapping[str, ArrayInfo], identity: Mapping[str, str], checks: Checks) -> None:
        self._infos = MappingProxyType(dict(arrays))
        self._identity = dict(identity)
        self._checks = checks

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """The arrays by name."""
        return self._infos

    @property
    def identity(self) -> Mapping[str, str]:
        """Model, serial number, firmware and language of each instrument, by role."""
        return self._identity

    @property
    def doses(self) -> Mapping[str, NDArray[np.uint32]]:
        """Pulses to each device [rows, cols] by array, in its life where counted, else since opening."""
        return self._checks.doses

    def make_safe(self) -> None:
        """All outputs at 0 V and off. Never raises; may be called twice."""
        self._calm()

    @abstractmethod
    def _calm(self) -> tuple[str, ...]:
        """Make safe; what could not be verified, () if all was. Never raises."""

    @contextmanager
    def _safe_after_failure(self) -> Generator[None]:
        """Make safe on any error inside, which then says what could not be verified."""
        try:
            yield
        except BaseException as error:
            tell_unsafe(error, self._calm())
            raise


class StepwiseBench(InstrumentBench):
    """Runs one operation after the other; pulses are kept in a ledger before the first is sent.

    Parameters
    ----------
    arrays, identity
        As for `InstrumentBench`.
    limits
        What the instruments can put out.
    budget, ledger
        The most pulses to a device in its life, and where they are counted; None: they are not.
    """

    def __init__(
        self,
        arrays: Mapping[str, ArrayInfo],
        identity: Mapping[str, str],
        limits: Hardware,
        budget: int | None,
        ledger: Ledger | None,
    ) -> None:
        fresh = {name: np.zeros(info.shape, np.uint32) for name, info in arrays.items()}
        super().__init__(arrays, identity, Checks(arrays, limits, ledger.doses if ledger else fresh, budget))
        self._ledger = ledger

    def execute(self, schedule: Schedule) -> Execution:
        """Run the operations in order.

        Raises
        ------
        ScheduleError, LimitError
            An operation does not fit, or asks for more than the instruments allow; nothing was output.
        BenchError
            An instrument, its library or its line failed, or a current reached the compliance and the bench
            file says stop; all was made safe, or the error says what was not.
        """
        with self._checks.counted(schedule):
            if self._ledger is not None:
                self._ledger.keep(self._checks.doses)
        done: list[tuple[Answer, Cost]] = []
        with self._safe_after_failure():
            try:
                for op in schedule:
                    done.append(self._perform(op))
            except (LimitError, ScheduleError) as error:
                raise BenchError(f"an instrument refused what the bench had admitted: {error}") from error
            except BenchError as error:
                error.progress = self._progress(schedule, done)
                raise
        return Execution(tuple(answer for answer, _ in done), tuple(cost for _, cost in done))

    @abstractmethod
    def _perform(self, op: Op) -> tuple[Answer, Cost]:
        """One operation, checked and counted."""

    def _left(self, op: Op) -> tuple[Op | None, Cost]:
        """What an operation that broke off has left to do, and what was spent on it; None: which pulses were
        given is in doubt.
        """
        return (None if isinstance(op, Program | Nudge) else op), Cost()

    def _progress(self, schedule: Schedule, done: Sequence[tuple[Answer, Cost]]) -> Progress | None:
        rest, begun = self._left(schedule[len(done)])
        if rest is None:
            return None
        made = Execution(tuple(answer for answer, _ in done), tuple(cost for _, cost in done))
        return Progress(made, begun, (rest, *schedule[len(done) + 1 :]))
