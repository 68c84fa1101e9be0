"""A virtual array and its twin, which knows it through records alone: how far they are told apart.

    python -m benchmarks.twin --size 64 --preset HZO_FeFET
    python -m benchmarks.twin --preset TaOx_41 --cycles 8 --cycles 64
    python -m benchmarks.twin --train progressive-bp --train dgc --train crus

By staircases that the fit never saw: a two-sample Kolmogorov-Smirnov test for each device, beside the same
test of the array against itself. By training: accuracy and pulses of the same experiment on both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from calibration.devices import Devices
from calibration.read_noise import ReadNoise
from calibration.twin.goodness import Staircases, indistinguishable
from calibration.twin.records import fit
from calibration.update_curve import UpdateCurve, read_curves
from drivers.sim import driver
from hil import session, setup
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Target
from hil.calibrate.tape import Tape
from hil.calibrate.twin import Asked
from hil.plan import run
from hil.store.blobs import pack

FAMILIES = ("HZO_FeFET", "EpiRAM_AgSiGe", "ENODe", "ENODe_measured", "TaOx_41")
SPREAD = {"range": 0.1, "step": 0.1, "asymmetry": 0.05}
FAULTS = {"stuck": 0.02, "open": 0.01, "shorted": 0.01}
NOISE = 0.01
CYCLES = 128
TABLES = ("ENODe_measured", "TaOx_41")


def array(family: str, size: tuple[int, int], seed: int):
    """A virtual array nobody has seen; measured tables bring their own spread."""
    spread = {} if family in TABLES else {"d2d": SPREAD}
    device = {"preset": family, "initial": "uniform", "faults": FAULTS} | spread
    return driver.open(driver.settings(device=device, read={"noise": NOISE}), {"main": size}, seed)


def twin_of(bench, folder: Path, seed: int, curve: UpdateCurve | None = None, model: str = "auto"):
    """Calibrate, fit, write and open: the bench file of the twin, the twin on another seed, and the fit."""
    target = Target.whole(bench.arrays["main"])
    records = []
    for name, routine in (
        ("read-noise", ReadNoise()),
        ("devices", Devices()),
        ("update-curve", curve or UpdateCurve()),
    ):
        kept = calibrate(name, routine, bench, target, About("array"), folder)
        records.append((kept.path, kept.record))
    fitted = fit(records, Asked(model), datetime.now(UTC))
    (folder / "twin.npz").write_bytes(pack(fitted.maps))
    described = {**fitted.bench, "device": {**fitted.bench["device"], "maps": "twin.npz"}}
    path = folder / "twin.yaml"
    path.write_text(yaml.safe_dump(described))
    return path, setup.open_bench(setup.load_bench(path)[0], seed=seed), fitted


def readings(bench, routine: UpdateCurve) -> np.ndarray:
    """All readings of new staircases [n, devices], siemens."""
    up, down = staircases_of(bench, routine)
    return np.concatenate([way.reshape(-1, way.shape[2]) for way in (up, down)])


def staircases_of(bench, routine: UpdateCurve) -> tuple[np.ndarray, np.ndarray]:
    target, tape = Target.whole(bench.arrays["main"]), Tape()
    run(routine.plan(target), bench, tape)
    curves = read_curves(tape.steps, routine.ways(target), routine.cycles, routine.turning)
    return curves.up, curves.down


def told_apart(family: str, size: int, seed: int, model: str, cycles: int) -> None:
    """A line of the table: shares of devices that are not told apart."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = array(family, (size, size), seed)
        _, opened, fitted = twin_of(bench, Path(folder), seed + 1000, UpdateCurve(cycles=cycles), model)
        routine = UpdateCurve(cycles=CYCLES, crossing=1.0)
        walks = [staircases_of(each, routine) for each in (bench, bench, opened)]
        array_truth = bench._arrays["main"].devices
        works = (array_truth.lo != array_truth.hi).ravel()
    shares = []
    for take in (levels, _changes):
        first, again, twin = (take(*walk)[:, works] for walk in walks)
        shares += [100 * indistinguishable(first, other).mean() for other in (twin, again)]
    misfit = fitted.goodness["misfit"]
    kind = "table" if "main.kind" in fitted.maps else "exponential"
    told = "  ".join(
        f"{ours:6.1f} ({itself:5.1f})" for ours, itself in zip(shares[::2], shares[1::2], strict=True)
    )
    seconds = time.perf_counter() - begun
    print(
        f"{family:15s} {cycles:4d} {kind:12s} {told}  misfit {100 * misfit.value:.2f} %  {seconds:.0f} s",
        flush=True,
    )


