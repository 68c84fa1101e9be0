"""The crosspoint bench over sockets and pseudo-terminals: the contract, and the simulated bench's ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.crosspoint import driver
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.bench import Bench
from hil.conformance import check_bench
from hil.errors import (
    BenchError,
    ComplianceError,
    ConfigError,
    DisconnectedError,
    IdentityError,
    LimitError,
)
from hil.region import Region
from hil.schedule import Multiply, Program, Pulse, Read, ReadAnswer, Wait
from tests.socket.crosspoint_server import IDEAL, PULSES, Lab, crosspoint_bench
from tests.socket.keystone import trained


class Hours:
    """The bench's clock where waiting is not waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    "keys",
    [
        {
            "arrays": {"main": {"rows": "40,0-1", "cols": "7-8"}},
            "matrix": {"resource": "smu", "options": {"node": 2}},
            "virtual": {"smu": {"link": "vxi11"}, "pulser": {"link": "vxi11"}},
        },
        {
            "arrays": {"main": {"rows": "0-1", "cols": "9-10"}},
            "read": {"refresh": "all"},
            "virtual": {"smu": {"link": "pty"}, "matrix": {"link": "pty"}},
        },
    ],
    ids=["stale, wired across, linked, vxi11", "all, pty"],
)
def test_it_keeps_the_bench_contract(keys: dict[str, Any]) -> None:
    @contextmanager
    def fresh() -> Iterator[Bench]:
        with crosspoint_bench(**keys) as lab:
            clock = Hours()
            lab.bench._clock, lab.bench._pause = lambda: clock.now, clock.pause
            yield lab.bench
            assert lab.cold

    check_bench(fresh, repeats=2, overdrive=5)


ROOT = Path(__file__).parents[2]
RINGS = (
    f"data={{name: csv, path: {ROOT / 'examples/experiments/rings.csv'}, test: 30, train: 40}}",
    "network.layers=[{outputs: 6, activation: tanh, w_max: 4}, {outputs: 2, activation: softmax, w_max: 4}]",
    "training={epochs: 1, batch: 4, rate: 0.3, update_noise_every: 0, evaluations: 1}",
)
DEVICE = {
    "preset": "ideal", "levels_up": 200, "levels_down": 200, "nl_up": 1.5, "nl_down": -1.5,
    "initial": "uniform", "d2d": {"step": 0.1, "range": 0.05}, **PULSES,
}  # fmt: skip
READ = {"voltage": 0.1, "integration": 1e-3}
SMALL = {"arrays": {"main": {"rows": "0-11", "cols": "12-31"}}, "device": DEVICE, "read": READ}


@pytest.mark.parametrize(
    ("gradient", "update", "instruments"),
    [
        ("backprop", "manhattan", ("keithley-2600", "keysight-33500", "keithley-700")),
        ("backprop", "bidirectional", ("keithley-2450", "tektronix-afg", "keithley-700")),
        ("progressive-bp", "bidirectional", ("keysight-b2900", "keysight-33500", "keithley-700")),
        ("{name: dgc, nudge: pulse}", "bidirectional", ("keithley-2600", "keysight-33500", "keithley-700")),
    ],
)
def test_the_same_protocol_ends_in_the_same_conductances_as_on_the_simulated_bench(
    gradient: str, update: str, instruments: tuple[str, str, str]
) -> None:
    method = (*RINGS, f"gradient={gradient}", f"update={update}")
    if "dgc" in gradient:
        method = (*method, "data.train=8")
    simulated = SimBench(SimSettings(device=DEVICE, read=READ), {"main": (12, 20)}, seed=5)
    start = simulated.conductances("main")
    expected = trained(simulated, *method)
    with crosspoint_bench(**SMALL, instruments=instruments, virtual={"seed": 5}) as lab:
        np.testing.assert_array_equal(lab.grid.conductances("main"), start)
        cost = trained(lab.bench, *method)
        found = lab.grid.conductances("main")
        np.testing.assert_array_equal(lab.bench.doses["main"], lab.grid.pulses["main"])
        assert lab.cold
        assert lab.off
    end = simulated.conductances("main")
    assert (np.abs(end / start - 1) > 1e-3).sum() > 40  # of 84 in use
    np.testing.assert_allclose(found, end, rtol=1e-6)
    assert cost.pulses == expected.pulses == int(lab.grid.pulses["main"].sum())


@pytest.fixture
def lab() -> Iterator[Lab]:
    with crosspoint_bench() as made:
        yield made


WHOLE = Region("main", np.arange(9), np.arange(7))
ONE = Region("main", np.array([2]), np.array([3]))
UP, DOWN = Pulse(1.0, 1e-6, 1e-6), Pulse(-1.0, 1e-6, 1e-6)


