"""Whatever becomes of the link to an array controller, a pulse happens once and no old answer is taken."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.array_controller import ArrayController
from drivers.line.bench import LineBench
from drivers.line.frames import unseal
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.bench import Execution
from hil.errors import (
    BenchError,
    ConfigError,
    DesyncError,
    IdentityError,
    InstrumentError,
    InUseError,
    LimitError,
)
from hil.schedule import Multiply, MultiplyAnswer, Program, Pulse, Read, ReadAnswer, Region
from tests.socket.line_server import Served, line_bench, line_settings, opened, served

ROOT = Path(__file__).parents[2]
COUNTS = np.array([[3, -2, 0, 1], [0, 0, 5, -1], [3, -2, 0, 1]], np.int16)
REGION = Region("main", np.array([0, 4, 7]), np.array([1, 2, 5, 6]))
QUICK = {"timeout": 0.15, "quiet": 0.003, "open_timeout": 0.5}
LOST = [
    "silent", "garbage", "truncated", "extra-line", "late",
    "disconnect-before", "disconnect-after", "disconnect-within",
]  # fmt: skip


def on_a_faulty_link(*faults: dict[str, Any], link: str = "tcp", **keys: Any) -> dict[str, Any]:
    return {"transport": QUICK, "virtual": {"link": link, "faults": list(faults)}, **keys}


def pulse_and_read(bench: LineBench) -> Execution:
    sheet = bench.arrays["main"].device
    return bench.execute((Program(REGION, COUNTS, sheet.potentiate, sheet.depress), Read(REGION, 0.1, 1e-5)))


def given(there: Served) -> np.ndarray:
    """Pulses that the devices of the region had, by the board's own counters; nothing else had any."""
    each = there.grid.counters.each.astype(int)
    own = each[np.ix_(REGION.rows, REGION.cols)]
    assert own.sum() == each.sum()
    return own


def truth(there: Served) -> np.ndarray:
    return there.grid.bench.conductances("main")[np.ix_(REGION.rows, REGION.cols)]


@pytest.mark.parametrize("link", ["tcp", "pty"])
@pytest.mark.parametrize("kind", LOST)
def test_a_pulse_happens_once_whatever_becomes_of_its_answer(kind: str, link: str) -> None:
    keys = on_a_faulty_link({"kind": kind, "runs": [2], "delay": 0.2}, link=link)
    with line_bench(**keys) as (bench, there):
        pulse_and_read(bench)
        done = pulse_and_read(bench)
        np.testing.assert_array_equal(given(there), 2 * np.abs(COUNTS))
        answer = done.answers[1]
        assert isinstance(answer, ReadAnswer)
        np.testing.assert_array_equal(answer.amperes, (truth(there) * np.float32(0.1)).astype(np.float32))
        assert done.cost.pulses == np.abs(COUNTS).sum()
        assert done.cost.transactions > 1
        pulse_and_read(bench)
        np.testing.assert_array_equal(given(there), 3 * np.abs(COUNTS))


def test_among_many_faults_every_reading_is_that_of_its_own_question() -> None:
    faults = [{"kind": kind, "share": 0.04, "delay": 0.16} for kind in LOST]
    with line_bench(**on_a_faulty_link(*faults)) as (bench, there):
        expected = np.zeros(COUNTS.shape, int)
        faulty = 0
        for number in range(1, 151):
            volts = 0.001 * number
            sheet = bench.arrays["main"].device
            counts = COUNTS if number % 2 else -COUNTS
            program = Program(REGION, counts, sheet.potentiate, sheet.depress)
            done = bench.execute((program, Read(REGION, volts, 1e-5)))
            answer = done.answers[1]
            assert isinstance(answer, ReadAnswer)
            np.testing.assert_allclose(answer.amperes, truth(there) * volts, rtol=1e-6)
            expected += np.abs(COUNTS)
            faulty += done.cost.transactions > 1
        np.testing.assert_array_equal(given(there), expected)
        assert faulty > 10


def test_a_board_that_lost_its_memory_leaves_the_pulses_in_doubt_and_works_again() -> None:
    with line_bench(**on_a_faulty_link({"kind": "power-cut", "runs": [1]})) as (bench, there):
        with pytest.raises(BenchError, match=r"reset during program 1.*in doubt"):
            pulse_and_read(bench)
        np.testing.assert_array_equal(given(there), np.abs(COUNTS))
        pulse_and_read(bench)
        np.testing.assert_array_equal(given(there), 2 * np.abs(COUNTS))


def test_an_aborted_program_is_told_with_operation_and_shots_and_not_repeated() -> None:
    keys = on_a_faulty_link({"kind": "abort", "runs": [1], "op": 0, "shots": 2})
    with line_bench(**keys) as (bench, there):
        with pytest.raises(
            InstrumentError, match="program 1 was aborted in operation 0 after 2 shots"
        ) as caught:
            pulse_and_read(bench)
        assert caught.value.code == 17
        first = given(there)
        assert 0 < first.sum() < np.abs(COUNTS).sum()
        pulse_and_read(bench)
        np.testing.assert_array_equal(given(there) - first, np.abs(COUNTS))


