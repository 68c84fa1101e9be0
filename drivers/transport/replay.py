"""A recorded conversation as a line: a driver runs again, offline, against what was once answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from drivers.transport.link import Chunk
from drivers.transport.session import Session
from drivers.transport.settings import TransportSettings
from hil.errors import ConfigError, DesyncError
from hil.wire import Message


class ReplayLink:
    """Answers as recorded, as long as exactly the same is sent; what was a time-out is one again, at once."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._left = deque(message for message in messages if message.direction != "event")
        self._sent = 0

    @property
    def left(self) -> int:
        """Messages not replayed yet."""
        return len(self._left)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Take what was sent then. Raises DesyncError for anything else."""
        self._sent += 1
        then = self._left.popleft() if self._left else None
        if then is None or then.direction != "sent" or then.data != data:
            expected = "nothing more" if then is None else f"{then.direction} {then.data!r}"
            raise DesyncError(f"replay: message {self._sent} is {data!r}; recorded was {expected}")

    def receive(self, timeout_s: float) -> Chunk:
        """What was received then; TimeoutError if nothing was."""
        if not self.waiting():
            raise TimeoutError
        return Chunk(self._left.popleft().data, False)

    def waiting(self) -> bool:
        """Whether an answer was next."""
        return bool(self._left) and self._left[0].direction == "received"

    def clear(self) -> None:
        """Nothing to clear."""

    def close(self) -> None:
        """Nothing to let go of."""


def replay(messages: Iterable[Message], role: str, settings: TransportSettings | None = None) -> Session:
    """Open a session with the recorded answers of one role; see `hil.wire.read_wire`.

    Raises ConfigError if the log has none of that role.
    """
    ours = [message for message in messages if message.role == role]
    salts = [m.data.split()[-1].decode() for m in ours if m.data.startswith(b"opened ")]
    if not salts:
        raise ConfigError(f"replay: no conversation of {role!r} in this wire log")
    line = ReplayLink(ours)
    session = Session(
        f"replay:{role}",
        settings or TransportSettings(),
        role=role,
        salt=salts[0],
        connect=lambda _resource, _settings: line,
    )
    session.open()
    return session
