"""What can go wrong on the way back from a virtual instrument, by configuration."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le
from pydantic import Field

from hil.config.validate import Config
from hil.units import Seconds

FaultKind: TypeAlias = Literal[
    "late", "late-next", "silent", "truncated", "cut-line", "garbage", "nul", "bad-utf8", "separator",
    "extra-line", "huge", "disconnect-before", "disconnect-within", "disconnect-after",
]  # fmt: skip


class HangUpError(Exception):
    """A fault closes the line."""


class Fault(Config):
    """Something that happens to some answers."""

    kind: FaultKind = Field(
        description="late: after delay; late-next: after delay, on the connection that is open then (as "
        "through a serial bridge); silent: never; truncated, cut-line: half of it, without or with its end; "
        "garbage, nul, bad-utf8, separator, extra-line, huge: it is spoilt; disconnect-…: the line is closed "
        "before the command is done, within the answer, or after it is done without an answer"
    )
    on: str = Field(default="", description="only commands that contain this")
    numbers: list[Annotated[int, Ge(1)]] = Field(
        default=[], description="which of those commands, counted from 1"
    )
    share: Annotated[float, Ge(0), Le(1)] = Field(default=0.0, description="share of the others, by chance")
    delay: Annotated[Seconds, Ge(0)] = Field(default=0.0, description="late: real seconds")


@dataclass
class Faults:
    """Chooses the fault for each command in turn; at most one."""

    faults: list[Fault]
    seed: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._counts = [0] * len(self.faults)

    def choose(self, command: bytes) -> Fault | None:
        """The fault that befalls this command."""
        chosen = None
        for index, fault in enumerate(self.faults):
            if fault.on.encode() in command:
                self._counts[index] += 1
                by_chance = fault.share > 0 and self._chance.random() < fault.share
                if chosen is None and (self._counts[index] in fault.numbers or by_chance):
                    chosen = fault
        return chosen

    def spoil(self, kind: FaultKind, answer: bytes) -> bytes:
        """What arrives instead of the answer."""
        half = answer[: max(1, len(answer) // 2)].rstrip(b"\n")
        return {
            "truncated": half,
            "disconnect-within": half,
            "cut-line": half + b"\n",
            "garbage": bytes(self._chance.randrange(256) for _ in answer) + b"\n",
            "nul": half + b"\x00" + answer[len(half) :],
            "bad-utf8": half + b"\xc3\x28" + answer[len(half) :],
            "separator": answer.replace(b"\t", b";").replace(b",", b";"),
            "extra-line": answer + b"0\n",
            "huge": b"9" * 1_000_000 + b"\n",
        }.get(kind, answer)
