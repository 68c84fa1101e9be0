"""How well a model foretells the staircases it was fitted to: distance of the means, and whether the readings
of each device could come from one distribution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from calibration.intervals import of_mean, of_share
from calibration.twin.walk import Model, Reader, staircases
from hil.calibrate.contracts import Estimate

Floats = NDArray[np.float64]

_SEED = 20240117  # of the noise that a model is tried with; any would do
_LEVEL = 0.05


class Staircases(NamedTuple):
    """Readings up and down [cycles, points + 1, devices], siemens; pulses between two points each way."""

    up: Floats
    down: Floats
    strides: tuple[int, int]

    @property
    def ways(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(stride, points) up and down."""
        return (self.strides[0], self.up.shape[1] - 1), (self.strides[1], self.down.shape[1] - 1)

    def readings(self) -> Floats:
        """All of each device [n, devices]."""
        return np.concatenate([way.reshape(-1, way.shape[2]) for way in (self.up, self.down)])

    def levels(self) -> Floats:
        """One reading of each staircase, at another place each time, [2 cycles, devices]: readings on one
        staircase depend on each other, and a test takes samples that do not.
        """
        cycles = np.arange(len(self.up))
        return np.concatenate([way[cycles, (7 * cycles + 3) % way.shape[1]] for way in (self.up, self.down)])


class Goodness(NamedTuple):
    """``misfit`` [devices]: mean square distance of the mean staircases of array and model, in units of the
    range squared, less what the scatter of so many cycles explains. ``alike`` [devices]: the two-sample
    Kolmogorov-Smirnov test does not tell readings apart at 5 %, one of each staircase; ``itself``: nor those
    of two walks of the model, which is what to expect.
    """

    misfit: Floats
    alike: NDArray[np.bool_]
    itself: NDArray[np.bool_]
    foretold: Staircases

    def estimates(self, model: str) -> dict[str, Estimate]:
        """As figures of the array."""
        squares = of_mean("", "", self.misfit)
        value, low, high = (
            float(np.sqrt(np.maximum(0.0, x))) for x in (squares.value, squares.low, squares.high)
        )
        about = f"rms distance of mean staircases, {model} and array, in units of the range, beyond scatter"
        count = self.alike.size
        return {
            "misfit": Estimate(value, low, high, "", about),
            "alike": of_share(
                "devices that a KS test does not tell from the array's, by one reading of each staircase",
                int(self.alike.sum()),
                count,
            ),
            "alike_itself": of_share("the same of the twin against itself", int(self.itself.sum()), count),
        }


def goodness(model: Model, measured: Staircases, reader: Reader) -> Goodness:
    """Walk the measured staircases with the model, and compare."""
    rng = np.random.default_rng(_SEED)
    cycles = len(measured.up)
    walks = [
        Staircases(*staircases(model, measured.ways, cycles, reader, rng), measured.strides) for _ in range(2)
    ]
    first, second = walks
    span = model.high - model.low
    squares: list[Floats] = []
    for ours, once, again in (
        (measured.up, first.up, second.up),
        (measured.down, first.down, second.down),
    ):
        foretold = np.concatenate([once, again])
        distance = (ours.mean(axis=0) - foretold.mean(axis=0)) ** 2
        explained = ours.var(axis=0, ddof=1) / len(ours) + foretold.var(axis=0, ddof=1) / len(foretold)
        squares.append((distance - explained) / span**2)
    misfit = np.concatenate(squares).mean(axis=0)
    alike = indistinguishable(reader.converted(measured.levels()), first.levels())
    return Goodness(misfit, alike, indistinguishable(first.levels(), second.levels()), first)


def indistinguishable(one: Floats, other: Floats, level: float = _LEVEL) -> NDArray[np.bool_]:
    """Devices [devices] whose samples [n, devices] and [m, devices] the two-sample Kolmogorov-Smirnov test
    does not tell apart at a level (asymptotic; Smirnov, doi:10.1214/aoms/1177730256).
    """
    kolmogorov: Any = special.kolmogorov
    n, m = len(one), len(other)
    effective = np.sqrt(n * m / (n + m))
    a, b = np.sort(one, axis=0), np.sort(other, axis=0)
    found = np.empty(a.shape[1])
    for device in range(a.shape[1]):
        both = np.concatenate([a[:, device], b[:, device]])
        below_a = np.searchsorted(a[:, device], both, side="right") / n
        below_b = np.searchsorted(b[:, device], both, side="right") / m
        found[device] = np.abs(below_a - below_b).max()
    probability: Floats = kolmogorov(effective * found)
    return probability > level