def levels(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """One reading of each staircase [2 cycles, devices], at another place each time."""
    return Staircases(up, down, (1, 1)).levels()


def _changes(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Two changes of each staircase, at other places each time."""
    parts = []
    for way in (up, down):
        changes, cycles = np.diff(way, axis=1), np.arange(len(way))
        parts += [changes[cycles, (7 * cycles + off) % changes.shape[1]] for off in (0, 2)]
    return np.concatenate(parts)


METHODS = {
    "progressive-bp": ("gradient: progressive-bp", "update: bidirectional"),
    "dgc": ("gradient: dgc", "update: bidirectional"),
    "crus": ("gradient: backprop", "update: crus"),
}
EXPERIMENT = """
name: twin
seed: {seed}
data: {{name: mnist-5k, train: {train}, test: 1000, pixels: 7}}
network: {{layers: [{{outputs: 24, activation: tanh}}, {{outputs: 10, activation: softmax}}]}}
{gradient}
{update}
training: {{epochs: 4, batch: 5, rate: 0.05, rate_decay: 0.5, evaluations: 1}}
"""
BENCH = """
driver: sim
name: array
arrays: {{main: {{rows: 76, cols: 48}}}}
device: {{preset: {family}, initial: uniform{spread}, faults: {{stuck: 0.02, open: 0.01}}}}
read: {{noise: 0.01}}
"""


def trained_alike(method: str, family: str, seed: int, train: int, repeats: int) -> None:
    """A line of the other table: an experiment on an array and on its twin, each again and again with other
    noise of pulses and readings.
    """
    begun = time.process_time()
    gradient, update = METHODS[method]
    spread = "" if family in TABLES else f", d2d: {json.dumps(SPREAD)}"
    found: dict[str, list[tuple[float, int]]] = {"array": [], "twin": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment = EXPERIMENT.format(seed=seed, train=train, gradient=gradient, update=update)
        (folder / "experiment.yaml").write_text(experiment)
        (folder / "array.yaml").write_text(BENCH.format(family=family, spread=spread))
        with setup.open_bench(setup.load_bench(folder / "array.yaml")[0], seed=seed) as bench:
            _, opened, _ = twin_of(bench, folder, seed)
            opened.close()
            left = bench._bench._arrays["main"].devices.g.copy()  # where calibration left the devices
        for repeat in range(repeats):
            for which, of_it in found.items():
                prepared = session.prepare(folder / "experiment.yaml", folder / f"{which}.yaml")
                if which == "array":
                    prepared.bench._bench._arrays["main"].devices.g[...] = left
                prepared.bench._bench._key ^= repeat << 40  # the same devices, other noise
                run_ = session.execute(prepared, folder / "runs")
                of_it.append((100 * run_.accuracy, run_.cost.pulses))
    (accuracy, pulses), (twins, theirs) = (np.array(of_it).T for of_it in found.values())
    error = np.hypot(accuracy.std(ddof=1), twins.std(ddof=1)) / np.sqrt(repeats)
    print(
        f"| {method} | {family} | {seed} | {accuracy.mean():.1f} | {accuracy.std(ddof=1):.1f} "
        f"| {twins.std(ddof=1):.1f} | {twins.mean() - accuracy.mean():+.1f} +- {error:.1f} "
        f"| {np.mean(np.abs(twins - accuracy) <= 1):.0%} "
        f"| {100 * (theirs.mean() / pulses.mean() - 1):+.2f} % | {time.process_time() - begun:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--seed", type=int, action="append", help="of an array; may be repeated")
    parser.add_argument("--cycles", type=int, action="append", help="to be fitted to; may be repeated")
    parser.add_argument("--model", default="auto")
    parser.add_argument(
        "--preset", "--family", dest="family", action="append", help="a device preset; may be repeated"
    )
    parser.add_argument("--train", action="append", choices=METHODS, help="train instead; may be repeated")
    parser.add_argument("--samples", type=int, default=4000, help="to train with")
    parser.add_argument("--repeats", type=int, default=8, help="runs on each, with other noise")
    asked = parser.parse_args()
    if asked.train:
        for method in asked.train:
            for family in asked.family or FAMILIES[1:4:2]:
                for seed in asked.seed or (1, 2):
                    trained_alike(method, family, seed, asked.samples, asked.repeats)
        return
    print("devices not told apart, %, twin against array (array against itself): readings, changes")
    for family in asked.family or FAMILIES:
        for seed in asked.seed or (1,):
            for cycles in asked.cycles or (UpdateCurve().cycles,):
                told_apart(family, asked.size, seed, asked.model, cycles)


if __name__ == "__main__":
    main()
