"""A virtual array and its twin, which knows it through records alone: how far they are told apart.

    python -m benchmarks.twin --size 64 --family HZO_FeFET
    python -m benchmarks.twin --train progressive-bp --train dgc --train crus

By staircases that the fit never saw: a two-sample Kolmogorov-Smirnov test for each device, beside the same
test of the array against itself. By training: accuracy and pulses of the same experiment on both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from calibration.devices import Devices
from calibration.read_noise import ReadNoise
from calibration.twin.goodness import indistinguishable
from calibration.twin.records import fit
from calibration.update_curve import UpdateCurve, read_curves
from drivers.sim import driver
from hil import setup
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


def array(family: str, size: tuple[int, int], seed: int):
    """A virtual array nobody has seen; measured tables bring their own spread."""
    spread = {} if family in ("ENODe_measured", "TaOx_41") else {"d2d": SPREAD}
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
    up, down = _staircases(bench, routine)
    return np.concatenate([way.reshape(-1, way.shape[2]) for way in (up, down)])


def _staircases(bench, routine: UpdateCurve) -> tuple[np.ndarray, np.ndarray]:
    target, tape = Target.whole(bench.arrays["main"]), Tape()
    run(routine.plan(target), bench, tape)
    curves = read_curves(tape.steps, routine.ways(target), routine.cycles, routine.turning)
    return curves.up, curves.down


def told_apart(family: str, size: int, seed: int, model: str) -> None:
    """A line of the table: shares of devices that are not told apart."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = array(family, (size, size), seed)
        _, opened, fitted = twin_of(bench, Path(folder), seed + 1000, model=model)
        routine = UpdateCurve(cycles=8, crossing=1.0)
        walks = [_staircases(each, routine) for each in (bench, bench, opened)]
        array_truth = bench._arrays["main"].devices
        works = (array_truth.lo != array_truth.hi).ravel()
    shares = []
    for take in (_levels, _changes):
        first, again, twin = (take(*walk)[:, works] for walk in walks)
        shares += [100 * indistinguishable(first, other).mean() for other in (twin, again)]
    misfit = fitted.goodness["misfit"]
    kind = "table" if "main.kind" in fitted.maps else "exponential"
    told = "  ".join(
        f"{ours:6.1f} ({itself:5.1f})" for ours, itself in zip(shares[::2], shares[1::2], strict=True)
    )
    seconds = time.perf_counter() - begun
    print(f"{family:15s} {kind:12s} {told}  misfit {100 * misfit.value:.2f} %  {seconds:.0f} s", flush=True)


def _levels(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    return np.concatenate([way.reshape(-1, way.shape[2]) for way in (up, down)])


def _changes(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Every other change, up and down: neighbours share a reading."""
    parts = [np.diff(way, axis=1)[:, ::2] for way in (up, down)]
    return np.concatenate([part.reshape(-1, part.shape[2]) for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--family", action="append", help="a device preset; may be repeated")
    asked = parser.parse_args()
    print("devices not told apart, %, twin against array (array against itself): readings, changes")
    for family in asked.family or FAMILIES:
        told_apart(family, asked.size, asked.seed, asked.model)


if __name__ == "__main__":
    main()
