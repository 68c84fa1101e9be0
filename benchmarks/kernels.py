"""Compiled kernels against plain numpy (and torch where installed): the same physics, interleaved in one run.

Only the ratios of one run last: run it on a quiet machine, pinned to one core and with OMP_NUM_THREADS=1.
    python -m benchmarks.kernels
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.sim.kernels import multiply, program, read, warm_up
from drivers.sim.state import Devices

torch: Any = importlib.import_module("torch") if importlib.util.find_spec("torch") else None

C2C, SIGMA = 0.01, 0.02
Work = Callable[[int], object]


def devices(rows: int, cols: int) -> Devices:
    """Exponential devices that all differ, 1 to 10 uS."""
    rng = np.random.default_rng(0)
    shape = rows, cols
    lo, hi = rng.uniform(1e-6, 2e-6, shape), rng.uniform(9e-6, 1e-5, shape)
    up_k, down_k = rng.uniform(0.01, 0.03, shape), rng.uniform(0.01, 0.03, shape)
    parts = lo + rng.random(shape) * (hi - lo), up_k * hi * 1.1, up_k, down_k * lo * 0.9, down_k, lo, hi
    return Devices(*(part.astype(np.float32) for part in parts), C2C, C2C)  # pyright: ignore[reportCallIssue]


def seconds(*works: Work, rounds: int = 9, least_s: float = 0.05) -> list[NDArray[np.float64]]:
    """CPU seconds of one call of each work, round by round, the works taking turns."""
    calls: list[int] = []
    for work in works:
        began, done = time.process_time(), 0
        while time.process_time() - began < least_s:
            work(done)
            done += 1
        calls.append(done)
    taken = np.zeros((len(works), rounds))
    for i in range(rounds):
        for j, work in enumerate(works):
            began = time.process_time()
            for key in range(calls[j]):
                work(key)
            taken[j, i] = (time.process_time() - began) / calls[j]
    return list(taken)


def numpy_program(d: Devices, rows: slice, counts: NDArray[np.int16]) -> Work:
    rng = np.random.default_rng(0)
    g, lo, hi = d.g[rows], d.lo[rows], d.hi[rows]
    up_a, up_k, down_a, down_k = d.up_a[rows], d.up_k[rows], d.down_a[rows], d.down_k[rows]

    def work(_: int) -> None:
        i = np.nonzero(counts)
        n = counts[i]
        up, size = n > 0, np.abs(n).astype(np.float32)
        k = np.where(up, up_k[i], down_k[i])
        before, span = g[i], hi[i] - lo[i]
        change = (np.where(up, up_a[i], down_a[i]) - k * before) * (-np.expm1(size * np.log1p(-k)) / k)
        noise = C2C * np.sqrt(size) * span * rng.standard_normal(size.size, dtype=np.float32)
        g[i] = np.clip(before + change + noise, lo[i], hi[i])

    return work


def tensor_program(d: Devices, rows: slice, counts: NDArray[np.int16]) -> Work:
    """All devices masked, which torch does faster than indexing."""
    parts = d.g, d.lo, d.hi, d.up_a, d.up_k, d.down_a, d.down_k
    g, lo, hi, up_a, up_k, down_a, down_k = (torch.from_numpy(np.array(part[rows])) for part in parts)
    n = torch.from_numpy(counts.astype(np.float32))
    up, size, span = n > 0, n.abs(), hi - lo

    def work(_: int) -> None:
        k = torch.where(up, up_k, down_k)
        change = (torch.where(up, up_a, down_a) - k * g) * (-torch.expm1(size * torch.log1p(-k)) / k)
        noise = C2C * torch.sqrt(size) * span * torch.randn_like(g)
        g.copy_(torch.minimum(torch.maximum(g + change + noise, lo), hi))

    return work


def product(xp: ModuleType | Any, g: Any, v: Any, normal: Callable[[], Any]) -> Work:
    squares = g * g

    def work(_: int) -> object:
        power = (v * v) @ g.sum(1)
        return v @ g + SIGMA * xp.sqrt((v * v) @ squares) * normal(), power

    return work


def report(name: str, unit: float, kind: str, kernel: Work, numpy_: Work, torch_: Work | None) -> None:
    """One line: units of work a CPU second for the kernel, and how many times the others take."""
    taken = seconds(kernel, numpy_, *([torch_] if torch_ else []))
    line = f"{name:34} {np.median(taken[0]) * 1e6:9.1f} us {unit / np.median(taken[0]) / 1e6:8.0f} M {kind}/s"
    line += f"   numpy x {np.median(taken[1] / taken[0]):5.1f}"
    print(line + (f"   torch x {np.median(taken[2] / taken[0]):5.1f}" if torch_ else ""))


def programs() -> None:
    rng = np.random.default_rng(1)
    d = devices(784, 512)
    lines, cols = np.arange(150), np.arange(512)
    cases = ("all +-1", 1.0, 1), ("all +-1..3", 1.0, 3), ("20 % +-1..3", 0.2, 3), ("5 % +-1", 0.05, 1)
    for name, share, most in cases:
        size = rng.integers(1, most + 1, (150, 512)) * (rng.random((150, 512)) < share)
        counts = (size * rng.choice([-1, 1], (150, 512))).astype(np.int16)
        torch_ = tensor_program(d, slice(150), counts) if torch else None
        report(
            f"program 150 x 512, {name}", float(np.abs(counts).sum()), "pulses",
            lambda key, c=counts: program(d, lines, cols, 0, c, key),
            numpy_program(d, slice(150), counts), torch_,
        )  # fmt: skip


def products() -> None:
    rng = np.random.default_rng(1)
    d = devices(784, 512)
    rows, cols = np.arange(784), np.arange(512)
    for n, share in ((1, 0.19), (100, 0.19), (100, 1.0)):
        v = (rng.random((n, 784)) * (rng.random((n, 784)) < share)).astype(np.float32)
        torch_ = None
        if torch:
            g, tv = torch.from_numpy(d.g), torch.from_numpy(v)
            torch_ = product(torch, g, tv, lambda n=n: torch.randn(n, 512))
        report(
            f"multiply 784 x 512, n = {n}, {share:.0%} driven", n * 784 * 512.0, "readings",
            lambda key, v=v: multiply(d, rows, cols, 0, v, SIGMA, key),
            product(np, d.g, v, lambda n=n: rng.standard_normal((n, 512), dtype=np.float32)), torch_,
        )  # fmt: skip
    noise = np.random.default_rng(2)
    report(
        "read 784 x 512", 784 * 512.0, "readings", lambda key: read(d, rows, cols, 0, 0.1, SIGMA, 0.0, key),
        lambda _: 0.1 * d.g * (1 + SIGMA * noise.standard_normal(d.g.shape, dtype=np.float32)), None,
    )  # fmt: skip


def growth() -> None:
    """The same 10,000 pulses to 100 x 100 lines anywhere in arrays of growing size."""
    rng = np.random.default_rng(1)
    counts = rng.choice(np.array([-1, 1], np.int16), (100, 100))
    works: list[Work] = []
    sizes = 128, 512, 1024, 2048, 4096
    for size in sizes:
        d = devices(size, size)
        rows, cols = (np.sort(rng.permutation(size)[:100]) for _ in range(2))
        works.append(lambda key, d=d, r=rows, c=cols: program(d, r, c, -1, counts, key))
    taken = seconds(*works)
    for size, each in zip(sizes, taken, strict=True):
        ratio, taken_us = np.median(each / taken[0]), np.median(each) * 1e6
        print(f"program 10,000 pulses, array {size:4}²   {taken_us:9.1f} us   x {ratio:.2f}")


def main() -> None:
    began = time.process_time()
    if torch:
        torch.set_num_threads(1)
    warm_up()
    print(f"compiling or loading every kernel: {time.process_time() - began:.1f} CPU s")
    programs()
    products()
    growth()


if __name__ == "__main__":
    main()
