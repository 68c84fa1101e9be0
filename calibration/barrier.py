"""How far noise keeps what is driven against a barrier away from it: a random walk that cannot go beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

_EDGES = np.concatenate([np.linspace(0, 6, 61), np.geomspace(6.3, 60, 60)])
_LEAST, _MOST = 0.05, 6.0


def held_off(drift: float, fall: float) -> float:
    """Mean distance from the barrier in the long run, in units of the noise of one step.

    The distance walks as d' = max(0, (1 - fall) d - drift + z), z standard normal: its mean is that of the
    chain over 120 bins and an atom at 0. Without ``fall`` it is Spitzer's (Trans. AMS 82, 323 (1956)), the
    sum over n of E[max(S_n, 0)] / n. A drift below 0.05 counts as 0.05, where nothing would be stationary in
    any staircase; a negative ``fall`` counts as 0.
    """
    if not drift < _MOST:
        return 0.0
    at = np.concatenate([[0.0], 0.5 * (_EDGES[1:] + _EDGES[:-1])])
    there = (1 - max(0.0, min(fall, 1.0))) * at - max(drift, _LEAST)
    normal: Any = special.ndtr
    reached: NDArray[np.float64] = normal(_EDGES - there[:, np.newaxis])  # P(d' <= edge), 0 included
    chain = reached.copy()
    chain[:, 1:] -= reached[:, :-1]
    chain[:, -1] += 1 - reached[:, -1]
    balance: NDArray[np.float64] = chain.T - np.eye(at.size)
    balance[-1] = 1.0
    linalg: Any = np.linalg
    return float(linalg.solve(balance, np.eye(at.size)[-1]) @ at)
