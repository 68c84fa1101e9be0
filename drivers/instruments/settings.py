"""A setting of a SCPI instrument: how it is sent, and whether what is read back is what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from drivers.instruments.replies import number


class Setting(NamedTuple):
    """One header and its value: a word, a switch (int) or a quantity (float, sent with 7 digits).

    Verified unless ``silent``; may then differ by a share of ``slack`` (an instrument rounds to its own
    resolution) and be higher by ``over`` (ranges are answered with or without their over-range).
    """

    name: str
    value: str | float
    slack: float = 1e-6
    over: float = 0.0
    silent: bool = False

    def __str__(self) -> str:
        text = f"{self.value:.6e}" if isinstance(self.value, float) else str(self.value)
        return f"{self.name} {text}".rstrip()

    def held(self, answer: str) -> bool:
        """Whether the answer to the header's question is this value."""
        if isinstance(self.value, str):
            return answer.strip('"').upper().removesuffix(":DC") == self.value.strip('"').upper()
        now, slack = number(answer), self.slack * abs(self.value)
        return self.value - slack <= now <= self.value * (1 + self.over) + slack


def differences(settings: Sequence[Setting], answers: Sequence[str]) -> list[str]:
    """What is held otherwise than it was set, in words. Raises ValueError for an answer that is no value."""
    return [
        f"{each} was set; the instrument holds {answer}"
        for each, answer in zip(settings, answers, strict=True)
        if not each.held(answer)
    ]
