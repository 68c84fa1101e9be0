"""What an update rule costs: time of making its pulses of one sample's wanted change, beside bidirectional.

    python benchmarks/update_rules.py

A layer of 784-256 and one of 256-10, inputs like an MNIST image (19 % of the lines are active). Rules are
interleaved within each round, in one process on one core; the ratio of medians is what counts. "apply" is the
rule alone: counts from the wanted change; "pulsed" adds the simulated bench, whose work follows the pulses.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402 - after the number of threads is set

from drivers.sim import driver  # noqa: E402
from drivers.sim.bench import SimBench  # noqa: E402
from hil.bench import Execution  # noqa: E402
from hil.network import MatrixSize, Tile, Wanted, place, wanted_arrays  # noqa: E402
from hil.network.tile import scale_s  # noqa: E402
from hil.plan import Plan, run  # noqa: E402
from protocols.updates.bidirectional import Bidirectional  # noqa: E402
from protocols.updates.crus import Crus  # noqa: E402
from protocols.updates.manhattan import Manhattan  # noqa: E402
from protocols.updates.refresh import Refresh  # noqa: E402
from protocols.updates.stochastic import Stochastic  # noqa: E402
from protocols.updates.unidirectional import Unidirectional  # noqa: E402

NEVER = 1_000_000_000
RULES: dict[str, Any] = {
    "bidirectional": Bidirectional(),
    "bidirectional, compensated": Bidirectional(compensated=True, sense_every=NEVER),
    "manhattan": Manhattan(),
    "unidirectional, identical": Unidirectional(refresh=Refresh(every=0)),
    "unidirectional, graded": Unidirectional(counts="graded", refresh=Refresh(every=0)),
    "unidirectional, graded, no thresholds": Unidirectional(
        counts="graded", input_threshold=0, error_threshold=0, refresh=Refresh(every=0)
    ),
    "crus": Crus(sense_every=NEVER),
    "stochastic": Stochastic(),
}
SIZES = (MatrixSize("layer1", 785, 256), MatrixSize("layer2", 257, 10))
SAMPLES = 64


class Case:
    """One rule on devices of its own, and the samples it is given in turn."""

    def __init__(self, rule: Any, batch: int, rate: float) -> None:
        settings = driver.settings(device={"preset": "ideal", "levels_up": 256, "levels_down": 256})
        self.bench = SimBench(settings, wanted_arrays(SIZES, "pair"), seed=1)
        self.rule = rule
        sheet = next(iter(self.bench.arrays.values())).device
        scale = scale_s(sheet, 1.0, "pair")
        self.tiles = [
            Tile(size.name, size.n_in, size.n_out, blocks, scale, sheet)
            for size, blocks in zip(SIZES, place(SIZES, self.bench.arrays, "pair"), strict=True)
        ]
        self.states = [run(rule.start(tile, 1), self.bench) for tile in self.tiles]
        rng = np.random.default_rng(1)
        self.wanted = [[_wanted(tile, rng, batch, rate) for tile in self.tiles] for _ in range(SAMPLES)]

    def seconds(self, drive: Callable[[Plan[Any], SimBench], Any]) -> float:
        """Time of one sample, mean over all of them."""
        began = time.perf_counter()
        for wanted in self.wanted:
            for number, (tile, change) in enumerate(zip(self.tiles, wanted, strict=True)):
                self.states[number] = drive(self.rule.apply(tile, change, self.states[number]), self.bench)
        return (time.perf_counter() - began) / SAMPLES


def _wanted(tile: Tile, rng: np.random.Generator, batch: int, rate: float) -> Wanted:
    active = 0.19 if tile.n_in > 500 else 1.0
    x = np.where(rng.random((batch, tile.n_in)) < active, rng.uniform(0, 1, (batch, tile.n_in)), 0)
    d = 0.1 * rng.standard_normal((batch, tile.n_out))
    return Wanted(d.astype(np.float32), x.astype(np.float32), -rate / batch)


def _apply(plan: Plan[Any], _: SimBench) -> Any:
    """Take the pulses from a plan without a bench: a Program is answered by None."""
    try:
        schedule = next(plan)
        while True:
            schedule = plan.send(Execution((None,) * len(schedule), ()))
    except StopIteration as stop:
        return stop.value


def main() -> None:
    """Measure in turn, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="times that every rule is measured")
    parser.add_argument("--batch", type=int, default=1, help="samples in one change")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate")
    options = parser.parse_args()
    cases = {name: Case(rule, options.batch, options.rate) for name, rule in RULES.items()}
    ways: dict[str, Callable[[Plan[Any], SimBench], Any]] = {"apply": _apply, "pulsed": run}
    times: dict[tuple[str, str], list[float]] = {(name, way): [] for name in cases for way in ways}
    for number in range(options.rounds + 1):  # the first compiles
        for name, case in cases.items():
            for way, drive in ways.items():
                taken = case.seconds(drive)
                if number:
                    times[name, way].append(taken)
    print("| rule | apply, us a sample | to bidirectional | pulsed, us a sample | to bidirectional |")
    print("|---|---|---|---|---|")
    for name in cases:
        cells: list[str] = []
        for way in ways:
            own, beside = times[name, way], times["bidirectional", way]
            ratio = statistics.median(a / b for a, b in zip(own, beside, strict=True))
            cells += [f"{1e6 * statistics.median(own):.0f}", f"{ratio:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
