"""One suite for every array controller, virtual or real: it finds where a driver breaks its contract.

def test_our_controller_conforms():
    check_line_controller(lambda: open_our_controller(), volts=0.1, integration_s=1e-5, shot=..., back=...)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hil.conformance.instruments import (
    _counted,  # pyright: ignore[reportPrivateUsage]
    _refused,  # pyright: ignore[reportPrivateUsage]
    _run,  # pyright: ignore[reportPrivateUsage]
)
from hil.conformance.probe import Violation
from hil.instruments import LineController, Shot
from hil.schedule import Pulse


def check_line_controller(
    factory: Callable[[], AbstractContextManager[LineController]],
    *,
    volts: float,
    integration_s: float,
    shot: Shot,
    back: Pulse,
    rtol: float = 1e-3,
) -> Sequence[str]:
    """Check an array controller; the names of the checks that did not apply.

    Parameters
    ----------
    factory
        Opens the connected board as a context, closed on leaving.
    volts, integration_s
        How its devices are read; noise is below ``rtol`` of the largest current.
    shot, back
        Pulses that raise the conductance of some of its devices, given twice, and the pulse that lowers it.

    Raises InstrumentConformanceError if a check failed; all were run.
    """

    def read(
        board: LineController, driven: NDArray[np.float64], back_way: bool = False
    ) -> NDArray[np.float64]:
        readings = board.read_lines(driven, integration_s, transpose=back_way)
        shape = len(driven), board.shape[0 if back_way else 1]
        if readings.amperes.shape != shape or readings.clipped.shape != shape:
            raise Violation(
                f"amperes {readings.amperes.shape}, flags {readings.clipped.shape}; {shape} expected"
            )
        return np.where(readings.clipped, np.nan, readings.amperes)

    def map_of(board: LineController) -> NDArray[np.float64]:
        return read(board, volts * np.eye(board.shape[0])) / volts

    def once(board: LineController) -> object:
        return read(board, np.zeros((1, board.shape[0])))

    def both_ways(board: LineController) -> None:
        """Rows driven one by one and columns driven one by one meet the same conductances."""
        forward, backward = map_of(board), read(board, volts * np.eye(board.shape[1]), back_way=True) / volts
        _agree("columns driven", backward.T, forward, rtol)

    def adds_up(board: LineController) -> None:
        """The currents of a pattern of volts are the sum of those of its lines; no vector has no answer."""
        pattern = volts * np.linspace(-1, 1, board.shape[0])
        _agree("a pattern", read(board, pattern[np.newaxis]), pattern[np.newaxis] @ map_of(board), rtol)
        read(board, np.zeros((0, board.shape[0])))

    def moves_its_targets(board: LineController) -> None:
        """A shot raises the devices at its crossings, the pulse back lowers them, no shot does nothing."""
        chosen = np.ix_(shot.rows, shot.cols)
        first = map_of(board)
        board.shoot([])
        _agree("no shot", map_of(board), first, rtol)
        board.shoot([shot, shot])
        raised = map_of(board)
        board.shoot([replace(shot, pulse=back)])
        lowered = map_of(board)
        if not (
            np.nanmean(raised[chosen] - first[chosen]) > 0 > np.nanmean(lowered[chosen] - raised[chosen])
        ):
            raise Violation("pulses did not move the devices at their crossings the right way")

    def impossible_is_refused(board: LineController) -> None:
        """NaN, a million volts, and lines that are not there are refused, and nothing is sent."""
        before, (rows, cols) = board.transactions, board.shape
        for impossible in (math.nan, math.inf, 1e6):
            bad = np.full((1, rows), impossible)
            _refused(lambda bad=bad: board.read_lines(bad, integration_s), f"{impossible} V")
        huge = replace(shot, pulse=replace(shot.pulse, amplitude_v=1e6))
        outside = replace(shot, rows=[rows]), replace(shot, cols=[cols]), replace(shot, rows=[-1])
        for wrong in (*outside, huge):
            _refused(lambda wrong=wrong: board.shoot([shot, wrong]), str(wrong))
        if board.transactions != before:
            raise Violation(f"refusing took {board.transactions - before} transactions")

    def works_after_make_safe(board: LineController) -> None:
        """Making safe is not the end: the next reading works."""
        board.make_safe()
        once(board)

    checks = (
        both_ways, adds_up, moves_its_targets, impossible_is_refused, works_after_make_safe, _counted(once),
    )  # fmt: skip
    return _run(factory, checks)


def _agree(what: str, found: NDArray[np.float64], expected: NDArray[np.float64], rtol: float) -> None:
    known = np.isfinite(found) & np.isfinite(expected)
    if not known.any():
        raise Violation(f"{what}: every value is flagged as clipped")
    apart, scale = np.abs(found - expected)[known].max(), np.abs(expected[known]).max()
    if not apart <= rtol * scale:
        raise Violation(f"{what}: {apart:.3g} apart where the largest value is {scale:.3g}")
