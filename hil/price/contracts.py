"""How a driver lets itself be rehearsed: the same lowering on simulated devices, without its instruments."""

from __future__ import annotations

from typing import Any, Protocol

from hil.bench import Bench
from hil.config.bench import BenchSettings


class Rehearsal(Protocol):
    """What an entry point of ``hil.rehearsals`` names, under the name of its driver."""

    def open(self, settings: Any, twin: BenchSettings | None, exchange_s: float, seed: int) -> Bench:
        """Open a bench that does in this process what the driver does on its instruments, and reaches none.

        Its answers come from the devices of ``twin``, or else of the bench file's data sheet, dealt by
        ``seed``. Its costs are those of the real bench: pulses, readings and transactions as the driver
        counts them; in ``seconds`` what a host waits, when each exchange takes ``exchange_s`` beside the
        pulses and integrations in it. Nothing sleeps, and nothing is counted in a device's life.

        Raises
        ------
        ConfigError
            The twin does not fit the bench, or something cannot be rehearsed. Begin it with the key.
        """
        ...
