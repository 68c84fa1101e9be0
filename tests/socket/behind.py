"""An instrument whose answers come late: each is then taken for that to another question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Behind:
    """Once it lags, the first answers ever given come again instead of new ones."""

    virtual: Any
    lags: bool = False
    first: list[bytes] = field(default_factory=list[bytes])

    def receive(self, line: bytes) -> bytes:
        answer = self.virtual.receive(line)
        if self.lags:
            return self.first.pop(0) if answer and self.first else answer
        self.first += [answer] * bool(answer)
        return answer
