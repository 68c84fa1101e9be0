"""An ArC TWO that fails, stays away, or is another one when it is back: typed, safe, nothing sent again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from drivers.arc2.check import examined
from drivers.arc2.opening import bench_on, virtual_board, virtual_library
from drivers.sim.virtual.arc2_calls import VirtualArc2Error, VirtualInstrument
from hil.bench import Returning
from hil.cli import app
from hil.errors import (
    BenchError,
    ConfigError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    TimeoutError_,
)
from hil.lock import FOLDER
from hil.schedule import Read, ReadAnswer
from tests.sim.arc2_lab import DIGITS, FULL, arc2_bench, arc2_settings, everything, one_pulse
from tests.sim.test_training import Notes
from tests.socket.keystone import trained

REAL = """\
driver: arc2
instrument: {port: 0, firmware: arc2fw.bin}
arrays: {main: {rows: "0-7", cols: "16-23"}}
device: ideal
"""


def test_a_training_goes_on_after_the_cable_was_out_and_no_pulse_is_put_out_twice() -> None:
    notes = Notes()
    fault = {"kind": "lost-after", "executions": [60], "away": 1}
    with arc2_bench(arrays=FULL, virtual={"faults": [fault]}) as (bench, board):
        trained(bench, "gradient=backprop", *DIGITS, notes=notes)
        assert board.openings == 3  # to make it safe, and when it is back
        doubtful = bench.doses["main"] - board.pulses["main"]  # counted before they are sent
        assert doubtful.min() >= 0
    assert [kind for kind, _ in notes.events if kind in {"paused", "resumed"}] == ["paused", "resumed"]


@pytest.mark.parametrize(
    ("kind", "error", "message", "sent"),
    [
        ("lost-before", DisconnectedError, "does not answer on USB: FPGA Error", False),
        ("lost-after", TimeoutError_, "busy, or away", True),
        ("busy", TimeoutError_, "in doubt", True),
    ],
)
def test_what_fails_while_programming_is_typed_and_safe_and_nothing_is_sent_again(
    kind: str, error: type[BenchError], message: str, sent: bool
) -> None:
    with arc2_bench(virtual={"faults": [{"kind": kind, "executions": [4]}]}) as (bench, board):
        with pytest.raises(error, match=message) as told:
            bench.execute((one_pulse(bench),))
        assert not getattr(told.value, "__notes__", [])
        assert board.openings == 2
        assert np.all(board.pulses["main"] == (1 if sent else 0))
        assert np.all(board.grounded)
        bench.execute((one_pulse(bench),))
        assert np.all(board.pulses["main"] == (2 if sent else 1))


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("panic", DisconnectedError, "library broke down: called `Result::unwrap"),
        ("no-result", DesyncError, "nothing where 64 values"),
    ],
)
def test_what_fails_while_reading_is_typed_and_the_next_reading_is_its_own(
    kind: str, error: type[BenchError], message: str
) -> None:
    with arc2_bench(virtual={"faults": [{"kind": kind, "executions": [4]}]}) as (bench, board):
        read = Read(everything(bench), 0.1, 1e-5)
        with pytest.raises(error, match=message):
            bench.execute((read,))
        answer = bench.execute((read,)).answers[0]
        assert isinstance(answer, ReadAnswer)
        np.testing.assert_allclose(answer.siemens, board.bench.conductances("main"), rtol=5e-3)


def test_a_board_that_stays_away_is_not_called_safe_until_it_is_back() -> None:
    fault = {"kind": "lost-before", "executions": [4], "away": 3}
    with arc2_bench(virtual={"faults": [fault]}) as (bench, board):
        assert isinstance(bench, Returning)
        with pytest.raises(DisconnectedError) as told:
            bench.execute((one_pulse(bench),))
        assert "NOT VERIFIED SAFE" in told.value.__notes__[0]
        with pytest.raises(DisconnectedError, match="no ArC TWO number 0: connected are none"):
            bench.come_back()
        bench.come_back()
        assert np.all(board.grounded)
        bench.execute((one_pulse(bench),))
        assert np.all(board.pulses["main"] == 1)


def test_what_was_queued_when_a_run_is_interrupted_is_never_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: VirtualInstrument, nanos: int) -> VirtualInstrument:
        raise KeyboardInterrupt

    with arc2_bench() as (bench, board):
        monkeypatch.setattr(VirtualInstrument, "delay", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.execute((one_pulse(bench, gap_s=1e-3),))
        bench.make_safe()
        assert np.all(board.pulses["main"] == 0)
        assert board.openings == 2


def test_an_output_that_does_not_go_to_0_v_is_told_of() -> None:
    with (
        pytest.raises(BenchError, match=r"channel 17 is at -1.5 V after grounding"),
        arc2_bench(virtual={"stuck": [{"channel": 17, "voltage": -1.5}]}),
    ):
        raise AssertionError("it was opened")


def test_the_firmware_is_part_of_the_identity_and_held_against_it_when_the_board_is_back(
    tmp_path: Path,
) -> None:
    firmware = tmp_path / "arc2fw.bin"
    firmware.write_bytes(b"one")
    settings = arc2_settings(virtual=None, instrument={"firmware": str(firmware)})
    simulated = arc2_settings()
    assert simulated.virtual is not None
    bench = bench_on(settings, virtual_library(virtual_board(simulated, simulated.virtual, 1)))
    assert "arc2fw.bin sha256 7692c3ad3540bb80" in bench.identity["instrument"]
    assert [each.key for each in settings.resources] == ["instrument.port"]
    firmware.write_bytes(b"two")
    with pytest.raises(IdentityError, match=r"arc2fw.bin .* answers; it was .*7692c3ad3540bb80"):
        bench.come_back()
    firmware.unlink()
    with pytest.raises(ConfigError, match=r"instrument.firmware: .* cannot be read: No such file"):
        bench.come_back()
    bench.close()


@pytest.mark.parametrize("boards", [1, 2])
def test_a_check_opens_nothing_and_tells_of_boards_that_cannot_be_told_apart(
    tmp_path: Path, boards: int
) -> None:
    (tmp_path / "arc2fw.bin").write_bytes(b"one")
    settings = arc2_settings(virtual=None, instrument={"firmware": str(tmp_path / "arc2fw.bin")})
    simulated = arc2_settings()
    assert simulated.virtual is not None
    board = virtual_board(simulated, simulated.virtual, 1)
    seen = examined(settings, replace(virtual_library(board), find_ids=lambda: list(range(boards))))
    assert board.openings == 0
    assert "sha256 7692c3ad3540bb80" in seen.identity.firmware
    assert bool(seen.problems) == (boards > 1)
    with pytest.raises(DisconnectedError, match="number 0: connected are none"):
        examined(settings, replace(virtual_library(board), find_ids=list))


@pytest.mark.parametrize("boards", [1, 2])
def test_a_board_that_was_left_on_is_made_safe_unless_it_may_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boards: int
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "locks"))
    (tmp_path / "arc2fw.bin").write_bytes(b"one")
    (tmp_path / "bench.yaml").write_text(REAL)
    simulated = arc2_settings()
    assert simulated.virtual is not None
    board = virtual_board(simulated, simulated.virtual, 1)
    library = replace(virtual_library(board), find_ids=lambda: list(range(boards)))
    monkeypatch.setattr("drivers.arc2.check.installed", lambda: library)
    board.volts[3] = 0.5
    result = CliRunner().invoke(app, ["safe", str(tmp_path / "bench.yaml")])
    if boards == 1:
        assert result.exit_code == 0, result.output
        assert "instrument  ArC TWO 0  safe, read back" in result.stdout
        assert np.all(board.grounded)
        assert not board.volts.any()
    else:
        assert result.exit_code == 4
        assert "bench.yaml:2: instrument.port: 1 other ArC TWO connected, and which is ours" in result.stdout
        assert (board.openings, board.volts[3]) == (0, 0.5)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("FPGA Error: error 4", DisconnectedError),
        ("Invalid ArC2 device id: -1", DisconnectedError),
        ("Memory error: Out of memory", InstrumentError),
    ],
)
def test_errors_of_the_library_surface_with_their_text(text: str, error: type[BenchError]) -> None:
    def failing(self: object = None) -> list[int]:
        raise VirtualArc2Error(text)

    with arc2_bench() as (bench, _):
        bench.board.library = replace(bench.board.library, find_ids=failing)
        with pytest.raises(error, match=text):
            bench.come_back()