def read(bench: Bench, region: Region = ONE, volts: float = 0.1) -> ReadAnswer:
    answer = bench.execute((Read(region, volts, 1e-3),)).answers[0]
    assert isinstance(answer, ReadAnswer)
    return answer


def test_sums_are_made_of_new_readings_where_devices_were_pulsed_and_of_old_ones_elsewhere(lab: Lab) -> None:
    multiply = Multiply(WHOLE, np.full((2, 9), 0.1, np.float32), 1e-3)
    counts = np.zeros((9, 7), np.int16)
    counts[2, 3], counts[4, 4] = 5, -5
    costs = lab.bench.execute((multiply, multiply, Program(WHOLE, counts, UP, DOWN), multiply)).costs
    assert [cost.reads for cost in costs] == [63, 0, 0, 2]
    answer = lab.bench.execute((multiply,)).answers[0]
    assert answer is not None
    np.testing.assert_allclose(
        answer.amperes[0], 0.1 * lab.grid.conductances("main").sum(axis=0, dtype=np.float64), rtol=1e-6
    )
    assert lab.bench.execute((Wait(0.001), multiply)).costs[1].reads == 63


def test_a_device_costs_two_transactions_to_read_or_to_pulse_once_all_is_set(lab: Lab) -> None:
    read(lab.bench)
    cost = lab.bench.execute((Read(WHOLE, 0.1, 1e-3),)).cost
    assert cost.transactions == 2 * 63
    counts = np.tile(np.array([7, -7, 1, -1, 3, -3, 2], np.int16), (9, 1))
    cost = lab.bench.execute((Program(WHOLE, counts, UP, DOWN),)).cost
    assert cost.transactions <= 2 * 63 + 3 * 7  # seven counts
    np.testing.assert_array_equal(lab.grid.pulses["main"], np.abs(counts))


def higher(policy: str) -> dict[str, Any]:
    """Devices that are higher than expected: 10 uA at the read voltage, where 2 uA are allowed."""
    return {
        "device": {**IDEAL, "g_min": 1e-7, "g_max": 1e-5},
        "read": {"compliance": 2e-6, "at_compliance": policy},
        "virtual": {"device": {**IDEAL, "initial": "g_max"}},
    }


@pytest.mark.parametrize(("policy", "reads"), [("flag", 1), ("lower", 4)])
def test_a_current_at_compliance_is_handled_as_the_bench_file_says(policy: str, reads: int) -> None:
    with crosspoint_bench(**higher(policy)) as lab:
        truth = float(lab.grid.conductances("main")[2, 3])
        assert truth * 0.1 > 8e-6
        execution = lab.bench.execute((Read(ONE, 0.1, 1e-3),))
        answer = execution.answers[0]
        assert isinstance(answer, ReadAnswer)
        assert execution.cost.reads == reads
        assert bool(answer.clipped[0, 0]) == (policy == "flag")
        if policy == "lower":
            assert float(answer.siemens[0, 0]) == pytest.approx(truth, rel=1e-6)
        else:
            assert np.isnan(answer.siemens[0, 0])


def test_a_current_at_compliance_ends_the_run_where_the_bench_file_says_stop() -> None:
    with crosspoint_bench(**higher("stop")) as lab:
        with pytest.raises(ComplianceError, match=r"2e-06 A at 0\.1 V; read\.at_compliance says stop"):
            read(lab.bench)
        assert lab.off
        assert not lab.grid.closed
        assert lab.cold


def test_a_sum_with_a_device_that_is_not_known_is_flagged(lab: Lab) -> None:
    with crosspoint_bench(**higher("flag")) as there:
        volts = np.zeros((1, 9), np.float32)
        volts[0, 2] = 0.1
        answer = there.bench.execute((Multiply(WHOLE, volts, 1e-3),)).answers[0]
        assert answer is not None
        assert answer.clipped.all()


@pytest.mark.parametrize("role", ["smu", "pulser", "matrix"])
@pytest.mark.parametrize("kind", ["disconnect-before", "disconnect-after", "garbage"])
def test_after_a_failed_exchange_all_is_off_and_open_and_the_bench_can_go_on(role: str, kind: str) -> None:
    on = {"smu": "measure.iv", "pulser": "TRIG1", "matrix": "exclusiveclose"}[role]
    fault = {"kind": kind, "on": on, "numbers": [4]}
    counts = np.full((9, 7), 1, np.int16)
    with crosspoint_bench(virtual={role: {"faults": [fault]}}) as lab:
        with pytest.raises(BenchError, match=role):
            lab.bench.execute((Read(WHOLE, 0.1, 1e-3), Program(WHOLE, counts, UP, DOWN)))
        assert lab.off
        assert not lab.grid.closed
        assert lab.cold
        given = lab.grid.pulses["main"]
        assert (given <= lab.bench.doses["main"]).all()
        lab.bench.execute((Program(ONE, np.array([[2]]), UP, DOWN),))
        truth = lab.grid.conductances("main")[2, 3]
        assert float(read(lab.bench).siemens[0, 0]) == pytest.approx(truth, rel=1e-6)


