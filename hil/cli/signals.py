"""Leaving a run by signal: the first asks, the second insists, and no third disturbs the way to 0 V."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (
    (signal.SIGINT, signal.SIGTERM)
    if sys.platform == "win32"
    else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
)

AT_ONCE = "stopped at once; the outputs are at 0 V"
"""Said when an interrupt has come out: plans let none pass before the bench is safe."""


class Stop:
    """Asked between steps whether to stop; within ``with`` it takes SIGINT, SIGTERM and SIGHUP.

    Before :meth:`be_patient` the first signal raises KeyboardInterrupt, since there is nothing to bring to an
    end; after it the first is noted and passed to ``told``, and the second raises. Later signals are ignored:
    the bench is being made safe. Within :meth:`prompt` the first one raises, within :meth:`held` none does.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._told: Callable[[str], None] | None = None
        self._insisted = self._held = self._prompt = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self._number is not None

    @property
    def exit_code(self) -> int:
        """128 and the number of the first signal, as shells count; 0 if none came."""
        return 0 if self._number is None else 128 + self._number

    def be_patient(self, told: Callable[[str], None]) -> None:
        """From now on the first signal only asks; ``told`` gets its name, inside the signal handler."""
        self._told = told

    @contextmanager
    def prompt(self) -> Generator[None]:
        """Within it the first signal raises as before :meth:`be_patient`; one that came already, as it is
        entered: for work that can be done again, when no device is under voltage.
        """
        self._prompt = True
        try:
            if self._number is not None:
                self._insisted = True
                raise KeyboardInterrupt(signal.Signals(self._number).name)
            yield
        finally:
            self._prompt = False

    @contextmanager
    def held(self) -> Generator[None]:
        """Within it nothing is raised, but as it is left: for what an exception would leave broken."""
        before, self._held = self._insisted, True
        try:
            yield
        finally:
            self._held = False
        if self._insisted and not before:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._insisted:
            return
        name = signal.Signals(number).name
        if self._number is None and self._told is not None and not self._prompt:
            self._number = number
            self._told(name)
            return
        self._insisted = True
        self._number = self._number or number
        if not self._held:
            raise KeyboardInterrupt(name)
