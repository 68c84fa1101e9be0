"""Checks of reading: a crossbar is a linear map, and it is the same map however it is asked."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from hil.bench import Bench
from hil.conformance.probe import NotApplicable, Probe, Samples, Violation
from hil.errors import LimitError, ScheduleError
from hil.schedule import Multiply, MultiplyAnswer, NudgeAnswer, Op, Read, ReadAnswer, Region, Variants, Wait


def examples(probe: Probe) -> list[tuple[Op, tuple[int, ...] | None]]:
    """One of every operation that the bench announces, with the shape of its answer."""
    integration = probe.info.device.integration_s
    rows, cols = probe.region.shape
    volts, back = probe.driven(3, rows), probe.driven(2, cols)
    variants = Variants(np.array([0, rows - 1]), probe.driven(2, 3))
    ops: list[tuple[Op, tuple[int, ...] | None]] = [
        (Read(probe.region, probe.read_v, integration), (rows, cols)),
        (Multiply(probe.region, volts, integration), (3, cols)),
        (Multiply(probe.region, volts, integration, variants=variants), (2, 3, cols)),
        (probe.program(np.ones((rows, cols), np.int64)), None),
        (Wait(0.0), None),
    ]
    if probe.transposes:
        ops.append((Multiply(probe.region, back, integration, transpose=True), (2, rows)))
    points = np.array([[0, 0], [rows - 1, cols - 1]])
    for kind in sorted(probe.info.nudges):
        ops.append((probe.nudge(kind, probe.nudge_size(kind), points, volts), (2, 3)))
    return ops


def info(probe: Probe) -> None:
    """Everything that a bench says of itself makes sense."""
    array, bench = probe.info, probe.bench
    sheet = array.device
    facts = {
        "it has arrays, durable, identity, execute and make_safe": _is(bench, Bench),
        "an array's key is its name": array.name in bench.arrays,
        "an array has rows and columns": array.rows >= 1 and array.cols >= 1,
        "0 <= g_min < g_max": 0 <= sheet.g_min_s < sheet.g_max_s < np.inf,
        "nominal steps are positive": sheet.step_up_s > 0 and sheet.step_down_s > 0,
        "the read voltage is finite and not 0": np.isfinite(sheet.read_voltage_v)
        and sheet.read_voltage_v != 0,
        "the integration time is positive": 0 < sheet.integration_s < np.inf,
        "nudges are gate, current or pulse": array.nudges <= {"gate", "current", "pulse"},
        "durable is a bool": _is(bench.durable, bool),
        "identity maps text to text": all(_is(part, str) for pair in bench.identity.items() for part in pair),
    }
    wrong = [fact for fact, holds in facts.items() if not holds]
    if wrong:
        raise Violation(f"does not hold: {'; '.join(wrong)}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def answers(probe: Probe) -> None:
    """Every operation has its answer and cost, in order: right kind and shape, finite where not flagged."""
    asked = examples(probe)
    done = probe.ask(*[op for op, _ in asked])
    if len(done.answers) != len(asked) or len(done.costs) != len(asked):
        raise Violation(f"{len(asked)} operations, {len(done.answers)} answers, {len(done.costs)} costs")
    for number, ((op, shape), answer) in enumerate(zip(asked, done.answers, strict=True)):
        _check_answer(probe, f"operation {number}, {type(op).__name__}", op, shape, answer)


def _check_answer(probe: Probe, what: str, op: Op, shape: tuple[int, ...] | None, answer: object) -> None:
    if shape is None:
        if answer is not None:
            raise Violation(f"{what}: answered by {answer!r}; None is expected")
        return
    kind = ReadAnswer if isinstance(op, Read) else MultiplyAnswer if isinstance(op, Multiply) else NudgeAnswer
    if not isinstance(answer, kind):
        raise Violation(f"{what}: answered by {type(answer).__name__}; {kind.__name__} is expected")
    found, flags = answer.amperes, answer.clipped
    if found.shape != shape or flags.shape != shape:
        raise Violation(f"{what}: amperes {found.shape}, clipped {flags.shape}; {shape} is expected")
    if found.dtype.char not in "fd" or flags.dtype != np.bool_:
        raise Violation(
            f"{what}: amperes are {found.dtype}, clipped {flags.dtype}; floats and bool are expected"
        )
    if not np.all(np.isfinite(found) | flags):
        raise Violation(f"{what}: a current that is not finite is not flagged as clipped")
    if isinstance(answer, NudgeAnswer) and answer.siemens.shape != shape[:1]:
        raise Violation(f"{what}: siemens have shape {answer.siemens.shape}; {shape[:1]} is expected")
    if isinstance(answer, ReadAnswer) and answer.voltage_v != probe.read_v:
        raise Violation(f"{what}: says it read at {answer.voltage_v!r} V; {probe.read_v!r} V was asked for")
    if isinstance(answer, MultiplyAnswer) and isinstance(op, Multiply) and not op.transpose:
        announced = "multiply" in probe.info.emulated
        if answer.emulated != announced:
            raise Violation(f"{what}: emulated is {answer.emulated}; the array's info announces {announced}")


def empty(probe: Probe) -> None:
    """Empty schedules and empty regions are nothing to do, not an error."""
    done = probe.ask()
    if done.answers or done.costs:
        raise Violation(f"an empty schedule was answered by {done!r}")
    name, cols, integration = probe.info.name, probe.region.cols, probe.info.device.integration_s
    none = Region(name, np.arange(0), cols)
    found = probe.ask(
        Read(none, probe.read_v, integration),
        Multiply(none, np.zeros((2, 0)), integration),
        probe.program(np.zeros((0, cols.size), np.int64), none),
    )
    read, product, _ = found.answers
    if not isinstance(read, ReadAnswer) or read.amperes.shape != (0, cols.size):
        raise Violation(f"reading no rows was answered by {read!r}")
    if not isinstance(product, MultiplyAnswer) or product.amperes.shape != (2, cols.size):
        raise Violation(f"driving no rows was answered by {product!r}")
    if found.cost.pulses:
        raise Violation(f"programming no devices cost {found.cost.pulses} pulses")


def read_is_multiply(probe: Probe) -> None:
    """Driving one row at the read voltage gives the currents that reading its crosspoints gives."""
    probe.prepare()
    one_by_one = probe.multiply(probe.read_v * np.eye(probe.region.rows.size))
    probe.agree("amperes of one driven row", one_by_one, probe.read() * probe.read_v)


def transpose(probe: Probe) -> None:
    """Driving columns and sensing rows meets the same conductances as the other way round."""
    if not probe.transposes:
        raise NotApplicable("the array cannot be driven from its columns")
    probe.prepare()
    forward = probe.multiply(probe.read_v * np.eye(probe.region.rows.size))
    backward = probe.multiply(probe.read_v * np.eye(probe.region.cols.size), transpose=True)
    probe.agree("amperes of one driven column", backward, forward.swapaxes(1, 2))


def superposition(probe: Probe) -> None:
    """Currents of two patterns of volts together are the sum of those of each."""
    probe.prepare()
    one, other = probe.driven(3, probe.region.rows.size) / 2, probe.driven(3, probe.region.rows.size) / 2
    probe.agree("amperes of a sum", probe.multiply(one + other), probe.multiply(one) + probe.multiply(other))


def linear(probe: Probe) -> None:
    """Currents are proportional to volts, through zero to the other sign where that may be driven."""
    probe.prepare()
    volts = probe.driven(3, probe.region.rows.size)
    full = probe.multiply(volts)
    probe.agree("twice the amperes at half the volts", 2 * probe.multiply(volts / 2), full)
    try:
        negative = probe.multiply(-volts)
    except LimitError:
        return
    probe.agree("amperes at negative volts, negated", -negative, full)


def order_of_reading(probe: Probe) -> None:
    """Answers come in the order in which the region names its lines."""
    probe.prepare()
    rows, cols = probe.rng.permutation(probe.region.rows.size)[::-1], np.arange(probe.region.cols.size)[::-1]
    mixed = Region(probe.info.name, probe.region.rows[rows], probe.region.cols[cols])
    probe.agree("a read in another order", probe.read(mixed), probe.read()[:, rows][:, :, cols])
    volts = probe.driven(2, rows.size)
    straight = probe.multiply(volts)
    probe.agree(
        "a product in another order", probe.multiply(volts[:, rows], region=mixed), straight[:, :, cols]
    )


def variants(probe: Probe) -> None:
    """Variants give what driving each varied pattern by itself gives, forward and transposed."""
    probe.prepare()
    for back in (False, True) if probe.transposes else (False,):
        lines = probe.region.shape[1 if back else 0]
        volts, which = probe.driven(2, lines), probe.rng.permutation(lines)[:3]
        new = probe.driven(which.size, 2)
        varied = np.repeat(volts[None], which.size, axis=0)
        varied[np.arange(which.size), :, which] = new
        single = np.stack([probe.multiply(pattern, transpose=back) for pattern in varied], axis=1)
        found = probe.multiply(volts, transpose=back, variants=Variants(which, new))
        probe.agree(f"variants{' transposed' if back else ''}", found, single)


def never_clips(probe: Probe) -> None:
    """Far above the usual voltage a bench refuses, flags, or gives the currents of that voltage alone."""
    factor = probe.settings.overdrive
    if factor == 1:
        raise NotApplicable("overdrive is 1")
    probe.prepare()
    volts = probe.driven(3, probe.region.rows.size)
    pairs: dict[str, tuple[Samples, Samples]] = {}
    with suppress(LimitError, ScheduleError):
        pairs["read"] = (probe.read(factor=factor), probe.read())
    with suppress(LimitError, ScheduleError):
        pairs["product"] = (probe.multiply(factor * volts), factor * probe.multiply(volts))
    for what, (high, usual) in pairs.items():
        if np.any(np.isfinite(high.mean(axis=0))):
            probe.agree(f"a {what} at {factor:g} times the volts, not flagged as clipped", high, usual)
