"""The virtual board does what docs/array-controller.md says, line by line, without any link or driver."""

from __future__ import annotations

import binascii
import re
from pathlib import Path

import numpy as np
import pytest

from drivers.line.virtual import virtual_grid
from drivers.sim.virtual.controller_board import Board, Cut
from tests.socket.line_server import line_settings

PAGE = Path(__file__).parents[2] / "docs" / "array-controller.md"
PULSE = {"amplitude": 2.0, "width": 1e-7, "gap": 3e-7}
DEVICE = {"preset": "ideal", "potentiate": PULSE, "depress": {**PULSE, "amplitude": -2.0}}


def board(**cuts: int) -> Board:
    given = [Cut(**cuts)] if cuts else []
    return Board(virtual_grid(line_settings(device=DEVICE)), "V0001", 7, cuts=given)


def line(body: str) -> bytes:
    return f"{body}*{binascii.crc32(body.encode()):08X}".encode()


def bodies(answers: list[bytes]) -> list[str]:
    assert all(re.fullmatch(rb"[ -~]+\*[0-9A-F]{8}\n", answer) for answer in answers)
    return [answer.decode().rpartition("*")[0] for answer in answers]


def ask(there: Board, body: str) -> list[str]:
    return bodies(there.receive(line(body)))


SHOT = "do=SHOT r=1 c=0-2 n=3,1,0 v=2 width=100 gap=300 bias=V/2"


def run(there: Board, seq: int, *ops: str, tag: int = 5) -> list[str]:
    crc = 0
    for number, op in enumerate(ops):
        body = f"OP i={number} {op}"
        assert ask(there, f"{tag} {body}") == []
        crc = binascii.crc32(body.encode() + b"\n", crc)
    return ask(there, f"{tag} RUN seq={seq} ops={len(ops)} crc={crc:08X}")


