"""Checks of conduct: costs are honest, a refusal is whole, and a bench can always be made safe."""

from __future__ import annotations

import math

import numpy as np

from hil.conformance.probe import Probe, Violation
from hil.conformance.reading import examples
from hil.schedule import Multiply, Nudge, Op, Program, Read, Region, Variants, Wait


def cost_pulses(probe: Probe) -> None:
    """Every device-pulse asked for is in the cost, at the operation that asked for it."""
    probe.prepare()
    counts = probe.rng.integers(-3, 4, probe.region.shape)
    counts[0, 0] = 2
    read = Read(probe.region, probe.read_v, probe.info.device.integration_s)
    asked: list[Op] = [
        probe.program(counts),
        read,
        probe.program(-counts),
        probe.program(0 * counts),
        Wait(0.0),
    ]
    asked += [op for op, _ in examples(probe) if isinstance(op, Nudge)]
    for number, (op, cost) in enumerate(zip(asked, probe.ask(*asked).costs, strict=True)):
        if cost.pulses != _pulses(op):
            raise Violation(
                f"operation {number}, {type(op).__name__}, asked for {_pulses(op)} device-pulses; "
                f"its cost says {cost.pulses}"
            )


def _pulses(op: Op) -> int:
    if isinstance(op, Program):
        return int(np.abs(op.counts.astype(np.int64)).sum())
    if isinstance(op, Nudge) and op.kind == "pulse":
        return 2 * abs(int(op.size)) * len(op.points)
    return 0


def cost_reads(probe: Probe) -> None:
    """Each current answered costs at least one reading, but where it is computed from others."""
    for op, shape in _sensed(probe):
        cost, currents = probe.ask(op).cost, 0 if shape is None else math.prod(shape)
        if not cost.reads >= currents:
            raise Violation(
                f"{type(op).__name__} answered {currents} currents; its cost says {cost.reads} reads"
            )


def _sensed(probe: Probe) -> list[tuple[Op, tuple[int, ...] | None]]:
    """Examples of all operations whose currents are sensed: a bench may compute those that it emulates."""
    return [
        (op, shape) for op, shape in examples(probe) if type(op).__name__.lower() not in probe.info.emulated
    ]


def cost_seconds(probe: Probe) -> None:
    """Nothing that is measured is quicker than its integration times, no pulses quicker than their widths."""
    probe.prepare()
    integration, counts = probe.info.device.integration_s, np.zeros(probe.region.shape, np.int64)
    counts[0, 0], counts[-1, -1] = probe.pulses, -1
    for op, shape in [*_sensed(probe), (probe.program(counts), None)]:
        if isinstance(op, Program):
            least = max(0, int(op.counts.max())) * op.potentiate.width_s
            least = max(least, -min(0, int(op.counts.min())) * op.depress.width_s)
        elif isinstance(op, Read):
            least = integration
        else:
            least = integration * (0 if shape is None else math.prod(shape[:-1] or shape))
        if isinstance(op, Nudge):
            least = integration * len(op.points) * len(op.volts)
        seconds = probe.ask(op).cost.seconds
        if not seconds >= least * (1 - 1e-9):
            raise Violation(
                f"{type(op).__name__} took {seconds:.3g} s; {least:.3g} s is the least it can take"
            )


def wait(probe: Probe) -> None:
    """Waiting takes the time asked for."""
    took = probe.ask(Wait(1.0)).cost.seconds
    if not 1 - 1e-9 <= took <= 1.5:
        raise Violation(f"a wait of 1 s took {took:.6g} s")


def refuses_unknown_array(probe: Probe) -> None:
    """Operations on an array that the bench has not are refused."""
    other = Region("no array of this name", probe.region.rows, probe.region.cols)
    probe.prepare()
    probe.refuses("reading an unknown array", Read(other, probe.read_v, probe.info.device.integration_s))
    probe.refuses("programming an unknown array", probe.program(np.ones(other.shape, np.int64), other))


def refuses_lines_outside(probe: Probe) -> None:
    """Lines beyond the array's last are refused."""
    probe.prepare()
    info, integration = probe.info, probe.info.device.integration_s
    for what, region in (
        ("row", Region(info.name, np.array([info.rows]), np.array([0]))),
        ("column", Region(info.name, np.array([0]), np.array([info.cols]))),
    ):
        volts = probe.driven(1, region.rows.size)
        probe.refuses(f"reading {what} outside", Read(region, probe.read_v, integration))
        probe.refuses(f"driving {what} outside", Multiply(region, volts, integration))
        probe.refuses(f"programming {what} outside", probe.program(np.ones(region.shape, np.int64), region))


def refuses_nan(probe: Probe) -> None:
    """Volts that are NaN or infinite are refused wherever they stand."""
    probe.prepare()
    rows, integration = probe.region.rows.size, probe.info.device.integration_s
    for value in (math.nan, math.inf, -math.inf):
        good, bad = probe.driven(2, rows), probe.driven(2, rows)
        bad[-1, -1] = value
        probe.refuses(f"{value} V", Multiply(probe.region, bad, integration))
        new = Variants(np.array([0]), np.array([[0.0, value]]))
        probe.refuses(f"{value} V in a variant", Multiply(probe.region, good, integration, variants=new))
        for kind in sorted(probe.info.nudges):
            op = probe.nudge(kind, probe.nudge_size(kind), np.array([[0, 0]]), bad)
            probe.refuses(f"{value} V in a {kind} nudge", op)


def refused_whole(probe: Probe) -> None:
    """Of a refused schedule nothing is carried out, neither before nor after what was wrong."""
    probe.prepare()
    pulses = probe.program(np.full(probe.region.shape, probe.pulses))
    outside = Region(probe.info.name, np.array([probe.info.rows]), np.array([0]))
    wrong = Read(outside, probe.read_v, probe.info.device.integration_s)
    probe.refuses("a schedule with a row outside at its end", pulses, wrong)
    probe.refuses("a schedule with a row outside in its middle", pulses, wrong, pulses)
    probe.refuses("a schedule with a row outside at its start", wrong, pulses)


def make_safe(probe: Probe) -> None:
    """Making a bench safe twice raises nothing and harms no device, and the bench works afterwards."""
    probe.prepare()
    before = probe.read()
    probe.bench.make_safe()
    probe.bench.make_safe()
    probe.agree("conductances after make_safe", probe.read(), before)
