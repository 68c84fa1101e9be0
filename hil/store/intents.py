"""What is written down of a schedule before it changes devices: enough to know it again, in a line."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.schedule import Multiply, Nudge, Op, Program, Read, Region, Wait


def describe(op: Op) -> dict[str, str | int | float]:
    """Say what it takes to know an operation again: region, pulses, and a digest of lines and counts."""
    match op:
        case Program(region, counts):
            pulses = int(np.abs(counts, dtype=np.int32).sum(dtype=np.int64))
            return _place("Program", region) | {"pulses": pulses, "digest": _digest(region, counts)}
        case Nudge(region, points, kind, size):
            # A real nudge pulses there and back again.
            pulses = 2 * len(points) * abs(int(size)) if kind == "pulse" else 0
            return _place(f"Nudge {kind}", region) | {
                "pulses": pulses,
                "size": size,
                "digest": _digest(region, points),
            }
        case Multiply(region, volts):
            return _place("Multiply", region) | {"vectors": len(volts)}
        case Read(region):
            return _place("Read", region)
        case Wait(seconds):
            return {"op": "Wait", "seconds": seconds}


def _place(op: str, region: Region) -> dict[str, str | int | float]:
    rows, cols = region.shape
    return {"op": op, "array": region.array, "rows": rows, "cols": cols}


def _digest(region: Region, counts: NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in (region.rows, region.cols, counts):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
