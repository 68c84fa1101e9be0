"""A calibration waits for a line that was lost and goes on where it was, over real sockets: readings are
taken again, no pulse is given twice, and where pulses are in doubt it ends with its reason.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.devices import Devices
from calibration.read_noise import ReadNoise
from hil.calibrate.conduct import About, Kept, calibrate
from hil.calibrate.contracts import Routine, Target
from hil.calibrate.file import read_record, record_paths
from hil.errors import BenchError, TimeoutError_
from tests.socket.crosspoint_server import IDEAL, Lab, crosspoint_bench

BENCH = {
    "arrays": {"main": {"rows": "0-2", "cols": "12-15"}},
    "device": {**IDEAL, "initial": "uniform"},
    "read": {"voltage": 0.1, "integration": 1e-3},
}
FAULTY = {
    ("smu", "silent"): ("measure.iv", 200),
    ("smu", "disconnect-within"): ("measure.iv", 30),
    ("matrix", "silent"): ("exclusiveclose", 60),
    ("matrix", "disconnect-after"): ("exclusiveclose", 75),
}


def lab(role: str = "", kind: str = "", number: int = 0, on: str = ""):
    fault = {"kind": kind, "on": on, "numbers": [number]}
    keys = {"virtual": {role: {"faults": [fault]}}, role: {"transport": {"timeout": 0.5, "quiet": 0.005}}}
    return crosspoint_bench(**BENCH, **(keys if role else {}))


def measured(here: Lab, routine: Routine, folder: Path, told: list[tuple[str, str]]) -> Kept:
    target = Target.whole(here.bench.arrays["main"])

    def happened(kind: str, text: str) -> None:
        told.append((kind, text))

    return calibrate(
        "devices", routine, here.bench, target, About("chip"), folder, reconnect_s=5.0, happened=happened
    )


@pytest.mark.parametrize(("role", "kind"), FAULTY)
def test_a_hiccup_costs_time_and_no_pulse_comes_twice(role: str, kind: str, tmp_path: Path) -> None:
    routine, told = Devices(repeats=3, crossing=0.1), list[tuple[str, str]]()
    with lab() as here:
        undisturbed = measured(here, routine, tmp_path, told).record
        pulses = here.grid.pulses["main"].copy()
    assert told == []
    on, number = FAULTY[role, kind]
    with lab(role, kind, number, on) as here:
        record = measured(here, routine, tmp_path, told).record
        np.testing.assert_array_equal(here.grid.pulses["main"], record.pulses_spent)
        np.testing.assert_array_equal(here.grid.pulses["main"], pulses)
        assert (here.bench.doses["main"] >= pulses).all()
        assert here.cold
        assert here.off
    assert record.partial is None
    assert record.cost.pulses == undisturbed.cost.pulses == pulses.sum()
    assert [kind for kind, _ in told] == ["paused", "resumed"]
    assert told[0][1].startswith("at schedule ")
    assert role in told[0][1]
    assert [(type(a.op), type(a.answer)) for a in record.steps] == [
        (type(a.op), type(a.answer)) for a in undisturbed.steps
    ]
    np.testing.assert_array_equal(record.result.maps["fault"], undisturbed.result.maps["fault"])
    began = [step.begun_s for step in record.steps]
    assert began == sorted(began)


def test_pulses_in_doubt_end_it_with_its_reason_and_nothing_is_waited_for(tmp_path: Path) -> None:
    told = list[tuple[str, str]]()
    with lab("pulser", "silent", 6, "TRIG1") as here, pytest.raises(BenchError) as ended:
        measured(here, Devices(repeats=3, crossing=0.1), tmp_path, told)
    assert told == []
    assert any("in doubt, and none is given twice" in note for note in ended.value.__notes__)
    (path,) = record_paths(tmp_path)
    assert "are in doubt and counted as given" in str(read_record(path).partial)


def test_what_fails_at_one_place_each_time_ends_it_with_what_was_measured(tmp_path: Path) -> None:
    told = list[tuple[str, str]]()
    fault = {"kind": "silent", "on": "exclusiveclose", "numbers": list(range(150, 400))}
    transport = {"transport": {"timeout": 0.2, "quiet": 0.005}}
    routine = ReadNoise(repeats=8, times=(1.0, 4.0))
    with crosspoint_bench(**BENCH, virtual={"matrix": {"faults": [fault]}}, matrix=transport) as here:
        with pytest.raises(TimeoutError_) as ended:
            measured(here, routine, tmp_path, told)
        assert here.off
    assert [kind for kind, _ in told] == ["paused", "resumed"] * 3
    (again,) = [note for note in ended.value.__notes__ if note.startswith("not waited for again")]
    assert "lost 3 times before at schedule 2, operation " in again
    (path,) = record_paths(tmp_path)
    record = read_record(path)
    assert len(record.steps) == 8
    assert str(record.partial).startswith("TimeoutError_: matrix: ")
