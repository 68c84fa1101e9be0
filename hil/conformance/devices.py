"""Checks of programming and nudging: pulses move the devices they are meant for, the right way, no others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.conformance.probe import SIGMAS, NotApplicable, Probe, Samples, Violation, spread
from hil.schedule import Multiply, MultiplyAnswer, NudgeAnswer, NudgeKind, Read, ReadAnswer, Region


def potentiation(probe: Probe) -> None:
    """Potentiating pulses raise conductance."""
    _moves(probe, 1)


def depression(probe: Probe) -> None:
    """Depressing pulses lower conductance."""
    _moves(probe, -1)


def _moves(probe: Probe, sign: int) -> None:
    probe.prepare()
    before = probe.read()
    probe.ask(probe.program(np.full(probe.region.shape, sign * probe.pulses)))
    after = probe.read()
    change = sign * (after - before.mean(axis=0)).mean(axis=0)
    known = change[np.isfinite(change)]
    allowed = SIGMAS * _reading_error(before, after, known.size)
    moved = float(known.mean()) if known.size else 0.0
    if not moved > allowed:
        raise Violation(
            f"{sign * probe.pulses:+d} pulses moved {known.size} devices by {sign * moved:.3g} S on the "
            f"mean; more than {allowed:.2g} S {'up' if sign > 0 else 'down'} is expected"
        )


def _reading_error(before: Samples, after: Samples, devices: int) -> float:
    """Estimate the standard error that reading noise gives to the devices' mean change."""
    noise = max(spread(before), spread(after))
    return noise * float(np.sqrt(1 / len(before) + 1 / len(after))) / np.sqrt(max(devices, 1))


def zero_counts(probe: Probe) -> None:
    """Programming with counts of zero changes nothing."""
    probe.prepare()
    before = probe.read()
    probe.ask(probe.program(np.zeros(probe.region.shape, np.int64)))
    probe.agree("conductances after no pulses", probe.read(), before)


def pulses_add_up(probe: Probe) -> None:
    """One operation of n pulses does what n operations of one pulse do, within the spread of writing."""
    for sign in (1, -1):
        changes: list[NDArray[np.float64]] = []
        n = min(probe.pulses, 12)
        for parts in ([n], [1] * n):
            with probe.another() as fresh:
                before = fresh.read()
                for part in parts:
                    fresh.ask(fresh.program(np.full(fresh.region.shape, sign * part)))
                after = fresh.read()
                changes.append((after.mean(axis=0) - before.mean(axis=0)).ravel())
                error = _reading_error(before, after, 1)
        differ = changes[0] - changes[1]
        differ = differ[np.isfinite(differ)]
        # The two benches' devices differ, so what is compared is the mean over devices against their spread.
        scatter = differ.std(ddof=1) if differ.size > 1 else 0.0
        allowed = SIGMAS * np.hypot(scatter, error) / np.sqrt(differ.size)
        allowed += probe.settings.rtol * probe.info.device.g_max_s
        if not abs(differ.mean()) <= allowed:
            raise Violation(
                f"{sign * n:+d} pulses at once moved devices by {changes[0].mean():.4g} S on the mean, "
                f"one by one by {changes[1].mean():.4g} S; {allowed:.2g} S apart is allowed"
            )


def order_of_programming(probe: Probe) -> None:
    """Pulses go to the devices in the order in which the region names its lines."""
    probe.prepare()
    rows, cols = probe.region.rows[::-1], np.roll(probe.region.cols, 1)
    mixed = Region(probe.info.name, rows, cols)
    counts = np.zeros(mixed.shape, np.int64)
    counts[0, 0] = probe.pulses
    before = probe.read()
    probe.ask(*[probe.program(counts, mixed)] * 3)  # one device among noise: a third of its range
    after = probe.read()
    meant = np.zeros(mixed.shape, np.bool_)
    meant[-1, np.flatnonzero(probe.region.cols == cols[0])[0]] = True
    probe.agree("conductances given no pulses", after[:, ~meant], before[:, ~meant])
    change = float((after - before)[:, meant].mean())
    if not change > SIGMAS * _reading_error(before, after, 1):
        raise Violation(f"the one device given {3 * probe.pulses} pulses moved by {change:.3g} S")


def outside_untouched(probe: Probe) -> None:
    """Programming a region leaves the devices on other lines as they were."""
    info, inside = probe.info, probe.region
    rows = np.union1d(inside.rows, np.arange(min(info.rows, 16)))
    cols = np.union1d(inside.cols, np.arange(min(info.cols, 16)))
    around = Region(info.name, rows, cols)
    outside = ~np.logical_and.outer(np.isin(rows, inside.rows), np.isin(cols, inside.cols))
    if not np.any(outside):
        raise NotApplicable("the array has one device")
    probe.prepare()
    before = probe.read(around)
    for counts in (probe.pulses, -probe.pulses, probe.pulses):
        probe.ask(probe.program(np.full(inside.shape, counts)))
        probe.agree("conductances outside the region", probe.read(around)[:, outside], before[:, outside])


