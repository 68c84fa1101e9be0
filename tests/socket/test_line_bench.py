"""The line bench over real sockets and pseudo-terminals: the contract, and the simulated bench's ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.bench import Bench
from hil.conformance import check_bench
from tests.socket.keystone import trained
from tests.socket.line_server import line_bench


@pytest.mark.parametrize(
    ("keys", "rtol", "repeats"),
    [
        ({"virtual": {}}, 1e-5, 2),
        ({"virtual": {"link": "pty"}}, 1e-5, 2),
        ({"virtual": {"read": {"noise": 0.02}}, "program": {"scheme": "V/3"}}, 1e-5, 8),
        ({"virtual": {"adc": {"bits": 12}, "dac": {"bits": 12, "range": 0.2}}}, 2e-3, 2),
        (
            {"arrays": {"main": {"rows": "8,0-6", "cols": "2-7"}, "b": {"rows": "9-11", "cols": "8-12"}}},
            1e-5,
            2,
        ),
    ],
    ids=["tcp", "pty", "noisy, V/3", "converters", "two arrays, wired across"],
)
def test_it_keeps_the_bench_contract(keys: dict[str, Any], rtol: float, repeats: int) -> None:
    @contextmanager
    def fresh() -> Iterator[Bench]:
        with line_bench(**keys) as (bench, _):
            yield bench

    report = check_bench(fresh, rtol=rtol, repeats=repeats)
    assert not report.skipped


DIGITS = (
    "data={name: mnist-5k, train: 60, test: 30, pixels: 7}",
    "network.layers=[{outputs: 12, activation: tanh}, {outputs: 10, activation: softmax}]",
    "training={epochs: 1, batch: 10, rate: 0.05, update_noise_every: 0}",
)
DEVICE = {
    "preset": "ideal", "levels_up": 200, "levels_down": 200, "nl_up": 1.5, "nl_down": -1.5,
    "initial": "uniform", "d2d": {"step": 0.1, "range": 0.05},
}  # fmt: skip
READ = {"voltage": 0.1, "integration": 1e-6}
LARGE = {"arrays": {"main": {"rows": "0-63", "cols": "0-47"}}, "device": DEVICE, "read": READ}


@pytest.mark.parametrize(
    ("gradient", "update", "link"),
    [
        ("backprop", "manhattan", "tcp"),
        ("backprop", "bidirectional", "tcp"),
        ("progressive-bp", "manhattan", "tcp"),
        ("progressive-bp", "bidirectional", "pty"),
    ],
)
def test_the_same_protocol_ends_in_the_same_conductances_as_on_the_simulated_bench(
    gradient: str, update: str, link: str
) -> None:
    method = (f"gradient={gradient}", f"update={update}")
    simulated = SimBench(SimSettings(device=DEVICE, read=READ), {"main": (64, 48)}, seed=5)
    start = simulated.conductances("main")
    expected = trained(simulated, *DIGITS, *method)
    with line_bench(**LARGE, virtual={"seed": 5, "link": link}) as (bench, there):
        np.testing.assert_array_equal(there.grid.bench.conductances("main"), start)
        cost = trained(bench, *DIGITS, *method)
        found = there.grid.bench.conductances("main")
        counters = there.grid.counters
        assert int(counters.each.sum()) == counters.pulses == cost.pulses
        np.testing.assert_array_equal(bench.doses["main"], counters.each)
    end = simulated.conductances("main")
    assert (np.abs(end / start - 1) > 1e-3).mean() > 0.4  # of 3072, 1460 are used
    np.testing.assert_allclose(found, end, rtol=1e-6)
    assert (cost.pulses, cost.half_selects, cost.reads) == (
        expected.pulses,
        expected.half_selects,
        expected.reads,
    )
    assert cost.seconds == pytest.approx(expected.seconds, rel=1e-6)
    assert cost.joules == pytest.approx(expected.joules, rel=1e-4)
    assert cost.transactions <= expected.transactions


def test_nudges_by_pulses_find_the_gradient_that_they_find_on_the_simulated_bench() -> None:
    method = ("gradient={name: dgc, nudge: pulse}", "update=bidirectional", "data.train=20")
    simulated = SimBench(SimSettings(device=DEVICE, read=READ), {"main": (64, 48)}, seed=5)
    expected = trained(simulated, *DIGITS, *method)
    with line_bench(**LARGE, virtual={"seed": 5}) as (bench, there):
        cost = trained(bench, *DIGITS, *method)
        np.testing.assert_allclose(
            there.grid.bench.conductances("main"), simulated.conductances("main"), rtol=1e-6
        )
    assert (cost.pulses, cost.half_selects) == (expected.pulses, expected.half_selects)
    assert cost.reads > expected.reads  # each device is read before and after its nudge
