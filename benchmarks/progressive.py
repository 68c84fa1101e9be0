"""Progressive backpropagation beside backpropagation and float SGD on full MNIST: the table of docs/methods.

    python benchmarks/progressive.py --data-dir FOLDER

Networks 784-100-10 and 784-100-50-30-10 with tanh, two passes (rate 0.01, then 0.003), one sample a step,
on near-ideal devices (linear, 1024 levels) and others by --presets, exactly read. Float SGD is written here
in numpy; it shares only the data.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402 - after the number of threads is set

NETWORKS = {"784-100-10": (100, 10), "784-100-50-30-10": (100, 50, 30, 10)}
METHODS = {
    "backprop": "backprop",
    "update-first": "{name: progressive-bp, order: update-first}",
}
RATE, DECAY, EPOCHS = 0.01, 0.3, 2
EXACT = ("read={}", "dac={}", "adc={}")


def main() -> int:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--presets", nargs="+", default=["ideal"])
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    columns = ["float SGD", *METHODS]
    rows = [(network, preset) for network in NETWORKS for preset in options.presets]
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = {}
        for network, preset in rows:
            for seed in options.seeds:
                for method in METHODS:
                    jobs[network, preset, method, seed] = pool.submit(
                        in_devices, network, preset, method, seed, options.data_dir
                    )
        for network in NETWORKS:
            for seed in options.seeds:
                jobs[network, "float", "float SGD", seed] = pool.submit(
                    in_float, NETWORKS[network], seed, options.data_dir
                )
        for key, job in jobs.items():
            print(*key, f"{job.result():.2%}", file=sys.stderr, flush=True)
    print("| network | device | " + " | ".join(columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    for network, preset in rows:
        cells = [
            summary(
                [
                    jobs[network, "float" if method == "float SGD" else preset, method, seed].result()
                    for seed in options.seeds
                ]
            )
            for method in columns
        ]
        print(f"| {network} | {preset} | " + " | ".join(cells) + " |")
    return 0


def in_devices(network: str, preset: str, method: str, seed: int, data_dir: Path | None) -> float:
    """Test accuracy of one training in simulated devices."""
    from hil import session

    *hidden, last = NETWORKS[network]
    layers = [f"{{outputs: {n}, activation: tanh, w_max: {2 if k else 1}}}" for k, n in enumerate(hidden)]
    layers.append(f"{{outputs: {last}, activation: softmax, w_max: 2}}")
    overrides = (f"network.layers=[{', '.join(layers)}]", f"gradient={METHODS[method]}", f"seed={seed}")
    more = (f"training.rate={RATE}", f"training.rate_decay={DECAY}", f"training.epochs={EPOCHS}")
    experiment = Path(__file__).parents[1] / "examples/experiments/mnist-full.yaml"
    prepared = session.prepare(experiment, None, (*overrides, *more), (f"device={preset}", *EXACT), data_dir)
    with tempfile.TemporaryDirectory() as folder:
        return float(session.execute(prepared, Path(folder)).summary["accuracy"])


def in_float(outputs: Sequence[int], seed: int, data_dir: Path | None) -> float:
    """Test accuracy of the same network trained by plain SGD in float32."""
    from hil.data import DataSpec, load_dataset

    data = load_dataset(DataSpec(name="mnist"), data_dir)
    rng = np.random.default_rng(seed)
    weights = []
    for n, m in pairwise((data.train_x.shape[1], *outputs)):
        limit = np.sqrt(6 / (n + 1 + m))
        weights.append(rng.uniform(-limit, limit, (m, n + 1)).astype(np.float32))
    one = np.ones(1, np.float32)
    steps = [(s, RATE * DECAY**k) for k in range(EPOCHS) for s in rng.permutation(len(data.train_y))]
    for sample, rate in steps:
        inputs = [np.concatenate((data.train_x[sample], one))]
        for w in weights[:-1]:
            inputs.append(np.concatenate((np.tanh(w @ inputs[-1]), one)))
        z = weights[-1] @ inputs[-1]
        p = np.exp(z - z.max())
        delta = (p / p.sum()).astype(np.float32)
        delta[data.train_y[sample]] -= 1
        for k in range(len(weights) - 1, -1, -1):
            below = (weights[k].T @ delta)[:-1] * (1 - inputs[k][:-1] ** 2) if k else delta
            active = np.flatnonzero(inputs[k])
            weights[k][:, active] -= np.float32(rate) * np.outer(delta, inputs[k][active])
            delta = below
    a = data.test_x
    for number, w in enumerate(weights):
        z = a @ w[:, :-1].T + w[:, -1]
        a = np.tanh(z) if number < len(weights) - 1 else z
    return float((a.argmax(axis=1) == data.test_y).mean())


def summary(values: Sequence[float]) -> str:
    """Mean ± standard deviation in percent."""
    percent = 100 * np.asarray(values)
    spread = f" ± {percent.std(ddof=1):.2f}" if percent.size > 1 else ""
    return f"{percent.mean():.2f}{spread}"


if __name__ == "__main__":
    sys.exit(main())
