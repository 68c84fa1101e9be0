"""R7: answers that come after their time-out, at any moment of the recovery, are taken for no other's."""

from __future__ import annotations

from typing import Any

from drivers.transport.session import Session, open_session
from drivers.transport.settings import TransportSettings
from hil.errors import DesyncError, TimeoutError_

NAME = b"MAKER,MODEL,123,1.0"
TIME_OUTS = 1_000
LATE_EACH = 10
PLACES = ("before the name", "after the name", "name twice", "before the next answer")


def who(session: Session) -> None:
    def name(reply: str) -> None:
        if reply.encode() != NAME:
            raise ValueError("another name")

    session.ask("*IDN?", name, timeout_s=5.0)


def test_no_late_reply_of_ten_thousand_is_taken_for_the_answer_to_another_question(tcp: Any) -> None:
    """As through a serial bridge: what is late, ten lines each time, comes on the connection open then."""
    late: list[bytes] = []
    delivered: list[int] = []
    place = ""

    def answer(command: bytes, line: Any) -> None:
        if command == b"*IDN?":
            said = {
                "before the name": [*late, NAME + b"\n"],
                "after the name": [NAME + b"\n", *late],
                "name twice": [NAME + b"\n"] * (1 + len(late)),
            }.get(place)
            line.say(b"".join(said or [NAME + b"\n"]))
            if said:
                delivered.append(len(late))
                late.clear()
        elif command.startswith(b"slow "):
            late.extend([command.removeprefix(b"slow ") + b"\n"] * LATE_EACH)
        else:
            line.say(b"".join(late) + command.removeprefix(b"ask ") + b"\n")
            delivered.append(len(late))
            late.clear()

    tcp.answer = answer
    settings = TransportSettings(timeout=5.0, quiet=1e-4, open_timeout=5.0, attempts=5)
    accepted = wrong = refused = 0
    with open_session(tcp.resource, settings) as session:
        for number in range(TIME_OUTS):
            place = PLACES[number % len(PLACES)]
            try:
                session.query(f"slow question-{2 * number} {number - 1}", timeout_s=1e-4)
            except TimeoutError_:
                session.recover(who)

            word = f"question-{2 * number + 1}"

            def mine(reply: str, word: str = word) -> str:
                if reply.split()[0] != word:
                    raise ValueError("another question's answer")
                return reply.split()[1]

            try:
                wrong += session.ask(f"ask {word} {number}", mine) != str(number)
                accepted += 1
            except DesyncError:
                refused += 1
                session.recover(who)
    assert sum(delivered) == TIME_OUTS * LATE_EACH
    assert wrong == 0
    assert accepted + refused == TIME_OUTS
    assert accepted > TIME_OUTS / 2
