"""Test accuracy of device presets x updates x gradients on full MNIST: the tables of docs/methods.

    python benchmarks/accuracy.py --data-dir FOLDER

FOLDER holds the four official files (without it they are taken from HIL_DATA or downloaded). Every run is
recorded under --runs; one that is finished is not run again, so an interrupted table goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402 - after the number of threads is set

UPDATES = {
    "bidirectional": ["update=bidirectional"],
    "bidirectional, compensated": ["update={name: bidirectional, compensated: true}"],
    "manhattan": ["update=manhattan"],
}
GRADIENTS = {
    "backprop": ["gradient=backprop"],
    "progressive-bp": ["gradient=progressive-bp"],
}


@dataclass(frozen=True)
class Case:
    """One run: what to set on top of the experiment, and a name that is also its folder."""

    gradient: str
    update: str
    preset: str
    seed: int
    overrides: tuple[str, ...]
    bench_overrides: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        return f"{self.gradient} | {self.update} | {self.preset} | seed {self.seed}"


def main() -> int:
    """Run what is missing, then print one table for each gradient."""
    options = _options()
    cases = list(_cases(options))
    missing = [case for case in cases if _accuracy(case) is None]
    print(f"{len(cases)} runs, {len(cases) - len(missing)} of them done before", file=sys.stderr)
    started = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = {pool.submit(_run, case, options.experiment, options.data_dir): case for case in missing}
        for done, job in enumerate(as_completed(jobs), start=1):
            minutes = (time.monotonic() - started) / 60
            left = minutes / done * (len(missing) - done)
            told = f"{jobs[job]}: {job.result():.2%}   {minutes:.1f} min, {left:.1f} left"
            print(f"{done}/{len(missing)}  {told}", file=sys.stderr, flush=True)
    for gradient in options.gradients:
        _print_table(gradient, [case for case in cases if case.gradient == gradient], options)
    return 0


def _options() -> argparse.Namespace:
    from drivers.sim.presets import preset_names

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiment", type=Path, default=Path("examples/experiments/mnist-full.yaml"))
    parser.add_argument("--gradients", nargs="+", choices=list(GRADIENTS), default=list(GRADIENTS))
    parser.add_argument("--updates", nargs="+", choices=list(UPDATES), default=list(UPDATES))
    parser.add_argument(
        "--presets", nargs="+", choices=preset_names(), default=preset_names(), metavar="PRESET"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="more, for every run")
    parser.add_argument(
        "--bench-set", nargs="*", default=[], metavar="KEY=VALUE", help="more, for every bench"
    )
    parser.add_argument("--runs", type=Path, default=Path("studies/accuracy"))
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    for gradient, update, preset, seed in product(
        options.gradients, options.updates, options.presets, options.seeds
    ):
        overrides = (*GRADIENTS[gradient], *UPDATES[update], f"seed={seed}", *options.set)
        folder = "_".join((gradient, update.replace(", ", "-"), preset, str(seed)))
        yield Case(
            gradient,
            update,
            preset,
            seed,
            overrides,
            (f"device={preset}", *options.bench_set),
            options.runs / folder,
        )


def _run(case: Case, experiment: Path, data_dir: Path | None) -> float:
    from hil import session

    prepared = session.prepare(experiment, None, case.overrides, case.bench_overrides, data_dir)
    run = session.execute(prepared, case.folder)
    return float(run.summary["accuracy"])


def _accuracy(case: Case) -> float | None:
    """Of the newest finished run in the case's folder, if there is one."""
    from hil.store import list_runs

    if not case.folder.is_dir():
        return None
    finished = [run for run in list_runs(case.folder) if run.status == "finished"]
    return float(finished[0].summary["accuracy"]) if finished else None


def _print_table(gradient: str, cases: list[Case], options: argparse.Namespace) -> None:
    print(f"\n{gradient}: test accuracy in %, {len(options.seeds)} seed(s)\n")
    print("| preset | " + " | ".join(options.updates) + " |")
    print("|---" * (1 + len(options.updates)) + "|")
    for preset in options.presets:
        row = [preset]
        for update in options.updates:
            known = [_accuracy(case) for case in cases if (case.preset, case.update) == (preset, update)]
            values = 100 * np.array([value for value in known if value is not None])
            spread = f" ± {values.std(ddof=1):.1f}" if values.size > 1 else ""
            row.append(f"{values.mean():.1f}{spread}" if values.size else "-")
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    sys.exit(main())
