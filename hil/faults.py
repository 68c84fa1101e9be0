"""What is known of an array's devices that do not work: which they are, in which way, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError
from hil.region import Region

KINDS = ("works", "stuck", "open", "shorted")
"""What the codes 0, 1, 2, 3 of a map of faults stand for."""
_SHORTED = KINDS.index("shorted")


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """Of one array.

    Parameters
    ----------
    kind
        Codes of `KINDS`, uint8 [rows, cols]; 0 too where a device was not examined.
    siemens
        What each device was found to hold, float32 [rows, cols]; inf where only a bound is known. It is asked
        for where a device does not work.

    Raises
    ------
    ConfigError
        The two are of different shapes, or a code is none of those.
    """

    kind: NDArray[np.uint8]
    siemens: NDArray[np.float32]
    faulty: NDArray[np.bool_] = field(init=False)
    """Devices that do not work, bool [rows, cols]."""

    def __post_init__(self) -> None:
        if self.kind.ndim != 2 or self.kind.shape != self.siemens.shape:
            raise ConfigError(f"faults: kinds {self.kind.shape} and siemens {self.siemens.shape} do not fit")
        if self.kind.max(initial=0) >= len(KINDS):
            raise ConfigError(f"faults: code {self.kind.max()}; there are 0 to {len(KINDS) - 1}")
        object.__setattr__(self, "faulty", self.kind != 0)

    @property
    def harm(self) -> NDArray[np.int64]:
        """How much is to be said against each device, int64 [rows, cols]: 1 if it does not work; if shorted,
        which spoils every sum it is in, more than all others of a line together.
        """
        most = max(self.kind.shape) + 1
        return np.where(self.kind == _SHORTED, most, self.faulty).astype(np.int64)

    def held(self, region: Region) -> NDArray[np.float32]:
        """What the faulty devices of a region hold, siemens [rows, cols]; NaN where a device works."""
        at = np.ix_(region.rows, region.cols)
        return np.where(self.faulty[at], self.siemens[at], np.float32(np.nan))

    def counts(self, region: Region) -> dict[str, int]:
        """How many devices of a region have each fault, those that there are."""
        found = np.bincount(self.kind[np.ix_(region.rows, region.cols)].ravel(), minlength=len(KINDS))
        return {name: int(n) for name, n in zip(KINDS[1:], found[1:], strict=True) if n}
