"""Our side of the training benchmark: 784-256-10 in simulated devices, one thread, one JSON object on stdout.

What is timed is a recorded run as ``hil train`` makes it: controller, plan, limits, bench contract and run
store are in it. Run as ``python benchmarks/peers/hil_train.py train DATA.npz`` or ``update``.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np

import hil
from drivers.sim.kernels import program
from drivers.sim.models import deal
from drivers.sim.settings import ExponentialDevice, SimSettings
from hil import session
from hil.kernels import sparse
from hil.limits import LimitedBench
from hil.schedule import Pulses
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

PACKAGES = ("hil", "drivers", "protocols")
INPUTS, HIDDEN, CLASSES = 784, 256, 10
REPORT_EVERY = 500
READ_NOISE = 0.012
"""Of each current."""
W_MAX = 0.6
"""Of aihwkit's ReRamES."""
CONVERTERS = ("dac.bits=7", "dac.range=100 mV", "adc.bits=9", f"read.noise={READ_NOISE}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train", help="training: samples per second, and what the network has learned"
    )
    train.add_argument("data", type=Path, help="npz with train_x, train_y, test_x, test_y")
    train.add_argument("--batch", type=int, default=1)
    train.add_argument("--epochs", type=int, default=1)
    train.add_argument("--rate", type=float, default=0.003)
    train.add_argument(
        "--weights",
        choices=("reference", "pair"),
        default="reference",
        help="one device a weight, as aihwkit has it, or two",
    )
    train.add_argument("--profile", action="store_true", help="say what each compiled kernel took")
    update = commands.add_parser("update", help="Program on a 784 x 256 array: device-pulses per second")
    update.add_argument(
        "--length", type=int, default=1, help="pulses that every device gets in one operation"
    )
    update.add_argument("--seconds", type=float, default=1.0, help="CPU time to measure for")
    update.add_argument("--kernel", action="store_true", help="without limits and bench contract")
    for command in (train, update):
        command.add_argument(
            "--preset", default="aihwkit_ReRamES", help="device preset of the simulated bench"
        )
        command.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    result = measure_training(options) if options.command == "train" else measure_update(options)
    print(
        json.dumps({"case": options.command, "preset": options.preset, "version": hil.__version__} | result)
    )