def test_an_error_that_the_board_kept_is_raised_after_the_next_program() -> None:
    with line_bench() as (bench, there):
        held = b"7 DRIVE side=rows lines=0 v=0.1"
        there.controller.board.receive(b"%s*%08X" % (held, zlib.crc32(held)))
        there.controller.board.silence()
        with pytest.raises(InstrumentError, match="after program 1: 17 held outputs went to 0 V") as caught:
            pulse_and_read(bench)
        assert caught.value.code == 17
        pulse_and_read(bench)
        np.testing.assert_array_equal(given(there), 2 * np.abs(COUNTS))


def test_a_link_that_never_carries_a_program_gives_up_with_nothing_output() -> None:
    with line_bench(**on_a_faulty_link({"kind": "disconnect-before", "share": 1.0})) as (bench, there):
        with pytest.raises(BenchError, match="did not begin in 4 attempts, nothing of it was output"):
            pulse_and_read(bench)
        assert given(there).sum() == 0
        bench.make_safe()


def test_another_serial_number_is_refused_at_opening_and_after_a_disconnect() -> None:
    keys = on_a_faulty_link({"kind": "disconnect-after", "runs": [1]})
    with served(line_settings(**keys), serial="A1") as there:
        with pytest.raises(IdentityError, match="serial number A1 answers; B2 is needed; nothing was output"):
            opened(there, {**keys, "expects": "B2"})
        bench = opened(there, {**keys, "expects": "A1"})
        there.controller.exchange("C3")
        with pytest.raises(IdentityError, match="serial number C3 answers; A1 is needed"):
            pulse_and_read(bench)
        bench.make_safe()
        bench.close()


def test_a_second_host_is_told_that_the_board_is_busy() -> None:
    with line_bench(**on_a_faulty_link()) as (bench, there):
        with pytest.raises(InUseError, match="in use by another host"):
            opened(there, on_a_faulty_link())
        pulse_and_read(bench)
        bench.close()
        opened(there, on_a_faulty_link()).close()


def test_behind_a_dead_link_making_safe_raises_nothing_and_a_schedule_says_it_is_not_verified() -> None:
    keys = {"transport": {**QUICK, "attempts": 1}}
    with served(line_settings()) as there:
        bench = opened(there, keys)
    bench.make_safe()
    bench.make_safe()
    with pytest.raises(BenchError) as caught:
        pulse_and_read(bench)
    assert any(note.startswith("NOT VERIFIED SAFE, switch off by hand") for note in caught.value.__notes__)
    bench.close()
    bench.close()


def test_an_output_that_is_held_goes_off_when_the_bench_is_made_safe_or_its_host_vanishes() -> None:
    with served(line_settings()) as there:
        for leave in (ArrayController.make_safe, lambda host: host.session.close()):
            host = ArrayController(open_session(there.resource, TransportSettings(**QUICK)))
            host.attach()
            host.session.write_bytes(
                b"%s*%08X\n" % (held := b"7 DRIVE side=rows lines=0 v=0.1", zlib.crc32(held))
            )
            assert host.session.read_line().startswith("7 OK out=1")
            assert there.controller.board.holds
            leave(host)
            host.session.close()
            again = ArrayController(open_session(there.resource, TransportSettings(**QUICK)))
            again.attach()
            assert again.state().out == 0
            again.close()


def test_limits_of_the_file_are_in_the_board_and_lapse_with_the_next_file() -> None:
    limits = {"read": 0.2, "program": 2.5, "shortest": 1e-7, "longest": 1e-3}
    with served(line_settings()) as there:
        opened(there, {"limits": limits}).close()
        held = there.controller.board.limits
        assert (held.vread, held.vpulse, held.width_min, held.width_max) == (0.2, 2.5, 100, 1_000_000)
        opened(there, {}).close()
        assert there.controller.board.limits.vread == there.grid.hardware.vread


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"arrays": {"main": {"rows": "0-9", "cols": "0-6"}}}, "channel 9; there are 0 to 8"),
        ({"program": {"scheme": "V/3"}}, "V/3; the board holds unselected lines at V/2"),
    ],
)
def test_a_board_that_is_not_what_the_file_says_is_refused(keys: dict[str, Any], told: str) -> None:
    with served(line_settings()) as there, pytest.raises(ConfigError, match=told):
        opened(there, keys)


def test_a_device_past_its_dose_is_refused_and_the_board_remembers() -> None:
    keys = {"program": {"dose": 12}}
    with served(line_settings()) as there:
        bench = opened(there, keys)
        pulse_and_read(bench)
        pulse_and_read(bench)
        bench.close()
        bench = opened(there, keys)
        with pytest.raises(
            LimitError, match=r"5 pulses to the device at row 4, column 5 .* had 10; its dose is 12"
        ):
            pulse_and_read(bench)
        np.testing.assert_array_equal(given(there), 2 * np.abs(COUNTS))
        bench.close()


