"""What `hil price` says of a run, beside what the run then takes on a virtual bench.

python benchmarks/price.py [--seeds 3] [--experiment examples/experiments/iris.yaml]

Each run has an array of its own. The first array is calibrated before (64 devices), so that the time of an
exchange is this machine's. The price knows the data sheet alone: the devices that are trained have a spread
and read noise that are not in it. The virtual instruments of the crosspoint bench take 5 ms for an answer, as
instruments do, so that the time is not that of two busy processors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benches import ROOT, served, trained

ROLES = "smu", "pulser", "matrix"
FREE = {
    "crosspoint": [
        *(f"virtual.{role}.{key}" for role in ROLES for key in ("port=0", "latency=5 ms")),
        "program.ledger=doses",
    ],
    "line": ["virtual.port=0"],
}
CALIBRATION = "--yes", "--routine", "devices", "--set", "repeats=3", "--devices", "0-7,0-7"
COMPARED = {"seconds": "time on the bench (s)", "transactions": "transactions", "pulses": "pulses",
            "reads": "readings", "wear": "most pulsed device"}  # fmt: skip


def hil(folder: Path, *words: str) -> Any:
    """The JSON document of a command."""
    command = [sys.executable, "-m", "hil", *words, "--json"]
    return json.loads(
        subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True).stdout
    )


def compared(driver: str, experiment: Path, seeds: int, folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """The price, and the runs, each on an array of its own."""
    given = ROOT / "examples" / "benches" / f"{driver}-virtual.yaml"
    runs: list[Any] = []
    for seed in range(1, seeds + 1):
        keys = [*FREE[driver], f"virtual.seed={seed}"]
        with served(given, folder / f"{driver}.yaml", keys) as bench:
            if seed == 1:
                hil(folder, "calibrate", bench.name, *CALIBRATION)
            runs.append(trained(experiment, bench, seed, folder))
    # A board tells its own time, without what the host waits for its answers.
    exchange = ["--exchange", "0 s"] if driver == "line" else []
    words = [str(experiment), "--bench", f"{driver}.yaml", "--seeds", str(seeds), "--full", *exchange]
    return hil(folder, "price", *words), runs


def ranged(mean: float, low: float, high: float) -> str:
    """With its range over the seeds."""
    told = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (mean, low, high))
    return "{} ({} to {})".format(*told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--experiment", type=Path, default=ROOT / "examples" / "experiments" / "iris.yaml")
    options = parser.parse_args()
    print("| bench | | price | taken | price / taken |")
    print("|---|---|---|---|---|")
    for driver in FREE:
        with tempfile.TemporaryDirectory() as folder:
            price, runs = compared(driver, options.experiment.resolve(), options.seeds, Path(folder))
        for key, words in COMPARED.items():
            taken = [run[key] for run in runs]
            mean, told = float(np.mean(taken)), price[key]
            ranges = ranged(**told), ranged(mean, min(taken), max(taken))
            print(f"| {driver} | {words} | {' | '.join(ranges)} | {told['mean'] / mean:.2f} |")
        real = float(np.mean([run["real_seconds"] for run in runs]))
        accuracies = 100 * price["accuracy"]["mean"], 100 * float(np.mean([run["accuracy"] for run in runs]))
        print(f"| {driver} | test accuracy (%) | {accuracies[0]:.1f} | {accuracies[1]:.1f} | |")
        source = price["exchange"]
        print(
            f"{driver}: real time {real:.3g} s; an exchange {source['seconds']:.3g} s",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    main()
