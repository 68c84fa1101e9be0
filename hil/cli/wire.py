"""`hil wire`: what went over the lines to the instruments in a run, as text that a terminal can bear."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from hil.cli.show import print_json
from hil.errors import StoreError
from hil.opened import wire_of
from hil.store import open_run
from hil.units import format_quantity
from hil.wire import Message, read_wire

_LONGEST = 200
_SIGNS = {"sent": ">", "received": "<", "event": "*"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages: of one role, with a text in them, the last so many; None: all."""

    role: str | None = None
    text: str | None = None
    last: int | None = None


def show_wire(run: Path, wanted: Wanted, *, json: bool) -> None:
    """Print the messages of a run or of a calibration record, in order.

    Raises
    ------
    StoreError
        There is no such run or record, or none of its messages were kept: its bench is simulated.
    """
    path = wire_of(run if run.is_file() else open_run(run).path)
    if not path.exists():
        raise StoreError(f"{run}: no wire log; the bench talked to no instrument")
    found = _chosen(_timed(read_wire(path)), wanted)
    if json:
        print_json([_plain(seconds, message) for seconds, message in found])
        return
    width = 0
    for seconds, message in found:
        width = max(width, len(message.role))
        took = f"  {format_quantity(message.duration_s, 's', digits=2)}" if message.duration_s else ""
        sign, text = _SIGNS[message.direction], _shown(message.data)
        typer.echo(f"{seconds:12.6f}  {_safe(message.role):<{width}} {sign} {text}{took}")


def _timed(messages: Iterable[Message]) -> Iterator[tuple[float, Message]]:
    """Seconds since the first message."""
    began: float | None = None
    for message in messages:
        began = message.monotonic_s if began is None else began
        yield message.monotonic_s - began, message


def _chosen(messages: Iterable[tuple[float, Message]], wanted: Wanted) -> Iterable[tuple[float, Message]]:
    found = (
        (seconds, message)
        for seconds, message in messages
        if wanted.role in (None, message.role)
        and (wanted.text is None or wanted.text in message.data.decode("latin-1"))
    )
    return found if wanted.last is None else deque(found, wanted.last)


def _plain(seconds: float, message: Message) -> dict[str, object]:
    return {
        "seconds": round(seconds, 6),
        "role": message.role,
        "direction": message.direction,
        "data": message.data.decode("latin-1"),
        "took": message.duration_s,
    }


def _shown(data: bytes) -> str:
    """One line, escaped, not too long; the ends of lines at the end go without saying."""
    text = data.decode("latin-1").rstrip("\r\n")
    short = text[:_LONGEST].encode("unicode_escape").decode("ascii")
    return short if len(text) <= _LONGEST else f"{short}… {len(data):,} bytes"


def _safe(role: str) -> str:
    return role.encode("unicode_escape").decode("ascii")
