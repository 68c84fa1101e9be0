"""The simulated bench keeps the bench contract: ideal, noisy, with converters, with real lines, limited."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.bench import Bench
from hil.conformance import check_bench
from hil.limits import LimitedBench, Limits

SIZES = {"main": (9, 7), "wide": (3, 20)}

# Beside each, what its physics shifts in honest answers: half a converter's step, the drop over 1 ohm wires.
CASES: dict[str, tuple[dict[str, Any], float]] = {
    "ideal": ({}, 1e-5),
    "noisy reading": ({"read": {"noise": 0.02}}, 1e-5),
    "noisy writing": ({"device": {"preset": "ideal", "c2c": {"up": 0.001, "down": 0.001}}}, 1e-5),
    "nonlinear": ({"device": {"preset": "ideal", "nl_up": 2.4, "nl_down": -2.4}}, 1e-5),
    "devices that differ": ({"device": "aihwkit_ReRamES", "read": {"noise": 0.01}}, 1e-5),
    "converters": ({"dac": {"bits": 10, "range": "0.2 V"}, "adc": {"bits": 14}}, 0.02),
    "lines": ({"lines": {"row": "1 ohm", "col": "1 ohm"}}, 0.02),
}


@pytest.mark.parametrize("case", CASES)
def test_a_simulated_bench_conforms(case: str) -> None:
    values, rtol = CASES[case]
    settings = SimSettings(**values)
    report = check_bench(lambda: nullcontext(SimBench(settings, SIZES, 1)), rtol=rtol)
    assert not report.skipped


def test_a_simulated_bench_behind_limits_conforms() -> None:
    def limited() -> AbstractContextManager[Bench]:
        limits = Limits(read_v=0.3, pulses_per_op=100, dose=100_000)
        return nullcontext(LimitedBench(SimBench(SimSettings(), SIZES, 1), limits))

    check_bench(limited)
