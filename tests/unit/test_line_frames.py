"""What comes over the line is untrusted on both sides: spoilt words are refused in kind."""

from __future__ import annotations

import binascii

import numpy as np
import pytest

from drivers.line.answers import Answer, BoardLimits, BoardState
from drivers.line.frames import Reply, channels_text, flags, program_crc, seal, unseal, vector, vector_text
from drivers.line.orders import ReadOrder, WaitOrder
from drivers.line.virtual import virtual_grid
from drivers.sim.virtual.controller_board import Board
from drivers.wiring import channel_list
from hil.errors import DesyncError
from tests.socket.line_server import line_settings

ROWS = np.arange(2)
ORDERS = [ReadOrder(ROWS, np.arange(3), 0.1, 1000), WaitOrder(5)]
GOOD = [
    f"DATA i=0 at=0 n=4 x={vector_text(np.arange(4) / 8)} c=0",
    f"DATA i=0 at=4 n=2 x={vector_text(np.array([3.0, -1.5]))} c=Ag==",
    "TIME at=0 ns=2000,5 j=1e-12,0",
]
LIMITS = (
    "OK rows=9 cols=7 vread=1 vpulse=5 width_min=10 width_max=1000 tick=10 pulses=32767 bias=V/2 line=2000 "
    "ops=9 bytes=9999 watchdog=2000"
)
ODD = ["", "-1", "nan", "inf", "1e999", "9" * 19, "9" * 40, "0", "AA==", ",", "1,2"]
STATE = "OK boot=1 seq=2 run=done op=0 shots=0 out=0 errors=0"


def reply(body: str) -> Reply:
    return unseal(seal(5, body).decode().rstrip("\n"), 5)


def spoilt(rng: np.random.Generator, text: str) -> str:
    """Words dropped, doubled, swapped, cut, or changed in one character; still a sealed line."""
    words = text.split(" ")
    for _ in range(rng.integers(1, 4)):
        at, choice = rng.integers(len(words)), rng.integers(6)
        if choice == 0 and len(words) > 1:
            del words[at]
        elif choice == 1:
            words.insert(at, words[rng.integers(len(words))])
        elif choice == 2:
            words[at] = f"{words[at].partition('=')[0]}={rng.choice(ODD)}"
        elif choice == 3:
            words[at] = words[at][: rng.integers(len(words[at]) + 1)]
        elif words[at]:
            place, new = rng.integers(len(words[at])), chr(rng.integers(33, 127))
            words[at] = f"{words[at][:place]}{'+' if new == '*' else new}{words[at][place + 1 :]}"
    return " ".join(words)


def test_an_answer_is_put_together_from_its_lines() -> None:
    answer = Answer(ORDERS)
    for body in GOOD:
        answer.take(reply(body))
    read, wait = answer.results(3)
    assert read.amperes.tolist() == [0, 0.125, 0.25, 0.375, 3.0, -1.5]
    assert read.clipped.tolist() == [False] * 5 + [True]
    assert (read.seconds, read.joules, wait.seconds) == (2e-6, 1e-12, 5e-9)


@pytest.mark.parametrize("order", [[0, 2], [1, 0, 2], [0, 0, 1, 2], [0, 1], [0, 1, 2, 2], []])
def test_an_answer_with_a_line_lost_doubled_or_out_of_turn_is_refused(order: list[int]) -> None:
    answer = Answer(ORDERS)
    with pytest.raises(DesyncError):  # noqa: PT012 - which of the two tells is the board's choice
        for number in order:
            answer.take(reply(GOOD[number]))
        answer.results(len(order))


def test_ten_thousand_answers_of_a_mad_board_are_values_in_range_or_errors_in_kind() -> None:
    rng = np.random.default_rng(4)
    refused = 0
    for number in range(10_000):
        try:
            if number % 3 == 0:
                BoardLimits.of(reply(spoilt(rng, LIMITS)))
            elif number % 3 == 1:
                BoardState.of(reply(spoilt(rng, STATE)))
            else:
                answer, which = Answer(ORDERS), rng.integers(3)
                for place, body in enumerate(GOOD):
                    answer.take(reply(spoilt(rng, body) if place == which else body))
                for result in answer.results(3):
                    assert np.isfinite(result.amperes).all()
                    assert 0 <= result.seconds < np.inf
        except DesyncError:
            refused += 1
    assert refused > 5_000


def test_ten_thousand_lines_of_a_mad_host_are_answered_by_the_protocol() -> None:
    rng = np.random.default_rng(5)
    board = Board(virtual_grid(line_settings()), "V0001", 7)
    ops = [
        "do=SHOT r=1 c=0-2 n=3,1,0 v=2 width=100 gap=300 bias=V/2",
        "do=READ r=1,4-5 c=0-2 v=0.1 ns=1000 wait=0",
        f"do=MUL side=rows r=0-1 c=0-3 n=1 x={vector_text(np.ones(2) / 9)} ns=10 wait=0 vl=0 vx=AACAPw==",
        "do=WAIT ns=5",
    ]
    questions = ["HELLO v=1", "LIMIT vread=1", "COUNT r=0-3 c=0", "DRIVE side=rows lines=0 v=0.1"]
    questions += ["RECALL seq=1", "STATE"]
    ran = 0
    for number in range(2_500):
        bodies = [f"OP i=0 {spoilt(rng, ops[number % 4]) if number % 2 else ops[number % 4]}"]
        told = [line for body in bodies for line in board.receive(seal(8, body)[:-1])]
        seq = int(ask(board, "9 STATE").partition("seq=")[2].split(" ")[0]) + 1
        told += board.receive(seal(8, f"RUN seq={seq} ops=1 crc={program_crc(bodies):08X}")[:-1])
        told += board.receive(seal(8, spoilt(rng, questions[number % 6]))[:-1])
        told += board.receive(rng.bytes(int(rng.integers(0, 40))).replace(b"\n", b""))
        for line in told:
            raw, _, crc = line.rstrip(b"\n").rpartition(b"*")
            assert int(crc, 16) == binascii.crc32(raw)
        ran += any(b" run=done " in line for line in told)
        board.silence()
    assert 1_000 < ran < 2_500


def ask(board: Board, body: str) -> str:
    tag, _, rest = body.partition(" ")
    return b"".join(board.receive(seal(int(tag), rest)[:-1])).decode()


@pytest.mark.parametrize("channels", [[], [3], [0, 1, 2], [2, 1, 0], [7, 0, 1, 2, 9, 10, 4]])
def test_channels_are_written_as_the_page_and_the_file_say(channels: list[int]) -> None:
    text = channels_text(np.array(channels, np.int64))
    assert (list(channel_list(text)) if text else []) == channels


def test_vectors_and_flags_keep_every_bit() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=50).astype(np.float32) * np.float32(1e-30)
    np.testing.assert_array_equal(vector(vector_text(values), 50, "<f4"), values)
    with pytest.raises(DesyncError):
        vector(vector_text(np.array([np.nan])), 1, "<f4")
    with pytest.raises(DesyncError):
        flags("AA==", 9)
