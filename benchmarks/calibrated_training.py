"""What calibration records are worth: training on an array that is not what its data sheet says.

    python -m benchmarks.calibrated_training --seeds 3

A simulated array with 5 % of devices that do not work, some of them shorted, with steps up and down that the
data sheet calls equal and are not, and with an offset current at its amplifiers is calibrated; then the same
experiment is trained on it with none, some and all of its records. One chip for each seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drivers.sim import driver
from hil import setup
from hil.bench import StepCurve
from hil.calibrate.choose import routines, targets
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.use import known_by_records
from hil.config.bench import BenchSettings
from hil.corrected import CorrectedBench, Known
from hil.faults import Faults
from hil.opened import OpenedBench, lock_lines
from hil.plan import run
from hil.training.controller import Training, train
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

BENCH = """
driver: sim
name: unknown-chip
arrays: {{main: {{rows: {rows}, cols: {cols}}}}}
device:
  model: exponential
  g_min: 100 nS
  g_max: 1.6 uS
  levels_up: 160
  levels_down: 40
  nl_up: 2
  nl_down: -2
  c2c: 0.005
  d2d: {{range: 0.05, step: 0.1, asymmetry: 0.05}}
  initial: uniform
  potentiate: {{amplitude: 2 V, width: 1 us}}
  depress: {{amplitude: -2 V, width: 1 us}}
  faults: {{stuck: {stuck:.6g}, open: {open:.6g}, shorted: {shorted:.6g}}}
read: {{noise: 0.01, offset: {offset}}}
"""
EXPERIMENT = """
name: calibrated
seed: {seed}
data: {{name: mnist-5k, train: 2000, pixels: 14}}
network: {{layers: [{{outputs: 24, activation: tanh}}, {{outputs: 10, activation: softmax}}]}}
gradient: backprop
update: {{name: bidirectional, compensated: true, sense_every: 500}}
training: {{epochs: 3, rate: {rate}, evaluations: 1}}
"""
CASES: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "update-curve, offset": ("update-curve", "offset"),
    "devices, offset": ("devices", "offset"),
    "devices, update-curve": ("devices", "update-curve"),
    "all three": ("devices", "update-curve", "offset"),
}
MEASURED = {"devices": "all,all", "read-noise": "0-255/8,all", "update-curve": "0-255/4,0-95/4"}
ROWS, COLS = 256, 96
SHORTED, OFFSET = 0.002, "20 nA"
NOMINAL_LEVELS = 80


@dataclass(slots=True)
class Last:
    """A journal that keeps the last accuracy."""

    accuracy: float = 0.0

    def training(self, row: TrainingRow) -> None:
        """Not asked for."""

    def evaluation(self, row: EvaluationRow) -> None:
        """Keep it."""
        self.accuracy = row.accuracy

    def update_noise(self, row: UpdateNoiseRow) -> None:
        """Not asked for."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Not asked for."""

    def event(self, kind: str, text: str) -> None:
        """Not asked for."""


class Trained(NamedTuple):
    """Test accuracy, %; faulty devices in the tiles, and the shorted ones among them."""

    accuracy: float
    faulty: int
    shorted: int


@dataclass(frozen=True, slots=True)
class Chip:
    """Files in a folder; ``true``: its data sheet is right."""

    folder: Path
    shorted: float = SHORTED
    faulty: float = 0.05
    offset: str = OFFSET
    true: bool = False

    def settings(self, used: tuple[str, ...]) -> BenchSettings:
        """Its bench file with some kinds of records in use."""
        path = self.folder / "bench.yaml"
        stuck, opened = (share * (self.faulty - self.shorted) for share in (0.6, 0.4))
        text = BENCH.format(
            rows=ROWS, cols=COLS, stuck=stuck, open=opened, shorted=self.shorted, offset=self.offset
        )
        path.write_text(
            text + (f"calibrations: {{folder: records, use: [{', '.join(used)}]}}" if used else "")
        )
        return setup.load_bench(path)[0]

    def opens(self, settings: BenchSettings, sizes: dict[str, tuple[int, int]], seed: int) -> OpenedBench:
        """Open it with the data sheet that its maker gives: steps alike both ways and everywhere."""
        bench = driver.open(settings, sizes, seed)
        sheet = bench.arrays["main"].device
        if not self.true:
            step = (sheet.g_max_s - sheet.g_min_s) / NOMINAL_LEVELS
            ends = np.array([sheet.g_min_s, sheet.g_max_s])
            curve = StepCurve(ends, np.full(2, step), np.full(2, -step))
            sheet = replace(sheet, step_up_s=step, step_down_s=step, curve=curve)
        told = CorrectedBench(bench, {"main": Known(sheet=sheet)})
        known = known_by_records(settings, told, datetime.now(UTC))
        return OpenedBench(told, settings, lock_lines(settings), known if known.used else None)

    def measure(self, seed: int) -> Faults:
        """Make its records: faults of all devices, offset and curve of some; returns the faults."""
        settings = self.settings(())
        with self.opens(settings, {}, seed) as bench:
            for name, lines in MEASURED.items():
                (target,) = targets(bench.arrays, [lines])
                routine = routines([name])[name]
                calibrate(name, routine, bench, target, About(settings.name), self.folder / "records")
        with self.opens(self.settings(("devices",)), {}, seed) as bench:
            faults = bench.arrays["main"].faults
        assert faults is not None  # noqa: S101
        return faults

    def train(self, used: tuple[str, ...], seed: int, rate: float, faults: Faults) -> Trained:
        """Train the experiment on it."""
        settings = self.settings(used)
        path = self.folder / "experiment.yaml"
        path.write_text(EXPERIMENT.format(seed=seed, rate=rate))
        experiment, _ = setup.load_experiment(path)
        data, journal = setup.load_data(experiment), Last()
        with setup.bench_for(experiment, data, settings, self.opens) as bench:
            network = setup.build_network(experiment, data, bench)
            training = Training(
                network, data, experiment.gradient, experiment.update, experiment.training,
                experiment.initial, seed,
            )  # fmt: skip
            run(train(training, journal), bench)
        counts = [faults.counts(block.region) for layer in network.layers for block in layer.tile.blocks]
        faulty = sum(sum(each.values()) for each in counts)
        return Trained(100 * journal.accuracy, faulty, sum(each.get("shorted", 0) for each in counts))


def main() -> None:
    """Print a row for each choice of records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="chips, and trainings on each")
    parser.add_argument("--rate", type=float, default=0.02, help="learning rate")
    options = parser.parse_args()
    found: dict[str, list[Trained]] = {}
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            chip = Chip(Path(folder))
            faults = chip.measure(seed)
            for case, used in CASES.items():
                found.setdefault(case, []).append(chip.train(used, seed, options.rate, faults))
            sound = replace(chip, faulty=0.0, shorted=0.0, offset="0 A", true=True)
            none = Faults(np.zeros_like(faults.kind), faults.siemens)
            trained = sound.train((), seed, options.rate, none)
            found.setdefault("sound chip, true data sheet", []).append(trained)
    print("| records used | accuracy, % (each chip) | faulty devices in the tiles | shorted ones |")
    print("| --- | --- | --- | --- |")
    for case, results in found.items():
        mean = np.mean(results, axis=0)
        each = ", ".join(f"{one.accuracy:.1f}" for one in results)
        print(f"| {case} | {mean[0]:.1f} ({each}) | {mean[1]:.0f} | {mean[2]:.0f} |")


if __name__ == "__main__":
    main()
