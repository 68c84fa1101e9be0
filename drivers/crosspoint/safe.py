"""Instruments on lines of their own are made safe at the same time: one that is dead holds up no other."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread
from typing import NamedTuple

from drivers.transport.session import Session
from hil.errors import OwnerError
from hil.instruments import Instrument


class Occupied(NamedTuple):
    """A line and the instruments on it, which have to wait for each other."""

    line: Session
    instruments: list[Instrument]


def safe_at_once(lines: Sequence[Occupied]) -> tuple[str, ...]:
    """Make all safe; what could not be verified, in the order of the lines.

    An interrupt is held back until all are: it comes when this returns.
    """
    problems: list[list[str]] = [[] for _ in lines]
    threads = [
        Thread(target=_make_safe, args=(each, told), name=f"safe {each.line.role}", daemon=True)
        for each, told in zip(lines, problems, strict=True)
    ]
    for thread in threads:
        thread.start()
    interrupt = _ended(threads)
    for each, told in zip(lines, problems, strict=True):
        try:
            each.line.hand_over()
        except OwnerError:  # this was called from a signal handler, within an exchange on that line
            told += _all_safe(each.instruments)
    if interrupt is not None:
        raise interrupt
    return tuple(problem for told in problems for problem in told)


def _make_safe(occupied: Occupied, told: list[str]) -> None:
    try:
        occupied.line.hand_over()
    except OwnerError:
        return
    told += _all_safe(occupied.instruments)


def _all_safe(instruments: Sequence[Instrument]) -> list[str]:
    return [problem for instrument in instruments for problem in instrument.make_safe()]


def _ended(threads: Sequence[Thread]) -> KeyboardInterrupt | None:
    interrupt: KeyboardInterrupt | None = None
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except KeyboardInterrupt as error:
                interrupt = error
    return interrupt
