"""A bench whose offsets are taken off conforms where the same bench as it is does not."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.conformance import ConformanceError, check_bench
from hil.corrected import CorrectedBench, Known, Offsets

SIZES = {"main": (9, 7), "wide": (3, 20)}
OFFSET_A = 2e-8


def bench() -> SimBench:
    return SimBench(SimSettings(read={"offset": OFFSET_A}), SIZES, 1)


def test_answers_without_offsets_agree_with_each_other() -> None:
    known = {
        name: Known(offsets=Offsets(*(np.full(lines, OFFSET_A) for lines in (cols, cols, rows))))
        for name, (rows, cols) in SIZES.items()
    }
    assert not check_bench(lambda: nullcontext(CorrectedBench(bench(), known)), rtol=1e-4).skipped


def test_with_them_sums_are_not_those_of_single_readings() -> None:
    with pytest.raises(ConformanceError, match="superposition on 'main'"):
        check_bench(lambda: nullcontext(bench()), rtol=1e-4)
