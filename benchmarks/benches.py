"""One experiment on the simulated bench, the line bench and the crosspoint bench: accuracy and costs.

python benchmarks/benches.py [--seeds 1 2 3] [--experiment examples/experiments/iris.yaml]

The last two are reached over sockets, their virtual instruments in processes of their own. Devices, their
spread and the read noise are the same; the seed of the experiment deals the devices too.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
PULSES = {
    "potentiate": {"amplitude": "1 V", "width": "1 ms", "gap": "1 ms"},
    "depress": {"amplitude": "-1 V", "width": "1 ms", "gap": "1 ms"},
}
EXPECTED = {"preset": "ENODe", "initial": "uniform", **PULSES}
TRUE = {**EXPECTED, "d2d": {"step": 0.1}}
NOISE = {"noise": 0.005}
READ = {"voltage": "100 mV", "integration": "1 ms"}
CARDS = {str(slot): "7174A" for slot in range(1, 5)}


def benches(seed: int) -> dict[str, dict[str, Any]]:
    """Bench files by the name of their driver."""
    virtual = {"seed": seed, "device": TRUE, "read": NOISE}
    return {
        "sim": {
            "driver": "sim", "arrays": {"main": {"rows": 16, "cols": 32}}, "device": TRUE,
            "read": {**READ, **NOISE},
        },
        "line": {
            "driver": "line", "controller": {"resource": "here"}, "device": EXPECTED, "read": READ,
            "arrays": {"main": {"rows": "0-15", "cols": "0-31"}}, "virtual": virtual,
        },
        "crosspoint": {
            "driver": "crosspoint", "device": EXPECTED, "read": READ,
            "smu": {"driver": "keithley-2600", "resource": "smu"},
            "pulser": {"driver": "keysight-33500", "resource": "pulser"},
            "matrix": {"driver": "keithley-700", "resource": "matrix"},
            "buses": {"smu": "A", "pulser": "B", "ground": "C"},
            "arrays": {"main": {"rows": "0-15", "cols": "16-47"}},
            "virtual": {
                **virtual,
                "pulser": {"settings": {"model": "33522B"}}, "matrix": {"settings": {"cards": CARDS}},
            },
        },
    }  # fmt: skip


@contextmanager
def served(file: Path, found: Path | None = None, keys: Iterable[str] = ()) -> Iterator[Path]:
    """`hil virtual` in a process of its own, with other ``keys`` of the bench; the file that finds it."""
    found = file.with_name(f"served-{file.name}") if found is None else found
    command = [sys.executable, "-m", "hil", "virtual", str(file), "--write-bench", str(found)]
    command += [word for key in keys for word in ("--bench-set", key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if line.startswith("ready"):
                    break
            yield found
        finally:
            process.send_signal(signal.SIGINT)


def trained(experiment: Path, bench: Path, seed: int, folder: Path) -> dict[str, Any]:
    """What one run came to."""
    command = [
        sys.executable, "-m", "hil", "train", str(experiment), "--bench", str(bench), "--seed", str(seed),
        "--runs", str(folder), "--no-report", "--json", "--yes",
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    document = json.loads(done.stdout)
    return {**document["summary"], "real_seconds": document["real_seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--experiment", type=Path, default=ROOT / "examples" / "experiments" / "iris.yaml")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in options.seeds:
            for driver, bench in benches(seed).items():
                file = folder / f"{driver}-{seed}.yaml"
                file.write_text(yaml.safe_dump(bench))
                if driver == "sim":
                    run = trained(options.experiment, file, seed, folder)
                else:
                    with served(file) as there:
                        run = trained(options.experiment, there, seed, folder)
                found.setdefault(driver, []).append(run)
                print(f"{driver}, seed {seed}: {run['accuracy']:.2%}", file=sys.stderr, flush=True)
    heads = "accuracy (%)", "pulses", "half-selects", "readings", "transactions", "bench time (s)", "real (s)"
    print(f"| bench | {' | '.join(heads)} |")
    print("|---" * (1 + len(heads)) + "|")
    for driver, runs in found.items():
        shares = 100 * np.array([run["accuracy"] for run in runs])
        means = {
            key: float(np.mean([run[key] for run in runs]))
            for key in ("pulses", "half_selects", "reads", "transactions", "seconds", "real_seconds")
        }
        told = " | ".join(f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in means.values())
        print(f"| {driver} | {shares.mean():.1f} ± {shares.std(ddof=min(1, len(runs) - 1)):.1f} | {told} |")


if __name__ == "__main__":
    main()
