"""Reproducible chance: one counter-based hash for all kernels, the same on any machine and in any order of
calls.

Every number is a pure function of (key, counter), so nothing is stored, nothing is shared between threads,
and a run can be taken up in the middle, in whatever part of an array is asked for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jit import kernel


def derive_key(*parts: int) -> np.uint32:
    """One 32-bit key from a seed and the numbers of what it is for (run seed, tile, purpose, …)."""
    sequence = np.random.SeedSequence([part & 0xFFFF_FFFF_FFFF_FFFF for part in parts])
    return np.uint32(sequence.generate_state(1, np.uint32)[0])


@kernel
def words(key: Any) -> tuple[np.uint32, np.uint32]:
    """Both halves of a key scattered by splitmix64 (doi:10.1145/2714064.2660195): keys may be neighbours.

    A key is a whole number from 0 to 2^63 - 1.
    """
    z = np.uint64(key) + np.uint64(0x9E3779B97F4A7C15)
    z = np.uint64((z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    z = np.uint64((z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    z = np.uint64(z ^ (z >> np.uint64(31)))
    return np.uint32(z & np.uint64(0xFFFFFFFF)), np.uint32(z >> np.uint64(32))


@kernel
def bits(low: Any, high: Any, counter: Any) -> Any:
    """Hash of a uint32 counter to 32 bits: for each pair of key words a bijection.

    C. Wellons' low-bias finaliser (public domain), with the second word entering between its rounds so that
    two keys never give one sequence shifted. Every step is cast back to uint32: numba would widen it to 64
    bits and leave SIMD.
    """
    x = np.uint32(counter ^ low)
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ high)
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ np.uint32(x >> np.uint32(16)))


@kernel
def uniform(h: Any) -> Any:
    """Uniform in [0, 1), float32, on a grid of 2^-24, from 32 random bits."""
    return np.float32(np.int32(h >> np.uint32(8))) * np.float32(1 / (1 << 24))


@kernel
def normal(h: Any) -> Any:
    """Draw a standard normal, float32, from 32 random bits by the inverse of its distribution.

    One bit is the sign; 31 give the tail probability p in (0, 1/2], and z = P(t) with t = sqrt(-2 ln p) and P
    a polynomial of degree 7, within 2.1e-4 of the true quantile up to its end at 6.3 sigma. ln p is taken
    from the float's exponent and a polynomial of degree 5 in its mantissa, so all of it runs in SIMD lanes.
    """
    p = np.float32(np.int32(h >> np.uint32(1))) + np.float32(0.5)
    b = np.float32(p).view(np.int32)
    f = np.int32((b & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32) - np.float32(1)
    q = np.float32(0.059945586794)
    q = q * f + np.float32(-0.227712643195)
    q = q * f + np.float32(0.442274178611)
    q = q * f + np.float32(-0.717063931880)
    q = q * f + np.float32(1.442615683179)
    minus_log2 = np.float32(159) - np.float32(b >> np.int32(23)) - q * f
    t = np.float32(math.sqrt(np.float32(2 * math.log(2)) * minus_log2))
    z = np.float32(2.3247381192e-05)
    z = z * t + np.float32(-7.183731160569e-4)
    z = z * t + np.float32(9.414812036396e-3)
    z = z * t + np.float32(-6.840829161447e-2)
    z = z * t + np.float32(0.303133079592)
    z = z * t + np.float32(-0.854630768178)
    z = z * t + np.float32(2.588419104856)
    z = z * t + np.float32(-2.245491365958)
    signed = np.int32(np.float32(z).view(np.int32) ^ np.int32(np.uint32(h << np.uint32(31))))
    return np.int32(signed).view(np.float32)


@kernel
def squared_radius(h: Any) -> Any:
    """Draw -2 ln u, float32, of a u uniform in (0, 1] from 32 random bits.

    It is how far from 0 two independent standard normals lie, squared (Box and Muller,
    doi:10.1214/aoms/1177706645); :func:`turn` of the same bits is in which direction. log2 u is within
    1.6e-5, and exact where u is a power of two.
    """
    u = np.float32(np.int32(h >> np.uint32(1))) + np.float32(0.5)
    b = np.float32(u).view(np.int32)
    f = np.int32((b & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32) - np.float32(1)
    q = np.float32(0.0451476589)
    q = q * f + np.float32(-0.1935721655)
    q = q * f + np.float32(0.4156029453)
    q = q * f + np.float32(-0.7090953584)
    q = q * f + np.float32(1.4419169196)
    minus_log2 = np.float32(158) - np.float32(b >> np.int32(23)) - q * f
    return np.float32(2 * math.log(2)) * max(minus_log2, np.float32(0))


@kernel
def turn(h: Any) -> Any:
    """Draw a part of a turn, uniform in [-1/2, 1/2], float32, from the 32 random bits of a radius.

    The bits are mixed and multiplied (constant of Steele and Vigna, doi:10.1002/spe.3030), so that radius and
    direction are as if independent. Mixed by 15 places: by 16 would undo the last step of :func:`bits`.
    """
    mixed = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(15))) * np.uint32(0x915F77F5))
    return np.float32(np.int32(mixed)) * np.float32(1 / (1 << 32))


@kernel
def cosine(turns: Any) -> Any:
    """Cosine of a part of a turn from -1/2 to 1/2, float32, within 1e-6."""
    y = turns * turns
    c = np.float32(-21.077334471)
    c = c * y + np.float32(58.794416717)
    c = c * y + np.float32(-85.272490928)
    c = c * y + np.float32(64.928736801)
    c = c * y + np.float32(-19.738982965)
    return c * y + np.float32(0.999999227)


@kernel
def sine(turns: Any) -> Any:
    """Sine of a part of a turn from -1/2 to 1/2, float32, within 7e-6."""
    y = turns * turns
    s = np.float32(32.781513799)
    s = s * y + np.float32(-74.478071999)
    s = s * y + np.float32(81.366829049)
    s = s * y + np.float32(-41.331215394)
    s = s * y + np.float32(6.283055824)
    return s * turns


@kernel
def fill_normal(out: NDArray[np.float32], key: int) -> None:
    """Fill ``out`` [m] with standard normals, one for each counter 0..m-1 of the key."""
    low, high = words(key)
    for j in range(out.size):
        out[j] = normal(bits(low, high, np.uint32(j)))


@kernel
def fill_uniform(out: NDArray[np.float32], key: int) -> None:
    """Fill ``out`` [m] with uniforms in [0, 1), one for each counter 0..m-1 of the key."""
    low, high = words(key)
    for j in range(out.size):
        out[j] = uniform(bits(low, high, np.uint32(j)))
