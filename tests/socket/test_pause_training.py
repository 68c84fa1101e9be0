"""R6 in a training run: a line is lost in the middle of a reading or a pulse, comes back, and training goes
on from what the devices hold; no pulse is sent twice.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hil.errors import IdentityError, InstrumentError
from tests.sim.test_training import Notes
from tests.socket.cli import hil, virtual
from tests.socket.crosspoint_server import PULSES, crosspoint_bench
from tests.socket.keystone import trained
from tests.socket.line_server import line_bench
from tests.socket.test_line_faults import on_a_faulty_link

ROOT = Path(__file__).parents[2]
RINGS = (
    f"data={{name: csv, path: {ROOT / 'examples/experiments/rings.csv'}, test: 6, train: 20}}",
    "network.layers=[{outputs: 2, activation: softmax, w_max: 4}]",
    "training={epochs: 1, batch: 4, rate: 0.3, update_noise_every: 0, evaluations: 1}",
    "gradient=backprop",
    "update=manhattan",
)
DEVICE = {"preset": "ideal", "initial": "uniform", **PULSES}
BENCH = {
    "arrays": {"main": {"rows": "0-2", "cols": "12-15"}},
    "device": DEVICE,
    "read": {"voltage": 0.1, "integration": 1e-3},
}
STEPS = 5


def events(notes: Notes, kind: str) -> list[str]:
    return [text for event, text in notes.events if event == kind]


@pytest.mark.parametrize(
    ("role", "kind", "number"),
    [
        ("pulser", "disconnect-before", 70),
        ("pulser", "disconnect-after", 70),
        ("smu", "disconnect-within", 70),
        ("smu", "silent", 70),
        ("matrix", "disconnect-after", 110),
    ],
)
def test_a_step_that_broke_off_is_left_as_it_is_and_training_goes_on(
    role: str, kind: str, number: int
) -> None:
    on = {"smu": "measure.iv", "pulser": "TRIG1", "matrix": "exclusiveclose"}[role]
    fault = {"kind": kind, "on": on, "numbers": [number]}
    notes = Notes()
    keys = {"virtual": {role: {"faults": [fault]}}, role: {"transport": {"timeout": 0.5, "quiet": 0.005}}}
    with crosspoint_bench(**BENCH, **keys) as lab:
        trained(lab.bench, *RINGS, notes=notes)
        given, counted = lab.grid.pulses["main"], lab.bench.doses["main"]
        assert lab.cold
        assert lab.off
    (paused,), (resumed,), (doubt,) = (events(notes, kind) for kind in ("paused", "resumed", "in doubt"))
    assert paused.startswith("at training step ")
    assert role in paused
    assert "the same instruments answer" in resumed
    assert doubt.endswith("broke off and is not repeated; the arrays are read")
    assert [shot.moment for shot in notes.snapshots][1].startswith("after-step-")
    assert notes.rows[-1].step == STEPS
    assert (given <= counted).all()
    missing = (counted - given).sum()
    assert missing <= 12, "at most the pulses of the step in doubt"
    if (role, kind) == ("pulser", "disconnect-before"):
        assert missing > 0
    assert notes.evaluations[-1].step == STEPS


def test_reading_is_simply_begun_anew() -> None:
    fault = {"kind": "disconnect-within", "on": "measure.iv", "numbers": [5]}
    undisturbed, notes = Notes(), Notes()
    with crosspoint_bench(**BENCH) as lab:
        trained(lab.bench, *RINGS, notes=undisturbed)
        expected = lab.grid.conductances("main")
    with crosspoint_bench(**BENCH, virtual={"smu": {"faults": [fault]}}) as lab:
        trained(lab.bench, *RINGS, notes=notes)
        np.testing.assert_array_equal(lab.grid.conductances("main"), expected)
        np.testing.assert_array_equal(lab.grid.pulses["main"], lab.bench.doses["main"])
    assert not events(notes, "in doubt")
    assert events(notes, "again") == ["initial weights of layer1, round 1: begun anew"]


def test_from_the_command_line_the_pause_is_told_and_in_the_record(tmp_path: Path) -> None:
    (tmp_path / "virtual.yaml").write_text(ON_A_BOARD)
    sets = [word for key in (*RINGS, "name=paused") for word in ("--set", key)]
    with virtual(tmp_path, tmp_path / "virtual.yaml"):
        done = hil(tmp_path, "train", "--bench", "bench.yaml", "--yes", "--no-report", *sets)
    assert done.returncode == 0, done.stderr
    told = done.stdout
    assert "paused: at training step " in told
    assert "resumed: after " in told
    assert "in doubt: training step " in told
    (run,) = (tmp_path / "runs").iterdir()
    again = hil(tmp_path, "show", str(run))
    assert "in doubt: training step " in again.stdout


ON_A_BOARD = """\
driver: line
controller: {resource: nowhere}
arrays:
  main: {rows: 0-2, cols: 0-3}
device: {preset: ideal, initial: uniform}
virtual:
  port: 0
  faults: [{kind: power-cut, runs: [12]}]
"""

LINE = {"arrays": {"main": {"rows": "0-2", "cols": "0-3"}}, "device": DEVICE}


def test_a_board_that_lost_its_power_has_its_limits_again_before_training_goes_on() -> None:
    keys = on_a_faulty_link({"kind": "power-cut", "runs": [12]})
    notes = Notes()
    with line_bench(**LINE, **keys, limits={"program": 1.25}) as (bench, there):
        trained(bench, *RINGS, notes=notes)
        assert bench.controller.limits.vpulse == 1.25
        assert there.grid.counters.each.sum() <= bench.doses["main"].sum()
    assert len(events(notes, "paused")) == 1
    assert "reset during program" in events(notes, "paused")[0]
    assert notes.rows[-1].step == STEPS


def test_an_error_of_the_instrument_itself_ends_the_run() -> None:
    keys = on_a_faulty_link({"kind": "abort", "runs": [12], "op": 0, "shots": 0})
    notes = Notes()
    with line_bench(**LINE, **keys) as (bench, _), pytest.raises(InstrumentError, match="was aborted"):
        trained(bench, *RINGS, notes=notes)
    assert not events(notes, "paused")


def test_another_board_in_its_place_ends_the_run() -> None:
    keys = on_a_faulty_link({"kind": "power-cut", "runs": [12]})
    notes = Notes()
    with line_bench(**LINE, **keys) as (bench, _):
        bench._identity["controller"] = "another"
        with pytest.raises(IdentityError, match="it was another"):
            bench.come_back()
        with pytest.raises(Exception, match="reset during program") as caught:
            trained(bench, *RINGS, notes=notes)
    assert "it was another" in caught.value.__notes__[0]