def test_the_examples_of_the_page_are_answered_as_the_page_says() -> None:
    there, sent, answered = board(), 0, []
    for found in re.findall(r"^    ([→←]) (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        if found[0] == "→":
            assert not answered, "the board said more than the page"
            answered = [each.decode().rstrip("\n") for each in there.receive(found[1].encode())]
            sent += 1
        else:
            assert answered.pop(0) == found[1]
    assert sent >= 6
    assert not answered


def test_a_repeated_number_is_answered_from_memory_and_pulses_nothing() -> None:
    there = board()
    read = "do=READ r=1 c=0-2 v=0.1 ns=1000 wait=0"
    first = run(there, 1, SHOT, read)
    assert first[-1] == "5 OK seq=1 run=done lines=2 errors=0"
    before = there.grid.counters.each.copy()
    assert run(there, 1, SHOT, read) == first
    assert run(there, 1, SHOT, read, tag=8) == [f"8{each[1:]}" for each in first]
    assert ask(there, "6 RECALL seq=1") == [f"6{each[1:]}" for each in first]
    np.testing.assert_array_equal(there.grid.counters.each, before)
    assert before[1, :3].tolist() == [3, 1, 0]
    assert run(there, 1, SHOT)[0].startswith("5 ERR code=13")
    assert run(there, 3, SHOT)[0].startswith("5 ERR code=13")
    assert ask(there, "6 RECALL seq=2")[0].startswith("6 ERR code=14")
    np.testing.assert_array_equal(there.grid.counters.each, before)


@pytest.mark.parametrize(
    ("op", "code"),
    [
        ("do=SHOT r=9 c=0 n=1 v=2 width=100 gap=0 bias=V/2", 7),
        ("do=SHOT r=0 c=0 n=1 v=12 width=100 gap=0 bias=V/2", 8),
        ("do=SHOT r=0 c=0 n=1 v=nan width=100 gap=0 bias=V/2", 6),
        ("do=SHOT r=0 c=0 n=1 v=2 width=100 gap=0 bias=V/3", 19),
        ("do=SHOT r=0 c=0-1 n=1,2,3 v=2 width=100 gap=0 bias=V/2", 6),
        ("do=SHOT r=0 c=0 n=1 v=2 width=100 gap=0", 5),
        ("do=SHOT r=0 c=0 n=1 v=2 width=100 gap=0 bias=V/2 colour=red", 5),
        ("do=READ r=0 c=0 v=11 ns=1000 wait=0", 8),
        ("do=READ r=0 c=0 v=0.1 ns=0 wait=0", 6),
        ("do=READ r=0,0 c=0 v=0.1 ns=10 wait=0", 6),
        ("do=READ r=3-1 c=0 v=0.1 ns=10 wait=0", 6),
        ("do=MUL side=rows r=0-1 c=0 n=1 x=AACAPw== ns=10 wait=0", 6),
        ("do=MUL side=rows r=0 c=0 n=1 x=AADAfw== ns=10 wait=0", 6),
        ("do=MUL side=rows r=0 c=0 n=1 x=AAAAAAA ns=10 wait=0", 6),
        ("do=WALK ns=10", 6),
    ],
)
def test_a_program_with_anything_wrong_runs_not_at_all(op: str, code: int) -> None:
    there = board()
    told = run(there, 1, SHOT, op)
    assert told == [told[0]]
    assert told[0].startswith(f"5 ERR code={code} msg=i=1 ")
    assert there.grid.counters.each.sum() == 0
    assert " seq=0 run=idle " in ask(there, "6 STATE")[0]
    assert run(there, 1, SHOT)[-1].startswith("5 OK")


@pytest.mark.parametrize(
    "damage", [b"5 OP i=1 do=W*00000000", b"\xff\x00", b"5 OP i=1 do=WAIT ns=5", b"x" * 70_000]
)
def test_a_damaged_line_spoils_the_buffer(damage: bytes) -> None:
    there = board()
    first = f"OP i=0 {SHOT}"
    there.receive(line(f"5 {first}"))
    assert bodies(there.receive(damage)) == ["0 ERR code=1 msg=damaged line"]
    crc = binascii.crc32(first.encode() + b"\n")
    assert ask(there, f"5 RUN seq=1 ops=1 crc={crc:08X}")[0].startswith("5 ERR code=1 ")
    assert there.grid.counters.each.sum() == 0
    assert ask(there, "6 ERROR") == ["6 OK code=1 left=0 msg=damaged line"]
    assert run(there, 1, SHOT)[-1].startswith("5 OK")


def test_a_program_that_lost_a_line_on_the_way_does_not_run() -> None:
    there = board()
    crc = binascii.crc32(f"OP i=0 {SHOT}\nOP i=1 {SHOT}\n".encode())
    there.receive(line(f"5 OP i=0 {SHOT}"))
    assert ask(there, f"5 RUN seq=1 ops=2 crc={crc:08X}")[0].startswith("5 ERR code=10 ")
    there.receive(line(f"5 OP i=0 {SHOT}"))
    there.receive(line(f"6 OP i=0 {SHOT}"))  # another transaction: the first one's is gone
    assert ask(there, f"5 RUN seq=1 ops=1 crc={binascii.crc32(f'OP i=0 {SHOT}'.encode() + bytes([10])):08X}")[
        0
    ].startswith("5 ERR code=10 ")
    assert there.grid.counters.each.sum() == 0


def test_an_aborted_program_tells_how_far_it_came_and_stays_aborted() -> None:
    there = board(program=1, op=1, shots=2)
    assert run(there, 1, SHOT, SHOT, SHOT)[0].startswith("5 ERR code=17 ")
    assert there.grid.counters.each[1, :3].tolist() == [3 + 2, 1 + 1, 0]
    assert " seq=1 run=aborted op=1 shots=2 " in ask(there, "6 STATE")[0]
    assert run(there, 1, SHOT, SHOT, SHOT)[0].startswith("5 ERR code=17 ")
    assert ask(there, "7 RECALL seq=1")[0].startswith("7 ERR code=17 ")
    assert there.grid.counters.each[1, :3].tolist() == [5, 2, 0]
    assert run(there, 2, SHOT)[-1].startswith("5 OK seq=2 ")


def test_limits_narrow_hold_and_go_back_to_the_hardwares() -> None:
    there = board()
    hardware = ask(there, "1 LIMITS")[0]
    assert " vread=0.2 vpulse=2.5 width_min=10 " in ask(there, "2 LIMIT vread=0.2 vpulse=2.5")[0]
    assert " vread=0.2 vpulse=2.5 width_min=50 " in ask(there, "3 LIMIT width_min=50")[0]
    assert ask(there, "4 LIMIT vpulse=11")[0].startswith("4 ERR code=8 ")
    assert run(there, 1, "do=READ r=0 c=0 v=0.21 ns=10 wait=0")[0].startswith("5 ERR code=8 ")
    assert ask(there, "6 LIMIT")[0] == f"6{hardware[1:]}"


def test_a_held_output_goes_off_in_silence_and_holds_back_programs() -> None:
    there = board()
    assert ask(there, "1 DRIVE side=rows lines=0,5 v=0.1") == ["1 OK out=1"]
    assert run(there, 1, SHOT)[0].startswith("5 ERR code=12 ")
    there.silence()
    assert not there.holds
    assert ask(there, "2 ERROR")[0].startswith("2 OK code=17 left=0 ")
    assert ask(there, "3 ERROR")[0].startswith("3 OK code=0 left=0 ")
    assert run(there, 1, SHOT)[-1].startswith("5 OK")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("1 HELLO v=2", 3),
        ("1 JUMP", 4),
        ("1 HELLO", 5),
        ("1 STATE now=1", 5),
        ("1 HELLO v=1 v=1", 5),
        ("1 HELLO v", 2),
        ("0 STATE", 2),
        ("x STATE", 2),
        ("4294967296 STATE", 2),
        ("1", 2),
    ],
)
def test_what_is_no_line_of_the_protocol_is_told_by_its_code(body: str, code: int) -> None:
    answered = ask(board(), body)
    assert len(answered) == 1
    assert f" ERR code={code} msg=" in answered[0]
