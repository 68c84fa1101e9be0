"""What a run and a file say of themselves: what can be done next, on which bench, and what is missing."""

from __future__ import annotations

from pathlib import Path

from hil import session, setup
from hil.check import check_file
from hil.cli.show import bench_in_short
from hil.report import write_report


def test_a_run_that_was_stopped_says_what_can_be_done_with_it(called, tmp_path):
    small = ("data.train=40", "data.test=20", "data.pixels=7", "network.layers.0.outputs=4")
    ready = session.prepare(overrides=small)
    run = session.execute(ready, tmp_path / "runs", stop=lambda: True)
    made_again = "hil train with the same files and seed makes the same run again"
    assert made_again in run.going_on
    assert made_again in called("show", run.path).stdout
    assert made_again in write_report(run).read_text()


def test_a_bench_is_named_before_its_instruments_which_are_told_in_short():
    maker = "Keithley Instruments Inc. 2636B, serial 4000001, firmware 3.3.5 (TSP)"
    assert bench_in_short("chip-7", {"smu": maker}) == "chip-7; smu: Keithley Instruments Inc. 2636B"
    assert (
        bench_in_short("chip-7", {"bench": "chip-7 (simulated)", "seed": "1"})
        == "chip-7 (simulated); seed: 1"
    )


def test_a_run_of_no_epochs_says_that_nothing_was_trained(called):
    small = (
        "data.train=40",
        "data.test=20",
        "data.pixels=7",
        "network.layers.0.outputs=4",
        "training.epochs=0",
    )
    shown = called("train", "--no-report", *(word for each in small for word in ("--set", each))).stdout
    assert "nothing, the initial weights alone (training.epochs is 0)" in shown


def test_arrays_as_a_size_are_told_how_a_size_is_written(called):
    told = called("train", "--bench-set", "arrays={main: 32x32}", code=2).stderr
    assert "arrays.main: asked for '32x32'; must be a mapping: {rows: ..., cols: ...}" in told


def test_pulses_without_a_gap_are_told_by_the_file_alone():
    bench = Path(__file__).parents[2] / "examples" / "benches" / "crosspoint-virtual.yaml"
    settings, _ = setup.load_bench(bench, ["device.potentiate={amplitude: 1 V, width: 1 ms}"])
    (doubt,) = check_file(settings).doubts
    assert "device.potentiate.gap: 0 s; the pulse generator needs time between pulses" in doubt
