"""Our side of the memory benchmark: bytes a device of a simulated array, opened and driven once."""

import json
import sys
from pathlib import Path

import numpy as np

import hil


def main() -> None:
    size = int(sys.argv[1])
    hil.open_bench(None, ["device=aihwkit_ReRamES"], {"t": (8, 8)}, 1)  # compiled code is not counted
    before = resident()
    bench = hil.open_bench(None, ["device=aihwkit_ReRamES"], {"t": (size, size)}, 1)
    sheet = bench.arrays["t"].device
    region = hil.Region.block("t", range(size), range(size))
    volts = np.full((1, size), sheet.read_voltage_v / 2, np.float32)
    counts = np.eye(size, dtype=np.int16)
    bench.execute((hil.Multiply(region, volts, 1e-6),))
    bench.execute((hil.Program(region, counts, sheet.potentiate, sheet.depress),))
    del counts
    print(json.dumps({"bytes_a_device": (resident() - before) / size**2}))


def resident() -> int:
    """Memory of this process that is in use, bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
