"""The ArC TWO bench on a virtual board in this process: the contract, training, limits, and what fails."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.arc2 import driver
from drivers.arc2.api import CALLS, Board, installed
from drivers.arc2.bench import Arc2Bench
from drivers.arc2.check import examined
from drivers.arc2.opening import bench_on, virtual_board, virtual_library
from drivers.arc2.orders import slices
from drivers.arc2.rehearsal import rehearsal
from drivers.arc2.settings import Arc2BenchSettings
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.arc2 import VirtualArc2
from drivers.sim.virtual.arc2_calls import VirtualArc2Error, VirtualInstrument
from hil import session
from hil.bench import Bench, Returning
from hil.config.validate import MisfitError
from hil.conformance import check_bench
from hil.errors import (
    BenchError,
    ConfigError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    LimitError,
    TimeoutError_,
)
from hil.region import Region
from hil.schedule import Multiply, Program, Pulse, Read, ReadAnswer, Variants, Wait
from tests.sim.test_training import Notes
from tests.socket.keystone import trained

EXAMPLES = Path(__file__).parents[2] / "examples"
IDEAL = {"preset": "ideal", "levels_up": 200, "levels_down": 200, "initial": "uniform"}
FULL = {"main": {"rows": "0-15,32-47", "cols": "16-31,48-63"}}


def arc2_settings(**keys: Any) -> Arc2BenchSettings:
    given: dict[str, Any] = {
        "instrument": {"timeout": 0.05},
        "arrays": {"main": {"rows": "3,0-2,32-36", "cols": "16-19,48-50"}},
        "device": IDEAL,
        "virtual": {},
    }
    return driver.settings.model_validate({**given, **keys})


@contextmanager
def arc2_bench(**keys: Any) -> Generator[tuple[Arc2Bench, VirtualArc2]]:
    """A bench on a virtual board of its own."""
    settings = arc2_settings(**keys)
    assert settings.virtual is not None
    board = virtual_board(settings, settings.virtual, 5)
    bench = bench_on(settings, virtual_library(board), clock=board.clock, pause=board.leave_alone)
    try:
        yield bench, board
    finally:
        bench.close()


def everything(bench: Bench, name: str = "main") -> Region:
    info = bench.arrays[name]
    return Region(name, np.arange(info.rows), np.arange(info.cols))


def one_pulse(bench: Bench, **changed: float) -> Program:
    sheet, region = bench.arrays["main"].device, everything(bench)
    pulse = sheet.potentiate
    given = {"amplitude_v": pulse.amplitude_v, "width_s": pulse.width_s, "gap_s": pulse.gap_s, **changed}
    return Program(region, np.ones(region.shape, np.int16), Pulse(**given), sheet.depress)


@pytest.mark.parametrize(
    ("keys", "rtol", "repeats"),
    [
        ({}, 5e-3, 2),
        ({"read": {"integration": 15e-6, "settle": 2e-6}, "virtual": {"read": {"noise": 0.005}}}, 5e-3, 5),
        (
            {"arrays": {"main": {"rows": "8-15", "cols": "0-6"}, "b": {"rows": "16-18", "cols": "32-36"}}},
            5e-3,
            2,
        ),
    ],
    ids=["plain", "noisy, averaged", "two arrays"],
)
def test_it_keeps_the_bench_contract(keys: dict[str, Any], rtol: float, repeats: int) -> None:
    @contextmanager
    def fresh() -> Generator[Bench]:
        with arc2_bench(**keys) as (bench, _):
            yield bench

    report = check_bench(fresh, rtol=rtol, repeats=repeats)
    assert not report.skipped


DIGITS = (
    "data={name: mnist-5k, train: 60, test: 30, pixels: 5}",
    "network.layers=[{outputs: 5, activation: tanh}, {outputs: 10, activation: softmax}]",
    "training={epochs: 1, batch: 10, rate: 0.05, update_noise_every: 0}",
    "update=bidirectional",
)


@pytest.mark.parametrize("gradient", ["backprop", "progressive-bp"])
def test_a_training_ends_where_it_ends_on_the_simulated_bench_and_its_pulses_are_counted(
    gradient: str,
) -> None:
    settings = arc2_settings(arrays=FULL)
    assert settings.virtual is not None
    simulated = virtual_board(settings, settings.virtual, 5).bench
    start = simulated.conductances("main")
    method = (f"gradient={gradient}", *DIGITS)
    trained(simulated, *method)
    with arc2_bench(arrays=FULL) as (bench, board):
        np.testing.assert_array_equal(board.bench.conductances("main"), start)
        cost = trained(bench, *method)
        found = board.bench.conductances("main")
        assert int(board.pulses["main"].sum()) == cost.pulses > 1000
        np.testing.assert_array_equal(bench.doses["main"], board.pulses["main"])
        assert board.clipped == 0
        assert board.openings == 1
    moved, expected = found - start, simulated.conductances("main") - start
    assert (expected != 0).sum() > 300
    assert np.corrcoef(moved.ravel(), expected.ravel())[0, 1] > 0.999  # DACs round to 0.3 mV


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


def test_polarity_and_place_of_pulses_are_the_programs() -> None:
    with arc2_bench() as (bench, board):
        counts = np.zeros(bench.arrays["main"].shape, np.int16)
        counts[0, 1], counts[0, 2], counts[7, 6] = 3, 1, -2
        sheet, before = bench.arrays["main"].device, board.bench.conductances("main")
        cost = bench.execute((Program(everything(bench), counts, sheet.potentiate, sheet.depress),)).cost
        np.testing.assert_array_equal(board.pulses["main"], np.abs(counts))
        np.testing.assert_array_equal(np.sign(board.bench.conductances("main") - before), np.sign(counts))
        assert cost.pulses == 6


def test_readings_are_averaged_over_the_integration_time_and_flagged_from_the_ceiling_on() -> None:
    with arc2_bench(read={"ceiling": 1e-6}, device={**IDEAL, "initial": "mid"}) as (bench, board):
        middle = float(board.bench.conductances("main")[0, 0])
        for volts, clipped in ((0.9e-6 / middle, False), (1.1e-6 / middle, True)):
            done = bench.execute((Read(everything(bench), volts, 95e-6),))
            answer = done.answers[0]
            assert isinstance(answer, ReadAnswer)
            assert np.all(answer.clipped == clipped)
            assert done.cost.reads == 10 * answer.amperes.size


def test_a_wait_is_not_slept_on_a_virtual_board() -> None:
    with arc2_bench() as (bench, board):
        assert bench.execute((Wait(3600.0),)).cost.seconds == 3600
        assert board.bench.seconds > 3600


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"amplitude_v": 10.5}, "pulse of 10.5 V .* up to 10 V"),
        ({"width_s": 20e-9}, "pulse of 20 ns .* 40 ns to less than 500 ms"),
        ({"width_s": 0.5}, "pulse of 500 ms"),
        ({"width_s": 100.5e-9}, "steps of 1 ns"),
        ({"gap_s": 100.0}, "gap of 100 s .* up to 85.9 s"),
    ],
)
def test_a_pulse_beyond_the_hardware_is_refused_before_anything_is_sent(
    changed: dict[str, float], message: str
) -> None:
    with arc2_bench() as (bench, board):
        before = board.executions
        with pytest.raises(LimitError, match=message):
            bench.execute((one_pulse(bench), one_pulse(bench, **changed)))
        assert board.executions == before
        assert not bench.doses["main"].any()


def test_volts_beyond_the_hardware_are_refused_before_anything_is_sent() -> None:
    with arc2_bench() as (bench, board):
        before, region = board.executions, everything(bench)
        varied = Variants(np.array([0]), np.full((1, 1), -11.0))
        for op in (
            Read(region, 10.1, 1e-5),
            Multiply(region, np.full((1, 9), 12.0), 1e-5),
            Multiply(region, np.zeros((1, 9)), 1e-5, variants=varied),
        ):
            with pytest.raises(LimitError, match="drives up to 10 V"):
                bench.execute((op,))
        assert board.executions == before


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"arrays": {"main": {"rows": "0-7", "cols": "60-64"}}}, "asked for channel 64; there are 0 to 63"),
        ({"arrays": {"main": {"rows": "0-9", "cols": "10-15"}}}, "channels 8 to 15 are wired to rows and to"),
        ({"virtual": None}, "is needed: the file that came with the board"),
    ],
)
def test_a_file_that_cannot_be_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises((MisfitError, ValueError), match=message):
        arc2_settings(**keys)


def test_a_device_that_the_board_cannot_pulse_is_refused_with_its_key() -> None:
    short = {**IDEAL, "potentiate": {"amplitude": 1.0, "width": 10e-9}}
    with (
        pytest.raises(ConfigError, match=r"^device.potentiate: asked for a pulse of 10 ns"),
        arc2_bench(device=short),
    ):
        raise AssertionError("it was opened")


def test_a_read_voltage_beyond_the_hardware_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"^read.voltage: asked to drive a device with 12 V"):
        driver.open(arc2_settings(read={"voltage": 12.0}), {}, 0)


def test_pulses_of_a_devices_life_are_kept_in_the_ledger(tmp_path: Path) -> None:
    kept = {"program": {"ledger": str(tmp_path / "life"), "dose": 2}}
    for _ in range(2):
        with arc2_bench(**kept) as (bench, _):
            bench.execute((one_pulse(bench),))
    with arc2_bench(**kept) as (bench, board):
        with pytest.raises(LimitError, match="its dose is 2"):
            bench.execute((one_pulse(bench),))
        assert not board.pulses["main"].any()


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


def test_a_rehearsal_asks_for_what_the_bench_asks_and_takes_the_time_of_its_exchanges(tmp_path: Path) -> None:
    kept = {"program": {"ledger": str(tmp_path / "life"), "dose": 1}}
    settings = arc2_settings(virtual=None, instrument={"firmware": "arc2fw.bin"}, **kept)
    with arc2_bench() as (bench, _):
        schedule = (one_pulse(bench), Read(everything(bench), 0.1, 5e-5))
        expected = bench.execute(schedule).cost
    rehearsed = rehearsal.open(settings, None, 1e-3, seed=5)
    rehearsed.execute(schedule)
    found = rehearsed.execute(schedule).cost  # more often than a life's dose: nothing is worn
    assert (found.pulses, found.reads, found.transactions) == (
        expected.pulses,
        expected.reads,
        expected.transactions,
    )
    assert found.seconds == pytest.approx(expected.seconds + 1e-3 * expected.transactions)
    assert not (tmp_path / "life").exists()
    twin = SimSettings.model_validate({"device": IDEAL, "arrays": {"main": {"rows": 4, "cols": 4}}})
    with pytest.raises(ConfigError, match="the twin has main 4 x 4; the bench has main 9 x 7"):
        rehearsal.open(settings, twin, 1e-3, seed=5)


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarc2", None)
    settings = arc2_settings(virtual=None, instrument={"firmware": "arc2fw.bin"})
    with pytest.raises(ConfigError, match=r"needs pyarc2, .*pip install 'synapse-hil\[arc2\]'"):
        driver.open(settings, {}, 0)


def test_the_virtual_board_takes_the_calls_of_the_contract() -> None:
    for name in CALLS:
        assert list(signature(getattr(VirtualInstrument, name)).parameters) == list(
            signature(getattr(Board, name)).parameters
        )


def test_the_installed_library_has_the_calls_of_the_contract() -> None:
    pytest.importorskip("pyarc2")
    library = installed()
    assert library.version.startswith("pyarc2 ")
    assert isinstance(library.find_ids(), list)
    with pytest.raises(library.error) as told:
        library.instrument(1000, "no-such-firmware.bin")
    assert str(told.value.args[0]) == "Invalid ArC2 device id: 1000"


def test_slices_add_up_to_the_counts_along_the_side_that_needs_fewer_pulses() -> None:
    counts = np.array([[3, 0, -1], [3, 1, 0], [3, 0, 0], [2, -2, 5]], np.int16)
    total, put_out = np.zeros(counts.shape, np.int64), 0
    for each in slices(counts):
        at = (each.line, each.others) if each.axis == 0 else (each.others, each.line)
        total[at] += each.times if each.rising else -each.times
        put_out += each.times
    np.testing.assert_array_equal(total, counts)
    assert put_out == 12  # by rows it would be 17
    assert not list(slices(np.zeros((2, 0), np.int16)))


def test_the_example_bench_trains_without_hardware(tmp_path: Path) -> None:
    run = session.execute(
        session.prepare(
            EXAMPLES / "experiments" / "iris.yaml",
            EXAMPLES / "benches" / "arc2-virtual.yaml",
            ("training.epochs=1",),
        ),
        tmp_path,
    )
    assert run.status == "finished"
    assert run.summary["pulses"] > 0
