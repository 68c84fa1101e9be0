"""Three virtual instruments in a process of their own, and `hil train` on what they serve, as people do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.socket.cli import ROOT, hil, virtual

BENCH = ROOT / "examples" / "benches" / "crosspoint-virtual.yaml"
FREE = tuple(f"virtual.{role}.port=0" for role in ("smu", "pulser", "matrix"))
IRIS = f"""\
name: small
seed: 1
data: {{name: csv, path: {ROOT / "examples/experiments/iris.csv"}, train: 60, test: 30}}
network: {{layers: [{{outputs: 3, activation: softmax}}]}}
gradient: backprop
update: bidirectional
training: {{epochs: 2, batch: 10, rate: 0.3, evaluations: 1, update_noise_every: 0}}
"""


def test_a_network_trains_from_the_command_line_and_its_pulses_are_counted_over_runs(tmp_path: Path) -> None:
    (tmp_path / "iris.yaml").write_text(IRIS)
    pulses = 0
    with virtual(tmp_path, BENCH, *FREE, "program.ledger=doses"):
        for number in (1, 2):
            done = hil(tmp_path, "train", "iris.yaml", "--bench", "bench.yaml", "--yes", "--json")
            assert done.returncode == 0, done.stderr
            run = json.loads(done.stdout)
            assert run["status"] == "finished"
            assert Path(tmp_path, run["report"]).exists()
            pulses += run["summary"]["pulses"]
            assert int(np.load(tmp_path / "doses" / "main.npy").sum()) == pulses > 0
            assert run["summary"]["accuracy"] > 0.6, number
            assert run["summary"]["transactions"] > run["summary"]["reads"]


def test_what_is_wrong_with_a_virtual_instrument_is_told_with_its_line(tmp_path: Path) -> None:
    done = hil(tmp_path, "virtual", str(BENCH), "--bench-set", "virtual.smu.settings.model=9999")
    assert done.returncode == 2
    assert "virtual.smu.settings.model: " in done.stderr


def test_a_driver_or_an_option_that_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    for keys, message in (
        (
            "smu.driver=keithley-2601",
            "smu.driver: no smu driver named 'keithley-2601' is installed; did you mean",
        ),
        (
            "pulser.options={chanel: 1}",
            "pulser.options.chanel: keysight-33500 has no option 'chanel'; did you mean",
        ),
    ):
        done = hil(tmp_path, "train", "--bench", str(BENCH), "--bench-set", keys)
        assert done.returncode == 2
        assert message in done.stderr


def test_the_suites_for_hardware_run_on_what_a_bench_file_names(tmp_path: Path) -> None:
    with virtual(tmp_path, BENCH, *FREE, "program={}"):
        command = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "bench"), "-n", "0", "-q"]
        command += ["--rootdir", str(ROOT), "--bench", str(tmp_path / "bench.yaml"), "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "3 passed, 2 skipped" in done.stdout