def measure_training(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        recorded(options, Path(folder), f"data.train={20 * options.batch}")  # compiles everything
        watch, accuracy = recorded(options, Path(folder))
        profile = {"profile": profiled(options, Path(folder))} if options.profile else {}
    return {
        "batch": options.batch,
        "rate": options.rate,
        "samples": watch.samples,
        "samples_per_s_wall": watch.samples / watch.wall,
        "samples_per_s_cpu": watch.samples / watch.cpu,
        "accuracy": accuracy,
        "pulses_per_sample": watch.pulses_per_sample,
    } | profile


def recorded(options: argparse.Namespace, folder: Path, *overrides: str) -> tuple[Stopwatch, float]:
    """Train, with everything a user's run has, and return the time of its training steps and its accuracy."""
    training = f"batch: {options.batch}, rate: {options.rate}, epochs: {options.epochs}"
    sizes = (f"outputs: {HIDDEN}, activation: tanh", f"outputs: {CLASSES}, activation: softmax")
    layers = ", ".join(f"{{{size}, w_max: {W_MAX}}}" for size in sizes)
    experiment = (
        f"data={{name: npz, path: {options.data.resolve()}}}",
        f"network={{layers: [{layers}], loss: cross-entropy, weights: {options.weights}}}",
        "gradient=backprop",
        "update=bidirectional",
        f"seed={options.seed}",
        f"training={{{training}, report_every: {REPORT_EVERY}}}",
    )
    bench = (f"device={options.preset}", *CONVERTERS)
    prepared = session.prepare(overrides=(*experiment, *overrides), bench_overrides=bench)
    watch = Stopwatch(prepared.bench)
    run = session.execute(prepared, folder, watch)
    return watch, float(run.summary["accuracy"])


def profiled(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train again under the profiler, which slows Python but hardly a kernel: that share is a lower bound.

    ``kernels`` and ``python`` hold [seconds by itself, calls] of what is called at least every other step.
    """
    profile = cProfile.Profile()
    profile.enable()
    watch, _ = recorded(options, folder)
    profile.disable()
    compiled = kernel_places()
    kernels: dict[str, tuple[float, int]] = {}
    python: dict[str, tuple[float, int]] = {}
    steps = watch.samples / options.batch
    stats: Any = pstats.Stats(profile)
    for place, (_, calls, seconds, _, _) in stats.stats.items():
        if calls >= steps / 2:
            kind = kernels if place in compiled else python
            kind[f"{Path(place[0]).name}:{place[2]}"] = (seconds, calls)
    return {
        "steps": steps,
        "step_s": watch.wall / steps,
        "kernels_step_s": sum(seconds for seconds, _ in kernels.values()) / steps,
        "kernels": dict(sorted(kernels.items(), key=lambda item: -item[1][0])),
        "python": dict(sorted(python.items(), key=lambda item: -item[1][0])[:20]),
    }


def kernel_places() -> set[tuple[str, int, str]]:
    """File, line and name of every compiled function, as the profiler tells them."""
    found: set[tuple[str, int, str]] = set()
    for module in [m for name, m in sys.modules.items() if name.split(".")[0] in PACKAGES]:
        for value in vars(module).values():
            function: Any = getattr(value, "py_func", None)  # what numba keeps of the source
            if function is not None:
                code = function.__code__
                found.add((code.co_filename, code.co_firstlineno, code.co_name))
    return found


class Stopwatch:
    """A run's journal that times its training steps: not the initial weights, not the evaluations."""

    def __init__(self, bench: LimitedBench) -> None:
        self.wall = self.cpu = self.pulses_per_sample = 0.0
        self.samples = 0
        self._bench = bench
        self._start()

    def training(self, row: TrainingRow) -> None:
        """Add the time since the last row; the pulses of the last row are what counts."""
        self.wall += time.perf_counter() - self._wall
        self.cpu += time.process_time() - self._cpu
        before = self._pulses
        self._start()
        self.pulses_per_sample = (self._pulses - before) / (row.samples - self.samples)
        self.samples = row.samples

    def evaluation(self, row: EvaluationRow) -> None:
        """Leave it out."""
        self._start()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Leave it out, and with the first all that was done before training."""
        self._start()

    def update_noise(self, row: UpdateNoiseRow) -> None:
        """None is asked for."""

    def event(self, kind: str, text: str) -> None:
        """Warnings are for whoever runs this."""
        if kind == "warning":
            print(text, file=sys.stderr)

    def _start(self) -> None:
        self._pulses = sum(int(doses.sum(dtype=np.int64)) for doses in self._bench.doses.values())
        self._wall, self._cpu = time.perf_counter(), time.process_time()


def measure_update(options: argparse.Namespace) -> dict[str, Any]:
    """Every device of a 784 x 256 array gets ``length`` pulses an update; up and down in turn."""
    pulse_all = kernel_alone(options) if options.kernel else through_bench(options)
    pulses = pulse_all(0)
    if pulses != INPUTS * HIDDEN * options.length:
        raise SystemExit(f"{pulses} pulses counted: the figure would be wrong")
    updates = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < options.seconds:
        updates += 1
        pulse_all(updates)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "length": options.length,
        "devices": INPUTS * HIDDEN,
        "updates": updates,
        "pulses_per_s_wall": updates * pulses / wall,
        "pulses_per_s_cpu": updates * pulses / cpu,
        "steps": one_pulse(options),
    }


def through_bench(options: argparse.Namespace) -> Callable[[int], int]:
    """One Program a schedule, through limits and bench contract."""
    bench = hil.open_bench(None, [f"device={options.preset}"], {"tile": (INPUTS, HIDDEN)}, options.seed)
    sheet = bench.arrays["tile"].device
    region = hil.Region.block("tile", range(INPUTS), range(HIDDEN))
    up = np.full(region.shape, options.length, np.int16)
    schedules = [(hil.Program(region, counts, sheet.potentiate, sheet.depress),) for counts in (up, -up)]
    return lambda number: bench.execute(schedules[number % 2]).cost.pulses


def kernel_alone(options: argparse.Namespace) -> Callable[[int], int]:
    """What the bench calls for such a Program, and nothing around it."""
    device = SimSettings.model_validate({"device": options.preset}).device
    if not isinstance(device, ExponentialDevice):
        raise SystemExit(f"{options.preset}: the kernel is timed on exponential devices")
    devices, _ = deal(device, (INPUTS, HIDDEN), np.random.default_rng(options.seed))
    lines, cols = np.arange(INPUTS), np.arange(HIDDEN)
    up = np.full((INPUTS, HIDDEN), options.length, np.int16)
    both = [Pulses(*sparse(counts)) for counts in (up, -up)]

    def pulse_all(number: int) -> int:
        program(devices, lines, cols, 0, both[number % 2], number)
        return int(up.sum())

    return pulse_all


def one_pulse(options: argparse.Namespace) -> list[float]:
    """Mean and spread of one pulse's step up, then down, at mid-range, in units of the typical range."""
    steps: list[float] = []
    for count in (1, -1):
        bench = hil.open_bench(None, [f"device={options.preset}"], {"tile": (INPUTS, HIDDEN)}, options.seed)
        sheet = bench.arrays["tile"].device
        region = hil.Region.block("tile", range(INPUTS), range(HIDDEN))
        before = hil.read(bench, "tile").astype(np.float64)
        counts = np.full(region.shape, count, np.int16)
        bench.execute((hil.Program(region, counts, sheet.potentiate, sheet.depress),))
        change = (hil.read(bench, "tile") - before) / (sheet.g_max_s - sheet.g_min_s)
        steps += [float(change.mean()), float(change.std())]
    return steps


if __name__ == "__main__":
    main()
