"""The timing of a bench, found in what its calibrations took, makes its twin as slow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.devices import Devices
from calibration.read_noise import ReadNoise
from calibration.timing import timing_of
from drivers.crosspoint.rehearsal import rehearsal
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.sim import driver
from drivers.sim.bench import SimBench
from hil.bench import Bench
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Routine, Target
from hil.calibrate.record import Record
from hil.config.validate import validate
from hil.config.yaml import load_yaml
from hil.region import Region
from hil.schedule import Multiply, MultiplyAnswer, Program, Read, Wait
from tests.sim.test_price import CROSSPOINT


def recorded(bench: Bench, routine: Routine, folder: Path, file: dict[str, Any]) -> Record:
    target = Target.whole(bench.arrays["main"])
    return calibrate("any", routine, bench, target, About("bench", {"resolved": file}), folder).record


def sim(timing: dict[str, Any]) -> SimBench:
    text = {"device": {"preset": "ENODe"}, "arrays": {"main": {"rows": 4, "cols": 6}}, "timing": timing}
    return SimBench(driver.settings.model_validate(text), {}, 1)


def test_a_twin_of_a_bench_behind_a_switch_matrix_takes_as_long_for_the_same_schedules(
    tmp_path: Path,
) -> None:
    (tmp_path / "bench.yaml").write_text(CROSSPOINT)
    settings = validate(CrosspointBenchSettings, load_yaml(tmp_path / "bench.yaml"))
    bench = rehearsal.open(settings, None, 5e-3, 1)
    file = settings.model_dump(mode="json")
    routines: list[Routine] = [
        Devices(repeats=3),
        ReadNoise(repeats=8, times=(1.0, 3.0), voltages=(0.5, 1.0)),
    ]
    records = [recorded(bench, routine, tmp_path, file) for routine in routines]
    timing = timing_of(records)
    assert timing["one_by_one"] is True
    for record in records:
        twin = sim(timing)
        for step in record.steps:
            twin.execute((step.op,))
        assert twin.seconds == pytest.approx(record.cost.seconds, rel=0.1)


def test_the_timing_of_a_board_is_found_again(tmp_path: Path) -> None:
    record = recorded(sim({"settle": 3e-6, "shot": 40e-6}), Devices(repeats=3), tmp_path, {})
    assert timing_of([record]) == {"settle": "3 us", "shot": "40 us"}
    assert timing_of([]) == {}


def test_sums_are_made_of_readings_of_what_was_pulsed_since() -> None:
    bench = sim({"one_by_one": True, "settle": 1e-3, "shot": 2e-3})
    sheet, whole = bench.arrays["main"].device, Region("main", np.arange(4), np.arange(6))
    counts = np.zeros((4, 6), np.int16)
    counts[1, 2:4] = 3, -2
    multiply = Multiply(whole, np.full((5, 4), 0.1, np.float32), 1e-3)
    program = Program(whole, counts, sheet.potentiate, sheet.depress)
    schedule = Read(whole, 0.1, 1e-3), multiply, program, multiply, multiply, Wait(1.0), multiply
    done = bench.execute(schedule)
    costs = done.costs
    assert [cost.reads for cost in costs] == [24, 0, 0, 2, 0, 0, 24]
    assert costs[0].seconds == pytest.approx(24 * 2e-3)
    assert costs[3].seconds == pytest.approx(2 * 2e-3)
    up, down = (pulse.width_s + pulse.gap_s for pulse in (sheet.potentiate, sheet.depress))
    assert costs[2].seconds == pytest.approx(2 * 2e-3 + 3 * up + 2 * down)
    for ours, native in zip(done.answers, sim({}).execute(schedule).answers, strict=True):
        if isinstance(ours, MultiplyAnswer) and isinstance(native, MultiplyAnswer):
            np.testing.assert_array_equal(ours.amperes, native.amperes)
