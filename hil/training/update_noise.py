"""Update noise: how far the devices' weight change is from the wanted one, measured by reading them before
and after.

Lee et al., arXiv 2111.07113 (2021): UN = mean over synapses with a wanted change of |dW device - dW wanted|.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hil.network import Tile, Wanted
from hil.network.tile import F32
from hil.plan import Plan, together
from hil.training.events import Journal, UpdateNoiseRow


class NoiseMeter:
    """Reads the layers of a step before their first pulse, and again when the step is over.

    ``every``: steps between two measurements; 0 never measures.
    """

    def __init__(self, every: int, journal: Journal) -> None:
        self._every = every
        self._journal = journal
        self._open: list[tuple[int, int, Tile, Wanted, F32]] = []

    def due(self, step: int) -> bool:
        """Whether this step is measured."""
        return self._every > 0 and step % self._every == 0

    @property
    def pending(self) -> bool:
        """Whether layers were read whose second reading is still to come."""
        return bool(self._open)

    def before(self, changes: Sequence[tuple[int, Tile, Wanted]], step: int) -> Plan[None]:
        """Read the layers that are about to change."""
        readings = yield from together([tile.read() for _, tile, _ in changes])
        for (layer, tile, wanted), reading in zip(changes, readings, strict=True):
            self._open.append((step, layer, tile, wanted, tile.weights(reading)))

    def forget(self) -> None:
        """Drop what was read: the step broke off."""
        self._open = []

    def finish(self) -> Plan[None]:
        """Read them again and report."""
        measured, self._open = self._open, []
        readings = yield from together([tile.read() for _, _, tile, _, _ in measured])
        for (step, layer, tile, wanted, before), reading in zip(measured, readings, strict=True):
            row = _row(step, layer, tile.weights(reading) - before, wanted.dense())
            if row is not None:
                self._journal.update_noise(row)


def _row(step: int, layer: int, measured: F32, wanted: F32) -> UpdateNoiseRow | None:
    """None when nothing was wanted, or nothing could be read where it was."""
    known = (wanted != 0) & np.isfinite(measured)
    if not known.any():
        return None
    raw = float(np.abs(measured[known] - wanted[known]).mean())
    asked = float(np.abs(wanted[known]).mean())
    return UpdateNoiseRow(step, layer, raw, raw / asked, int(known.sum()))