def test_one_mainframe_serves_two_roles_over_one_line() -> None:
    shared = {"resource": "mainframe"}
    with crosspoint_bench(
        instruments=("keysight-b1500", "keysight-spgu", "keithley-700"),
        smu={**shared, "options": {"channel": 2}},
        pulser={**shared, "options": {"channel": 501}},
    ) as lab:
        assert lab.outlets["smu"] is lab.outlets["pulser"]
        counts = np.arange(63, dtype=np.int16).reshape(9, 7) - 31
        lab.bench.execute((Program(WHOLE, counts, UP, DOWN),))
        np.testing.assert_array_equal(lab.grid.pulses["main"], np.abs(counts))
        found = read(lab.bench, WHOLE).siemens
        np.testing.assert_allclose(found, lab.grid.conductances("main"), rtol=1e-5)
        assert lab.cold


def test_another_instrument_in_the_place_of_one_is_refused() -> None:
    other = {"smu": {"serial": "7"}, "virtual": {"smu": {"settings": {"serial": "4000001"}}}}
    refused = pytest.raises(IdentityError, match="smu: serial number 4000001 answers; the bench names 7")
    with refused, crosspoint_bench(**other):
        pass


def test_a_bench_whose_instruments_are_away_is_told_and_nothing_stays_open(lab: Lab) -> None:
    settings = lab.settings.model_copy(
        update={"pulser": lab.settings.pulser.model_copy(update={"resource": "TCPIP::127.0.0.1::9::SOCKET"})}
    )
    with pytest.raises(DisconnectedError, match="pulser: connect"):
        driver.open(settings, {}, 0)
    nowhere = settings.pulser.model_copy(update={"resource": "nowhere"})
    with pytest.raises(ConfigError, match=r"pulser\.resource: .*'nowhere'"):
        driver.open(settings.model_copy(update={"pulser": nowhere}), {}, 0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"arrays": {"main": {"rows": "0-8", "cols": "70-76"}}}, r"arrays\.main\.cols: asked for column 76"),
        ({"buses": {"smu": "A", "pulser": "B", "ground": 8}}, r"buses\.ground: asked for row 8 .* 0 to 7"),
        (
            {"read": {"compliance": 1e-6}},
            r"read\.compliance: asked for 1 uA; .* draws 10\.1 uA at 100 mV",
        ),
        ({"device": "ideal"}, r"device\.potentiate: pulser: gap: asked for 0 s"),
        ({"read": {"integration": 10.0}}, r"read: smu: integration: asked for 10 s"),
    ],
)
def test_what_the_instruments_have_not_is_refused_with_its_key(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message), crosspoint_bench(**keys):
        pass


def test_what_instruments_cannot_put_out_is_refused_before_anything_is_switched(lab: Lab) -> None:
    before = lab.grid.switchings
    counts = np.full((9, 7), 1, np.int16)
    with pytest.raises(LimitError, match="pulser"):
        lab.bench.execute((Read(WHOLE, 0.1, 1e-3), Program(WHOLE, counts, Pulse(100.0, 1e-6, 1e-6), DOWN)))
    with pytest.raises(LimitError, match="smu"):
        lab.bench.execute((Program(WHOLE, counts, UP, DOWN), Read(WHOLE, 1e3, 1e-3)))
    assert lab.grid.switchings == before
    assert not lab.bench.doses["main"].any()


def test_pulses_are_counted_over_runs_and_a_dose_is_never_exceeded(tmp_path: Path) -> None:
    keys = {"program": {"dose": 10, "ledger": str(tmp_path / "doses")}}
    six = Program(ONE, np.array([[6]]), UP, DOWN)
    with crosspoint_bench(**keys) as lab:
        lab.bench.execute((six,))
    with crosspoint_bench(**keys) as lab:
        assert lab.bench.doses["main"][2, 3] == 6
        with pytest.raises(LimitError, match="which had 6; its dose is 10"):
            lab.bench.execute((six,))
        assert lab.grid.pulses["main"].sum() == 0
        lab.bench.execute((Program(ONE, np.array([[-4]]), UP, DOWN),))
    assert np.load(tmp_path / "doses" / "main.npy")[2, 3] == 10


def test_a_ledger_of_another_array_or_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "main.npy", np.zeros((3, 3), np.uint32))
    refused = pytest.raises(ConfigError, match=r"program\.ledger: .*counts \(3, 3\) devices")
    with refused, crosspoint_bench(program={"ledger": str(tmp_path)}):
        pass
    (tmp_path / "file").write_text("")
    refused = pytest.raises(ConfigError, match=r"program\.ledger: .* cannot be written")
    with refused, crosspoint_bench(program={"ledger": str(tmp_path / "file" / "x")}):
        pass
