"""The ArC TWO bench on a virtual board in this process: the contract, training, limits, and what fails."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.arc2 import driver
from drivers.arc2.api import CALLS, Board, installed
from drivers.arc2.opening import virtual_board
from drivers.arc2.orders import slices
from drivers.arc2.rehearsal import rehearsal
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.arc2_calls import VirtualInstrument
from hil import session
from hil.bench import Bench
from hil.config.validate import MisfitError
from hil.conformance import check_bench
from hil.errors import (
    ConfigError,
    LimitError,
)
from hil.schedule import Multiply, Program, Read, ReadAnswer, Variants, Wait
from tests.sim.arc2_lab import DIGITS, EXAMPLES, FULL, IDEAL, arc2_bench, arc2_settings, everything, one_pulse
from tests.socket.keystone import trained


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
