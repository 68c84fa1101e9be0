"""A bench of instruments in sketch, for plans that ask the same thing many times: simulated devices answer,
and what an operation costs is rehearsed once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from hil import plugins
from hil.bench import ArrayInfo, Bench, Cost, Execution
from hil.config.bench import BenchSettings
from hil.errors import ConfigError
from hil.price.working import scaled
from hil.region import Region
from hil.schedule import Op, Program, Read, ReadAnswer, Schedule

_SOME = 32
"""Devices of an operation that are rehearsed where a bench reaches one after the other."""
_NOISE = 0.005


class Sketch:
    """Answers of typical devices, at the costs of a rehearsed bench.

    Parameters
    ----------
    rehearsed
        The driver on virtual instruments; see `hil.price.contracts.Rehearsal`.
    settings
        Of the bench: its typical device is the one that answers.
    seed
        Of the devices' chance.

    Raises
    ------
    ConfigError
        The bench file has no device.
    """

    durable = True

    def __init__(self, rehearsed: Bench, settings: BenchSettings, seed: int) -> None:
        self._rehearsed = rehearsed
        device: Any = dict(settings).get("device")
        if device is None:
            raise ConfigError("device: this bench file has none, so nothing tells how readings come out")
        driver: plugins.Driver = plugins.load("drivers", "sim")
        sizes = {name: info.shape for name, info in rehearsed.arrays.items()}
        self._devices = driver.open(driver.settings(device=device, read={"noise": _NOISE}), sizes, seed)  # pyright: ignore[reportCallIssue]
        self._serial = not all(info.parallel_read for info in rehearsed.arrays.values())
        self._known: dict[Hashable, tuple[Cost, ...]] = {}
        self.unformed = False
        """Whether no device conducts, whatever it is given: what a routine that forms them has before it."""

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """As the driver tells them."""
        return self._rehearsed.arrays

    @property
    def identity(self) -> Mapping[str, str]:
        """The virtual instruments."""
        return self._rehearsed.identity

    def execute(self, schedule: Schedule) -> Execution:
        """Answer, and count what it costs."""
        answers = self._devices.execute(schedule).answers
        if self.unformed:
            for answer in answers:
                if isinstance(answer, ReadAnswer):
                    answer.amperes = np.zeros_like(answer.amperes)
                    answer.clipped = np.zeros_like(answer.clipped)
        costs = [cost for part in self._parts(schedule) for cost in self._costs(part)]
        return Execution(answers, tuple(costs))

    def make_safe(self) -> None:
        """Nothing is on."""

    def close(self) -> None:
        """Let go of the virtual instruments."""
        self._rehearsed.close()

    def _parts(self, schedule: Schedule) -> list[Schedule]:
        """A bench that reaches one device after the other gains nothing from what belongs together."""
        return [(op,) for op in schedule] if self._serial else [schedule]

    def _costs(self, schedule: Schedule) -> tuple[Cost, ...]:
        keys = [_key(op) for op in schedule]
        if None in keys:
            return self._rehearsed.execute(schedule).costs
        key = tuple(keys)
        if key not in self._known:
            parts = [_part(op) if self._serial else (op, 1.0) for op in schedule]
            some = tuple(op for op, _ in parts)
            if self._serial:
                self._rehearsed.execute(some)  # what is set up once is set up
            done = self._rehearsed.execute(some)
            self._known[key] = tuple(
                scaled(cost, factor) for cost, (_, factor) in zip(done.costs, parts, strict=True)
            )
        return self._known[key]


def _key(op: Op) -> Hashable:
    """Equal for operations of equal cost; None where that depends on what was done before."""
    if isinstance(op, Read):
        return "read", op.region.array, op.region.shape, op.voltage_v, op.integration_s
    if isinstance(op, Program):
        counts = op.counts.tobytes()
        return "program", op.region.array, op.region.shape, counts, op.potentiate, op.depress
    return None


def _part(op: Op) -> tuple[Op, float]:
    """Some of an operation's devices, and how many times they all are: every so many of those that are
    pulsed in the order of their counts, the first ones that are read.
    """
    if isinstance(op, Read):
        rows, cols = op.region.rows, op.region.cols[:_SOME]
        rows = rows[: max(1, _SOME // max(1, cols.size))]
        part = Region(op.region.array, rows, cols)
        number = max(1, rows.size * cols.size)
        return Read(part, op.voltage_v, op.integration_s), op.region.rows.size * op.region.cols.size / number
    if isinstance(op, Program):
        pulsed = np.flatnonzero(op.counts)
        if pulsed.size <= _SOME:
            return op, 1.0
        order = pulsed[np.argsort(op.counts.ravel()[pulsed], kind="stable")]
        chosen = order[np.linspace(0, order.size - 1, _SOME).astype(np.int64)]
        counts = np.zeros_like(op.counts)
        counts.ravel()[chosen] = op.counts.ravel()[chosen]
        return Program(op.region, counts, op.potentiate, op.depress), pulsed.size / _SOME
    return op, 1.0
