"""The simulated bench: schedules checked as a whole, then run on virtual time, every operation native.

Running one is the inner loop of a training run at batch 1, so a schedule costs some microseconds beside the
physics: regions that come again are not checked again, and nothing is built that no answer needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from drivers.sim import operations
from drivers.sim.array import SimArray
from drivers.sim.checks import Checks
from drivers.sim.kernels import warm_up
from drivers.sim.measured import Measured, read_maps
from drivers.sim.models import deal, pulse, sheet
from drivers.sim.operations import Done, Physics
from drivers.sim.pace import OneByOne
from drivers.sim.response import Response
from drivers.sim.settings import MOST_LINES, ArraySize, DriftSettings, MeasuredDevice, SimSettings
from hil.bench import ArrayInfo, Cost, Execution
from hil.errors import ConfigError
from hil.schedule import Answer, Multiply, Op, Program, Pulse, Read, Schedule, Wait

DEFAULT_SIZES: Mapping[str, tuple[int, int]] = MappingProxyType({"main": (128, 128)})
_KEYS_PER_OP = 1024
_KEY_MASK = (1 << 62) - 1


class SimBench:
    """Arrays of simulated devices behind the bench contract.

    Parameters
    ----------
    settings
        Physics, converters and timing.
    sizes
        (rows, cols) of the arrays by name, used where the settings name none; nothing at all gives one 128 x
        128 "main".
    seed
        Deals the devices and all later noise: the same seed and schedules give the same bits.

    Raises
    ------
    ConfigError
        A fault is placed outside an array, or a spread is too wide; an array that is asked for is larger than
        any that a file may describe.
    """

    durable = False

    def __init__(self, settings: SimSettings, sizes: Mapping[str, tuple[int, int]], seed: int) -> None:
        self.settings = settings
        self.seconds = 0.0
        self._key = _first_key(seed)
        measured = _measured(settings)
        if measured:
            sizes = {name: each.shape for name, each in measured.items()}
        pulses = pulse(settings.device.potentiate), pulse(settings.device.depress)
        self._arrays: dict[str, SimArray] = {}
        for name, (rows, cols) in _sizes(settings.arrays, sizes).items():
            self._arrays[name] = _open_array(name, (rows, cols), settings, measured, pulses, seed)
        self._infos = MappingProxyType({name: array.info for name, array in self._arrays.items()})
        response = Response(settings.device.response, *pulses)
        self._physics = Physics.of(settings, response)
        self._one_by_one = OneByOne(self._infos, settings.timing) if settings.timing.one_by_one else None
        self._checks = Checks(self._infos, settings.dac_range_v, response)
        self._identity = MappingProxyType(
            {"bench": f"{settings.name} (simulated, synapse-hil {_version()})", "seed": str(seed)}
        )
        warm_up()

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """The arrays by name."""
        return self._infos

    @property
    def identity(self) -> Mapping[str, str]:
        """Name, version and seed."""
        return self._identity

    def conductances(self, name: str) -> NDArray[np.float32]:
        """The truth of one array, siemens [rows, cols], which no instrument could tell: without wires."""
        if name not in self._arrays:
            raise ConfigError(f"no array {name!r}; this bench has {', '.join(self._arrays)}")
        return self._arrays[name].held(self.seconds).copy()

    def execute(self, schedule: Schedule) -> Execution:
        """Run the operations in order on virtual time; the cost of the transaction is on the first.

        Raises
        ------
        ScheduleError
            An operation names an array or lines that are not there, or asks for what is no voltage.
        LimitError
            A voltage is beyond the DAC's range.
        """
        for op in schedule:
            self._checks.check(op)
        answers: list[Answer] = []
        costs: list[Cost] = []
        transactions, overhead_s = 1, self._physics.transaction_s
        for op in schedule:
            self.seconds += overhead_s
            done = self._run(op)
            if self._one_by_one is not None:
                done = self._one_by_one.of(op, done)
            self.seconds += done.seconds
            answers.append(done.answer)
            costs.append(
                Cost(
                    done.pulses,
                    done.half_selects,
                    done.reads,
                    transactions,
                    done.seconds + overhead_s,
                    done.joules,
                )
            )
            transactions, overhead_s = 0, 0.0
        return Execution(tuple(answers), tuple(costs))

    def make_safe(self) -> None:
        """Nothing to do: between schedules all lines are at 0 V."""

    def close(self) -> None:
        """Nothing to let go of."""

    def _run(self, op: Op) -> Done:
        if isinstance(op, Wait):
            return Done(None, op.seconds)
        array, key = self._arrays[op.region.array], self._key
        self._key = (key + _KEYS_PER_OP) & _KEY_MASK
        if isinstance(op, Multiply):
            return operations.multiply(array, op, self._physics, self.seconds, key)
        if isinstance(op, Program):
            return operations.program(array, op, self._physics, self.seconds, key)
        if isinstance(op, Read):
            return operations.read(array, op, self._physics, self.seconds, key)
        return operations.nudge(array, op, self._physics, self.seconds, key)


def _sizes(
    given: Mapping[str, ArraySize] | None, wanted: Mapping[str, tuple[int, int]]
) -> Mapping[str, tuple[int, int]]:
    if given is not None:
        return {name: (size.rows, size.cols) for name, size in given.items()}
    for name, (rows, cols) in wanted.items():
        if rows * cols > MOST_LINES**2:
            raise ConfigError(
                f"arrays: {name} is to be {rows} x {cols}, {rows * cols:,} devices; a simulated array has "
                f"{MOST_LINES**2:,} at most; shrink the layer"
            )
    return wanted or DEFAULT_SIZES


def _measured(settings: SimSettings) -> Mapping[str, Measured]:
    """Measured arrays by name; none where devices are dealt."""
    device = settings.device
    return read_maps(settings.beside(device.maps), device) if isinstance(device, MeasuredDevice) else {}


def _open_array(
    name: str,
    shape: tuple[int, int],
    settings: SimSettings,
    measured: Mapping[str, Measured],
    pulses: tuple[Pulse, Pulse],
    seed: int,
) -> SimArray:
    rng = np.random.default_rng(_entropy(seed, name))
    nu = None
    if isinstance(settings.device, MeasuredDevice):
        if name not in measured:
            raise ConfigError(f"arrays.{name}: not measured; device.maps has {', '.join(measured)}")
        devices, faulty = measured[name].deal(shape)
        device, nu = measured[name].sheet(settings.read), measured[name].nu(shape)
    else:
        devices, faulty = deal(settings.device, shape, rng)
        device = sheet(settings.device, settings.read)
    if nu is None:
        nu = _exponents(settings.drift, shape, rng)
    info = ArrayInfo(
        name,
        *shape,
        replace(device, potentiate=pulses[0], depress=pulses[1]),  # known again by identity
        nudges=frozenset({"gate", "current", "pulse"}),
        compliance=settings.compliance,
    )
    return SimArray(info, devices, faulty, settings.drift, settings.disturb, settings.lines, nu)


def _exponents(drift: DriftSettings, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Drift exponents of an array's devices [rows, cols]."""
    if drift.nu == 0 and drift.nu_spread == 0:
        return np.zeros(shape)
    return rng.normal(drift.nu, drift.nu_spread, shape)


def _entropy(seed: int, name: str) -> list[int]:
    """Words for numpy's SeedSequence: arrays are dealt alike whatever other arrays there are."""
    return [seed & (1 << 64) - 1, *name.encode()]


def _first_key(seed: int) -> int:
    words = np.random.SeedSequence(_entropy(seed, "noise of operations")).generate_state(1, np.uint64)
    return int(words[0]) & _KEY_MASK


def _version() -> str:
    try:
        return metadata.version("synapse-hil")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "of a checkout"