def nudge_size(probe: Probe) -> None:
    """Nudges have the sign and size asked for, and the currents are those of the device so changed."""
    for kind in _kinds(probe):
        probe.prepare()
        for sign in (1, -1):
            _check_nudge(probe, kind, sign * probe.nudge_size(kind))


def _check_nudge(probe: Probe, kind: NudgeKind, size: float) -> None:
    rows, cols = probe.region.shape
    points = np.array([[0, cols - 1], [rows - 1, 0], [rows // 2, cols // 2]])
    volts = probe.driven(3, rows)
    g, base = probe.read(), probe.multiply(volts)
    amperes, siemens = _nudged(probe, kind, size, points, volts)
    own = g[:, points[:, 0], points[:, 1]]
    if kind == "gate":
        probe.agree("change of a gate nudge in siemens", siemens, size * own)
    elif kind == "current":
        probe.agree("change of a current nudge in siemens", siemens, np.full((1, len(points)), size))
    elif not 0.1 < siemens.mean() / (size * probe.step) < 10:
        raise Violation(
            f"a nudge of {size:+g} pulses changed devices by {siemens.mean():.3g} S on the mean; "
            f"a step is about {probe.step:.3g} S"
        )
    changed = siemens.mean(axis=0)[:, None] * volts[:, points[:, 0]].T
    slack = SIGMAS * 2 * spread(g) * float(np.abs(volts).max()) if kind == "pulse" else 0.0
    expected = base[:, :, points[:, 1]].swapaxes(1, 2) + changed
    probe.agree(f"amperes under a {kind} nudge", amperes, expected, slack)


def _nudged(
    probe: Probe, kind: NudgeKind, size: float, points: NDArray[np.int64], volts: NDArray[np.float64]
) -> tuple[Samples, Samples]:
    """Amperes [repeats, k, n] and siemens [repeats, k]; one repeat where every nudge leaves a residue."""
    op = probe.nudge(kind, size, points, volts)
    answers = probe.ask(*[op] * (1 if kind == "pulse" else probe.settings.repeats)).answers
    found = [answer for answer in answers if isinstance(answer, NudgeAnswer)]
    if len(found) != len(answers):
        raise Violation(f"a nudge was answered by {answers!r}")
    amperes = np.stack([np.where(answer.clipped, np.nan, answer.amperes) for answer in found])
    return amperes, np.stack([answer.siemens.astype(np.float64) for answer in found])


def nudge_undone(probe: Probe) -> None:
    """After a nudge the device is as before; after one of pulses the residue is a fraction of the nudge."""
    for kind in _kinds(probe):
        probe.prepare()
        rows, cols = probe.region.shape
        points = np.stack([np.arange(rows), np.arange(rows) % cols], axis=1)
        before = probe.read()
        size = probe.nudge_size(kind)
        _, siemens = _nudged(probe, kind, size, points, probe.driven(1, rows))
        after = probe.read()
        if kind != "pulse":
            probe.agree(f"conductances after a {kind} nudge", after, before)
            continue
        residue = (after.mean(axis=0) - before.mean(axis=0))[points[:, 0], points[:, 1]].mean()
        g = before.mean(axis=0)[points[:, 0], points[:, 1]]
        uneven = abs(float((probe.curve(g, "up") - probe.curve(g, "down")).mean()))
        allowed = 0.5 * abs(siemens.mean()) + size * uneven + SIGMAS * _reading_error(before, after, rows)
        if not abs(residue) <= allowed:
            raise Violation(
                f"a nudge of {size:+g} pulses, {siemens.mean():.3g} S on the mean, left {residue:.3g} S; "
                f"{allowed:.2g} S is allowed"
            )


def _kinds(probe: Probe) -> list[NudgeKind]:
    if not probe.info.nudges:
        raise NotApplicable("the array announces no nudge")
    return sorted(probe.info.nudges)


def merged(probe: Probe) -> None:
    """Operations in one schedule act one after the other, as in schedules of their own."""
    probe.prepare()
    integration, rows = probe.info.device.integration_s, probe.region.rows.size
    read = Read(probe.region, probe.read_v, integration)
    each_row = Multiply(probe.region, probe.read_v * np.eye(rows), integration)
    pulses = probe.program(np.full(probe.region.shape, probe.pulses))
    before = probe.read()
    answers = probe.ask(read, pulses, each_row, read).answers
    after = probe.read()
    first, _, product, last = answers
    if (
        not isinstance(first, ReadAnswer)
        or not isinstance(product, MultiplyAnswer)
        or not isinstance(last, ReadAnswer)
    ):
        raise Violation(f"answers are not in the order of the operations: {answers!r}")
    probe.agree("the read before the pulses", first.siemens[None].astype(np.float64), before)
    probe.agree("the read after the pulses", last.siemens[None].astype(np.float64), after)
    probe.agree(
        "the product after the pulses", product.amperes[None].astype(np.float64) / probe.read_v, after
    )
