"""Passive crossbars with line resistance: our operator beside badcrossbar, one thread each.

Run as ``python benchmarks/line_resistance.py [size ...]`` with the project installed. Ours is built once per
conductance state, then multiplies; badcrossbar solves the network for each call (one vector, output only).
"""

import argparse
import importlib.util
import logging
import os
import statistics
import time
from collections.abc import Callable

# Read once, when numpy loads its BLAS.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np

from drivers.sim.lines import transfer

R_ROW_OHM, R_COL_OHM = 2.0, 1.0
G_MIN_SIEMENS, G_MAX_SIEMENS = 1e-6, 1e-4
V_READ = 0.2
HOW = "badcrossbar is not installed: pip install badcrossbar (pycairo, for its plots, needs libcairo2-dev)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[32, 64, 128, 256], help="lines on either side")
    sizes: list[int] = parser.parse_args().sizes
    peer = badcrossbar_currents() if importlib.util.find_spec("badcrossbar") else None
    print(f"rows {R_ROW_OHM:g} ohm, columns {R_COL_OHM:g} ohm a segment; one thread; median of up to 9 runs")
    print(
        f"{'size':>9} {'build ms':>10} {'multiply us':>12} {'badcrossbar ms':>15} {'largest difference':>19}"
    )
    for size in sizes:
        print(measure(size, peer))
    if peer is None:
        print(HOW)


def measure(size: int, peer: Callable[[np.ndarray, np.ndarray], np.ndarray] | None) -> str:
    rng = np.random.default_rng(size)
    g = rng.uniform(G_MIN_SIEMENS, G_MAX_SIEMENS, (size, size))
    volts = rng.uniform(0.0, V_READ, size)
    build_s = seconds(lambda: transfer(g, R_ROW_OHM, R_COL_OHM))
    operator = transfer(g, R_ROW_OHM, R_COL_OHM)
    repeats = 1000
    multiply_s = seconds(lambda: [operator @ volts for _ in range(repeats)]) / repeats
    row = f"{f'{size} x {size}':>9} {build_s * 1e3:>10.2f} {multiply_s * 1e6:>12.2f}"
    if peer is None:
        return f"{row} {'-':>15} {'-':>19}"
    difference = np.abs(operator @ volts / peer(g, volts) - 1).max()
    return f"{row} {seconds(lambda: peer(g, volts)) * 1e3:>15.1f} {difference:>19.1e}"


def badcrossbar_currents() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import badcrossbar

    logging.disable(logging.INFO)  # it reports every step of every solve

    def currents(g: np.ndarray, volts: np.ndarray) -> np.ndarray:
        solution = badcrossbar.compute(
            volts[:, None],
            1 / g,
            r_i_word_line=R_ROW_OHM,
            r_i_bit_line=R_COL_OHM,
            node_voltages=False,
            all_currents=False,
        )
        return solution.currents.output[0]

    return currents


def seconds(work: Callable[[], object]) -> float:
    """Median wall time of a call, of nine or as many as fit in five seconds."""
    work()
    times: list[float] = []
    while len(times) < 9 and sum(times) < 5.0:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