@pytest.mark.parametrize(
    "pulse",
    [
        Pulse(10.5, 1e-6),
        Pulse(2.0, 1e-9),
        Pulse(2.0, 1.0000001e-6),
        Pulse(2.0, 100.0),
        Pulse(2.0, 1e-6, 1e-10),
    ],
)
def test_what_the_board_cannot_do_is_refused_with_the_whole_schedule(pulse: Pulse) -> None:
    with line_bench() as (bench, there):
        sheet = bench.arrays["main"].device
        good = Program(REGION, COUNTS, sheet.potentiate, sheet.depress)
        bad = Program(REGION, COUNTS, pulse, sheet.depress)
        with pytest.raises(LimitError):
            bench.execute((good, bad))
        assert given(there).sum() == 0
        assert bench.doses["main"].sum() == 0


def test_a_board_with_little_memory_gets_a_schedule_in_parts_that_add_up() -> None:
    with served(line_settings()) as there:
        there.grid.hardware = replace(there.grid.hardware, line=1024 + 16 * 16, ops=3, bytes=2000)
        there.controller.power_up()
        bench = opened(there, {})
        whole = Region.block("main", range(9), range(7))
        rng = np.random.default_rng(3)
        counts, volts = rng.integers(-4, 5, (9, 7)).astype(np.int16), rng.uniform(-0.1, 0.1, (90, 9))
        sheet = bench.arrays["main"].device
        done = bench.execute(
            (Program(whole, counts, sheet.potentiate, sheet.depress), Multiply(whole, volts, 1e-5))
        )
        answer = done.answers[1]
        assert isinstance(answer, MultiplyAnswer)
        g = there.grid.bench.conductances("main")
        np.testing.assert_allclose(answer.amperes, volts @ g, atol=1e-5 * np.abs(volts @ g).max())
        np.testing.assert_array_equal(there.grid.counters.each, np.abs(counts))
        assert done.cost.transactions > 5
        bench.close()


def test_ten_thousand_spoilt_answers_are_errors_or_what_was_sent() -> None:
    rng = np.random.default_rng(8)
    body = "77 DATA i=0 at=0 n=2 x=AACAPwAAAEA= c=0"
    good = f"{body}*{zlib.crc32(body.encode()):08X}"
    told = unseal(good, 77)
    refused = 0
    for _ in range(10_000):
        spoilt = bytearray(good.encode())
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(len(spoilt) + 1)
            choice = rng.integers(4)
            if choice == 0:
                spoilt[at : at + 1] = bytes([rng.integers(256)])
            elif choice == 1:
                del spoilt[at : at + int(rng.integers(1, 20))]
            elif choice == 2:
                spoilt[at:at] = bytes(rng.integers(0, 256, rng.integers(1, 30), np.uint8))
            else:
                spoilt[at:at] = spoilt[: rng.integers(len(spoilt) + 1)]
        text = spoilt.decode("latin-1")
        try:
            assert unseal(text, 77) == told
        except DesyncError:
            refused += 1
    assert refused > 9_900
    with pytest.raises(DesyncError, match="transaction 77 came, 78 was asked"):
        unseal(good, 78)
    assert told.values == {"i": "0", "at": "0", "n": "2", "x": "AACAPwAAAEA=", "c": "0"}


def test_ctrl_c_amid_an_answer_stops_the_board_and_the_bench_goes_on_from_what_it_did() -> None:
    """The program had begun: its pulses were given once, and the next program has the next number."""
    interrupted = threading.Timer(0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with line_bench(virtual={"faults": [{"kind": "late", "runs": [1], "delay": 1.0}]}) as (bench, there):
            interrupted.start()
            with pytest.raises(KeyboardInterrupt):
                pulse_and_read(bench)
            bench.make_safe()
            np.testing.assert_array_equal(given(there), np.abs(COUNTS))
            pulse_and_read(bench)
            np.testing.assert_array_equal(given(there), 2 * np.abs(COUNTS))
    finally:
        interrupted.join()
        signal.signal(signal.SIGUSR1, before)


HOST = """\
import sys
from tests.socket.line_server import line_settings
from tests.socket.test_line_faults import pulse_and_read
from drivers.line import driver
bench = driver.open(line_settings(sys.argv[1]), {}, 0)
while True:
    pulse_and_read(bench)
    print("pulsed", flush=True)
"""


def test_a_host_that_is_killed_leaves_whole_programs_and_counters_and_the_next_goes_on() -> None:
    with served(line_settings()) as there:
        command = [sys.executable, "-c", HOST, there.resource]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as host:
            assert host.stdout is not None
            told = [host.stdout.readline() for _ in range(5)]
            host.kill()
        assert told == ["pulsed\n"] * 5
        bench = opened(there, {})
        state = bench.controller.state()
        np.testing.assert_array_equal(given(there), state.seq * np.abs(COUNTS))
        assert (state.run, state.out) == ("done", 0)
        assert state.seq >= 5
        assert bench.controller.totals()["programs"] == state.seq
        np.testing.assert_array_equal(bench.doses["main"], there.grid.counters.each)
        pulse_and_read(bench)
        np.testing.assert_array_equal(given(there), (state.seq + 1) * np.abs(COUNTS))
        bench.close()
