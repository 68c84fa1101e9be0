"""The bench with an array controller: whole schedules checked, lowered, and run in one transaction.

Nothing of a schedule is sent before all of it has passed; times are the board's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.array_controller import ArrayController
from drivers.checks import Checks
from drivers.instrument_bench import InstrumentBench
from drivers.instruments.failure import require_safe
from drivers.line import lowering
from drivers.line.answers import BoardLimits
from drivers.line.lowering import Reading, Ticks, Wires
from drivers.line.orders import Bias, Order, ReadOrder, Result, WaitOrder
from drivers.line.settings import LineBenchSettings
from drivers.transport.session import Session, open_session
from drivers.wiring import WiredArray, channel_list
from hil.bench import ArrayInfo, Cost, Execution
from hil.errors import ConfigError, ScheduleError
from hil.instruments import Identity, check_same
from hil.region import Index, Region
from hil.schedule import (
    Answer,
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeAnswer,
    Op,
    Program,
    Read,
    ReadAnswer,
    Schedule,
    Wait,
)
from hil.wire import WireLog

_LINE_WORDS = 300


class Lowered(NamedTuple):
    """One operation as orders, how their results become its answer, and what it costs beside time."""

    orders: Sequence[Order]
    answer: Callable[[list[Result]], Answer]
    pulses: int = 0
    half_selects: int = 0


def open_line_bench(settings: LineBenchSettings) -> LineBench:
    """Connect, identify, load and read back limits, read the counters; no output changes.

    Raises
    ------
    ConfigError
        An array is wired to channels that the board has not.
    BenchError
        The board is not there, or not the one that is named.
    """
    session = open_session(settings.controller.resource, settings.controller.transport, role="controller")
    try:
        return line_bench_on(session, settings)
    except BaseException:
        session.close()
        raise


def line_bench_on(session: Session, settings: LineBenchSettings) -> LineBench:
    """As `open_line_bench`, on a session that is open: a recorded one, say."""
    controller = ArrayController(session, settings.controller.serial)
    controller.attach()
    identity = controller.identify()
    _load_limits(controller, settings)
    return LineBench(settings, controller, identity)


class LineBench(InstrumentBench):
    """Arrays behind an array controller.

    Parameters
    ----------
    settings
        The bench file.
    controller, identity
        Connected, its limits loaded; who it is.
    """

    def __init__(self, settings: LineBenchSettings, controller: ArrayController, identity: Identity) -> None:
        self._wired = wired_arrays(settings, controller.limits)
        infos = {name: wired.info for name, wired in self._wired.items()}
        doses = {name: controller.pulses(wired.rows, wired.cols) for name, wired in self._wired.items()}
        checks = Checks(infos, controller.limits, doses, settings.program.dose)
        super().__init__(infos, {"controller": str(identity)}, checks)
        self.controller = controller
        self._settings = settings
        self._tick = Ticks(controller.limits.tick)
        self._bias: Bias = settings.program.scheme
        self._settle = self._tick.of("read.settle", settings.read.settle)
        integration = self._tick.of("read.integration", settings.read.integration)
        self._reading = Reading(settings.read.voltage, integration)

    @property
    def wire(self) -> WireLog:
        """All messages to and from the board."""
        return self.controller.session.wire

    def execute(self, schedule: Schedule) -> Execution:
        """Run the operations in order, all in one transaction where the board's buffer holds them.

        Raises
        ------
        ScheduleError, LimitError
            An operation does not fit, or asks for more than the board allows; nothing was output.
        BenchError
            The board or the line to it failed; it was made safe, or the error says that it was not.
        """
        with self._checks.counted(schedule):
            lowered = [self._lower(op) for op in schedule]
        before = self.controller.transactions
        with self._safe_after_failure():
            results = self.controller.run([order for each in lowered for order in each.orders])
        return _execution(lowered, results, self.controller.transactions - before)

    def come_back(self) -> None:
        """Attach the board anew, hold it against who it was, load its limits again, and make it safe.

        Raises
        ------
        IdentityError
            Another board answers than before.
        BenchError
            None does, or it could not be verified to be safe.
        """
        self.controller.recover()
        check_same("controller", self._identity["controller"], self.controller.identify())
        require_safe(self._calm())
        self.controller.attach()
        _load_limits(self.controller, self._settings)

    def close(self) -> None:
        """Make safe and let go of the board."""
        self.controller.close()

    def _calm(self) -> tuple[str, ...]:
        return self.controller.make_safe()

    def _lower(self, op: Op) -> Lowered:
        if isinstance(op, Wait):
            return Lowered((WaitOrder(self._tick.at_least(op.seconds)),) if op.seconds else (), _no_answer)
        if isinstance(op, Read):
            return self._read(op)
        if isinstance(op, Multiply):
            return self._multiply(op)
        if isinstance(op, Program):
            return self._program(op)
        return self._nudge(op)

    def _wires(self, region: Region) -> Wires:
        wired = self._wired[region.array]
        return Wires(wired.rows[region.rows], wired.cols[region.cols], self._settle)

    def _read(self, op: Read) -> Lowered:
        shape, wires = op.region.shape, self._wires(op.region)
        ns = self._tick.of("read integration", op.integration_s)
        orders = [ReadOrder(wires.rows, wires.cols, op.voltage_v, ns, wires.settle)] if 0 not in shape else []

        def answer(results: list[Result]) -> ReadAnswer:
            amperes, clipped = _flat(results)
            return ReadAnswer(amperes.reshape(shape), clipped.reshape(shape), op.voltage_v)

        return Lowered(orders, answer)

    def _multiply(self, op: Multiply) -> Lowered:
        others = (op.region.rows if op.transpose else op.region.cols).size
        n, k = len(op.volts), None if op.variants is None else op.variants.lines.size
        shape = (n, others) if k is None else (k, n, others)
        room = self.controller.limits.line - _LINE_WORDS - 6 * sum(op.region.shape)
        ns = self._tick.of("multiply integration", op.integration_s)
        parts = lowering.multiply(op, self._wires(op.region), ns, room) if op.volts.size and others else []

        def answer(results: list[Result]) -> MultiplyAnswer:
            amperes, clipped = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
            for (order, varied, some), result in zip(parts, results, strict=True):
                at = some if k is None else (varied, some)
                part = (-1, len(order.volts), others) if k is not None else (len(order.volts), others)
                amperes[at], clipped[at] = result.amperes.reshape(part), result.clipped.reshape(part)
            return MultiplyAnswer(amperes, clipped)

        return Lowered([order for order, _, _ in parts], answer)

    def _program(self, op: Program) -> Lowered:
        shots = lowering.shoot(op, self._wires(op.region), self._bias, self._tick)
        shape = self._infos[op.region.array].shape
        return Lowered(
            [order for order, _ in shots],
            _no_answer,
            sum(group.pulses for _, group in shots),
            sum(group.half_selects(*shape, self._bias) for _, group in shots),
        )

    def _nudge(self, op: Nudge) -> Lowered:
        if op.potentiate is None or op.depress is None:
            raise ScheduleError(f"nudge of kind {op.kind} on {op.region.array}: this bench nudges by pulses")
        wires, info = self._wires(op.region), self._infos[op.region.array]
        orders = lowering.nudge(op, op.potentiate, op.depress, wires, self._reading, self._bias, self._tick)
        pulses = 2 * abs(int(op.size)) * len(op.points)
        others = info.rows * info.cols - 1 if self._bias == "V/3" else info.rows + info.cols - 2

        def answer(results: list[Result]) -> NudgeAnswer:
            return lowering.nudged(op, results, self._reading.volts)

        return Lowered(orders, answer, pulses, pulses * others)


def _no_answer(results: list[Result]) -> None:
    """Of operations that only change something."""


def _flat(results: list[Result]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if not results:
        return np.zeros(0, np.float32), np.zeros(0, np.bool_)
    return results[0].amperes, results[0].clipped


def _execution(lowered: Sequence[Lowered], results: list[Result], transactions: int) -> Execution:
    answers: list[Answer] = []
    costs: list[Cost] = []
    at = 0
    for each in lowered:
        own = results[at : at + len(each.orders)]
        at += len(own)
        answers.append(each.answer(own))
        reads = sum(order.values for order in each.orders)
        seconds, joules = sum(result.seconds for result in own), sum(result.joules for result in own)
        costs.append(Cost(each.pulses, each.half_selects, reads, transactions, seconds, joules))
        transactions = 0
    return Execution(tuple(answers), tuple(costs))


def _load_limits(controller: ArrayController, settings: LineBenchSettings) -> None:
    """The tighter of the bench file's limits and the hardware's own, in the board too."""
    controller.narrow()
    hardware, limits = controller.limits, settings.limits
    narrowed: dict[str, float] = {
        "watchdog": min(hardware.watchdog, round(settings.controller.watchdog * 1e3))
    }
    if limits.read is not None:
        narrowed["vread"] = min(hardware.vread, limits.read)
    if limits.program is not None:
        narrowed["vpulse"] = min(hardware.vpulse, limits.program)
    if limits.shortest is not None:
        narrowed["width_min"] = max(hardware.width_min, round(limits.shortest * 1e9))
    if limits.longest is not None:
        narrowed["width_max"] = min(hardware.width_max, round(limits.longest * 1e9))
    controller.narrow(**narrowed)
    check_scheme(settings, hardware)


def check_scheme(settings: LineBenchSettings, limits: BoardLimits) -> None:
    """Refuse a scheme of half-selection that the board has not, with ConfigError."""
    if settings.program.scheme not in limits.bias:
        raise ConfigError(
            f"program.scheme: asked for {settings.program.scheme}; the board holds unselected lines at "
            f"{' or '.join(limits.bias)}"
        )


def wired_arrays(settings: LineBenchSettings, limits: BoardLimits) -> dict[str, WiredArray]:
    """The arrays by name; ConfigError where one is wired to channels that the board has not."""
    device = settings.typical
    found: dict[str, WiredArray] = {}
    for name, wiring in settings.arrays.items():
        lines: list[Index] = []
        for what, text, count in (
            ("rows", wiring.rows, limits.rows),
            ("cols", wiring.cols, limits.cols),
        ):
            channels = np.array(channel_list(text), np.int64)
            if channels.max() >= count:
                raise ConfigError(
                    f"arrays.{name}.{what}: asked for channel {channels.max()}; there are 0 to {count - 1}"
                )
            lines.append(channels)
        info = ArrayInfo(
            name,
            lines[0].size,
            lines[1].size,
            device,
            nudges=frozenset({"pulse"}),
            emulated=frozenset({"nudge"}),
            compliance=settings.compliance,
        )
        found[name] = WiredArray(info, lines[0], lines[1])
    return found
