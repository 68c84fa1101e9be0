"""Reproducible chance inside kernels: a counter-based hash, the same on any machine and in any order of
calls.

Every number is a pure function of (key, counter), so nothing is stored, nothing is shared between threads,
and a run can be taken up in the middle.
"""

from __future__ import annotations

import numpy as np

from hil.jit import inline


@inline
def mix(x: np.uint32) -> np.uint32:
    """A bijective 32-bit finaliser of two multiply-xorshift rounds with low bias (constants by C. Wellons,
    public domain).
    """
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


def derive_key(*parts: int) -> np.uint32:
    """One 32-bit key from a seed and the numbers of what it is for (run seed, tile, purpose, …)."""
    sequence = np.random.SeedSequence([part & 0xFFFF_FFFF_FFFF_FFFF for part in parts])
    return np.uint32(sequence.generate_state(1, np.uint32)[0])
