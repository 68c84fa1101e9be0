"""Devices that are known not to work are left alone: their pulses are taken out, their readings not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hil.faults import Faults
from hil.jit import kernel
from hil.region import Counts, Index, Places, Region
from hil.schedule import Pulses

S = TypeVar("S", bound=np.generic)


def without(
    faults: Mapping[str, Faults], region: Region, values: NDArray[S], instead: float = 0
) -> NDArray[S]:
    """Values of a region's devices [rows, cols] with ``instead`` where one does not work."""
    here = faults.get(region.array)
    if here is None:
        return values
    faulty = here.faulty[np.ix_(region.rows, region.cols)]
    return np.where(faulty, values.dtype.type(instead), values)


def spared(faults: Mapping[str, Faults], region: Region, pulses: Pulses) -> Pulses:
    """The pulses of a region without those of devices that do not work."""
    here = faults.get(region.array)
    return pulses if here is None else Pulses(*_spared(*pulses, region.rows, region.cols, here.faulty))


@kernel
def _spared(
    starts: Index, places: Places, numbers: Counts, rows: Index, cols: Index, faulty: NDArray[np.bool_]
) -> tuple[Index, Places, Counts]:
    kept_starts, kept_places, kept_numbers = (
        np.empty_like(starts),
        np.empty_like(places),
        np.empty_like(numbers),
    )
    n = 0
    for i in range(rows.size):
        kept_starts[i] = n
        for k in range(starts[i], starts[i + 1]):
            if not faulty[rows[i], cols[places[k]]]:
                kept_places[n], kept_numbers[n] = places[k], numbers[k]
                n += 1
    kept_starts[rows.size] = n
    return kept_starts, kept_places[:n], kept_numbers[:n]
