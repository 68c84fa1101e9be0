"""A matrix on the TSP-Link of a 2600B: device after device in one exchange, cold, each looked at before it is
measured; faults of either instrument, over real sockets.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.crosspoint.rehearsal import rehearsal
from drivers.instruments.keithley_700 import Keithley700
from drivers.instruments.keithley_2600 import Keithley2600
from drivers.instruments.keithley_3700 import Keithley3700
from drivers.instruments.tsp_scan import TspScan
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.faults import Fault, Faults
from drivers.sim.virtual.grid import DeviceGrid, Lines
from drivers.sim.virtual.keithley_700 import Keithley700 as Virtual700
from drivers.sim.virtual.keithley_700 import Virtual700Settings
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.keithley_2600 import Virtual2600Settings
from drivers.sim.virtual.keithley_3700 import Keithley3700 as Virtual3700
from drivers.sim.virtual.keithley_3700 import Virtual3700Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.conformance.instruments import check_matrix
from hil.errors import (
    BenchError,
    ComplianceError,
    ConfigError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    LimitError,
    SettingError,
    TimeoutError_,
)
from hil.instruments import Crosspoint, Sourcing, SwitchMatrix
from hil.region import Region
from hil.schedule import Read
from tests.socket.crosspoint_server import crosspoint_bench, crosspoint_settings

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)
IMPATIENT = QUICK.model_copy(update={"timeout": 0.4})
SOURCING = Sourcing(compliance_a=1e-3, integration_s=1e-3)
LINKED: dict[str, Any] = {"matrix": {"resource": "smu", "options": {"node": 2}}}
WHOLE = Region("main", np.arange(9), np.arange(7))
GROUND = 2


def devices(rows: int = 3, cols: int = 3) -> list[tuple[Crosspoint, Crosspoint]]:
    """Rows of the array are on columns 0 to 2 of the matrix, its columns on 3 to 5."""
    return [(Crosspoint(0, row), Crosspoint(GROUND, 3 + col)) for row in range(rows) for col in range(cols)]


@dataclass
class Lab:
    smu: Keithley2600
    matrix: Any
    scan: TspScan
    virtual: Virtual2600
    node: Any
    grid: DeviceGrid

    @property
    def highest_v(self) -> float:
        return self.virtual.channels["smua"].highest_v

    @property
    def safe(self) -> bool:
        return not any(self.grid.volts.values()) and not self.virtual.channels["smua"].values["source.output"]


KINDS = {
    "707B": (Keithley700, Virtual700, Virtual700Settings, {1: "7174A"}),
    "3706A": (Keithley3700, Virtual3700, Virtual3700Settings, {1: "3730"}),
}


@contextmanager
def lab(
    *faults: Fault,
    kind: str = "707B",
    settings: TransportSettings = QUICK,
    number: int = 2,
    smu: dict[str, Any] | None = None,
    forbidden: tuple[Crosspoint, ...] = (),
    joined: bool = True,
    **matrix: Any,
) -> Generator[Lab]:
    driver, made, model, cards = KINDS[kind]
    bench = SimBench(SimSettings.model_validate({"device": "ideal"}), {"main": (3, 3)}, 0)
    grid = DeviceGrid(bench, {"main": Lines(np.arange(3), np.arange(3, 6))}, GROUND)
    node: Any = made(model.model_validate({"cards": cards, **matrix}), grid)  # pyright: ignore[reportArgumentType]
    virtual = Virtual2600(Virtual2600Settings.model_validate(smu or {}), grid.terminal(0), grid.terminal(1))
    if joined:
        virtual.link(2, node)
    outlet = Outlet(virtual, Faults(list(faults)))
    with serving([outlet]), open_session(outlet.resource, settings, role="smu") as session:
        leader, follower = Keithley2600(session), driver(session, node=number, forbidden=forbidden)
        leader.attach()
        follower.attach()
        yield Lab(leader, follower, TspScan(leader, follower), virtual, node, grid)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_is_read_six_devices_at_a_time_and_no_relay_switches_hot(kind: str) -> None:
    with lab(kind=kind) as bench:
        found = bench.scan.read(devices(), 0.1, SOURCING)
        before = bench.smu.transactions
        again = bench.scan.read(devices(), -0.1, SOURCING)
        assert bench.smu.transactions == before + 2
        wanted = 0.1 * bench.grid.conductances("main").reshape(-1)
        np.testing.assert_allclose(found.amperes, wanted, rtol=1e-6)
        np.testing.assert_allclose(again.amperes, -wanted, rtol=1e-6)
        np.testing.assert_allclose(found.volts, 0.1, rtol=1e-9)
        assert not found.clipped.any()
        assert bench.grid.hot_switches == 0
        assert bench.grid.broke_before_make
        assert len(bench.grid.closed) == 2
        assert not any(bench.grid.volts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_on_a_link_conforms_as_one_on_a_line_of_its_own(kind: str) -> None:
    @contextmanager
    def matrix() -> Generator[SwitchMatrix]:
        with lab(kind=kind) as bench:
            yield bench.matrix

    assert not check_matrix(matrix, closed=(Crosspoint(0, 4), Crosspoint(1, 5)))


def test_connecting_initialises_a_link_that_is_offline_and_switches_nothing() -> None:
    with lab(serial="77") as bench:
        who = bench.matrix.identify()
        assert (who.model, who.serial) == ("707B", "77")
        assert bench.grid.switchings == 0
        assert bench.virtual.channels["smua"].times_on == 0
        assert bench.matrix.standing().words == "all open"


def test_what_is_not_on_the_link_is_refused() -> None:
    with pytest.raises(IdentityError, match="no node 5 is on the TSP-Link"), lab(number=5):
        pass
    with pytest.raises(IdentityError, match="stays offline; is the cable plugged in"), lab(joined=False):
        pass
    for number in (1, 65):
        with pytest.raises(ConfigError, match=f"node: asked for {number}; 2 to 64"), lab(number=number):
            pass


@pytest.mark.parametrize(
    "fault", [{"dead": ["1C05"]}, {"welded": ["1A01"]}], ids=["does not close", "does not open"]
)
def test_a_device_whose_relays_are_not_as_asked_is_not_given_a_voltage(fault: dict[str, Any]) -> None:
    with lab(**fault) as bench:
        bench.scan.read(devices(1, 1), 0.1, SOURCING)
        readings = bench.virtual.channels["smua"].readings
        wrong = [(Crosspoint(0, 1), Crosspoint(GROUND, 4))]
        with pytest.raises(SettingError, match=r"closed should be: 1A02, 1C05; the instrument says"):
            bench.scan.read(wrong, 0.1, SOURCING)
        assert bench.virtual.channels["smua"].readings == readings
        assert bench.safe


def test_another_connection_rule_is_refused_before_anything_closes() -> None:
    with lab(rule=2) as bench:
        with pytest.raises(SettingError, match="connectrule was set to 1"):
            bench.scan.read(devices(), 0.1, SOURCING)
        assert bench.highest_v == 0
        assert not bench.grid.closed


def test_a_coerced_setting_of_the_source_is_refused_before_its_output() -> None:
    with lab(smu={"coerced": {"source.limiti": 1e-2}}) as bench:
        with pytest.raises(SettingError, match="limiti was set to"):
            bench.scan.read(devices(), 0.1, SOURCING)
        assert bench.virtual.channels["smua"].times_on == 0
        assert bench.grid.hot_switches == 0


@pytest.mark.parametrize("code", [1114, -350])
@pytest.mark.parametrize("where", ["smu", "matrix"])
def test_errors_of_either_instrument_surface_with_the_line_that_left_them(where: str, code: int) -> None:
    errors = [{"on": "g0=", "code": code, "message": "Injected"}]
    given: Any = {"smu": {"errors": errors}} if where == "smu" else {"errors": errors}
    with lab(**given) as bench:
        with pytest.raises(InstrumentError, match=rf'g0=\w+r\("1A01","1C04"\).*{code} .Injected'):
            bench.scan.read(devices(), 0.1, SOURCING)
        assert bench.safe
        assert not bench.virtual.errors
        assert not bench.node.errors


@pytest.mark.parametrize(
    ("kind", "raised"),
    [("silent", TimeoutError_), ("truncated", TimeoutError_), ("garbage", BenchError),
     ("disconnect-before", DisconnectedError), ("disconnect-after", DisconnectedError)],
)  # fmt: skip
def test_a_line_that_fails_is_told_the_source_is_off_and_the_next_map_is_right(
    kind: Any, raised: type[BenchError]
) -> None:
    with lab(Fault(kind=kind, on="g0=", numbers=[2]), settings=IMPATIENT) as bench:
        with pytest.raises(raised) as caught:
            bench.scan.read(devices(), 0.1, SOURCING)
        assert "made safe: output at 0 V and off, read back" in caught.value.__notes__
        assert bench.safe
        assert bench.matrix.make_safe() == ()
        assert not bench.grid.closed
        found = bench.scan.read(devices(), 0.1, SOURCING)
        np.testing.assert_allclose(
            found.amperes, 0.1 * bench.grid.conductances("main").reshape(-1), rtol=1e-6
        )
        assert bench.grid.hot_switches == 0


def test_a_matrix_that_is_switched_off_is_told_and_not_taken_for_safe() -> None:
    with lab(settings=IMPATIENT) as bench:
        bench.scan.read(devices(), 0.1, SOURCING)
        bench.virtual.unlink(2)
        with pytest.raises(InstrumentError, match=r"-286 .*node\[2\]"):
            bench.scan.read(devices(), 0.1, SOURCING)
        assert bench.safe
        assert bench.matrix.make_safe()


def test_a_map_waits_as_long_as_it_asks_whoever_loaded_the_rest_of_its_settings() -> None:
    longer = Sourcing(SOURCING.compliance_a, SOURCING.integration_s, settle_s=0.01)
    with lab() as bench:
        bench.scan.read(devices(1, 1), 0.1, SOURCING)
        bench.smu.measure(np.array([0.1]), longer)
        before = bench.virtual.seconds
        bench.scan.read(devices(1, 1), 0.1, longer)
        assert bench.virtual.seconds - before >= 0.01


def test_a_function_that_is_gone_is_an_error_and_no_reading() -> None:
    with lab(settings=IMPATIENT) as bench:
        bench.scan.read(devices(), 0.1, SOURCING)
        bench.virtual.receive(f"{bench.smu.session.salt}r=nil".encode())
        with pytest.raises(InstrumentError, match=r"-286 .*attempt to call"):
            bench.scan.read(devices(), 0.1, SOURCING)
        assert bench.safe
        bench.scan.read(devices(), 0.1, SOURCING)


def test_an_output_that_was_switched_off_meanwhile_is_not_a_device_without_current() -> None:
    with lab() as bench:
        bench.scan.read(devices(), 0.1, SOURCING)
        bench.virtual.receive(b"smua.source.output=0")
        with pytest.raises(SettingError, match=r"source\.output was set to"):
            bench.scan.read(devices(), 0.1, SOURCING)


def test_refusals_come_before_anything_is_sent() -> None:
    with lab(forbidden=(Crosspoint(0, 1),)) as bench:
        before = bench.smu.transactions
        for wrong, told in (
            ([(Crosspoint(0, 1), Crosspoint(2, 3))], "the bench forbids it"),
            ([(Crosspoint(0, 0), Crosspoint(2, 99))], "asked for row 2, column 99"),
            ([(Crosspoint(0, 0),)], "two crosspoints; 1 were asked for"),
        ):
            with pytest.raises(LimitError, match=told):
                bench.scan.read([*devices(1, 1), *wrong], 0.1, SOURCING)
        with pytest.raises(LimitError, match="asked for 300 V"):
            bench.scan.read(devices(1, 1), 300.0, SOURCING)
        assert bench.smu.transactions == before


def test_no_line_is_longer_than_600_characters_nor_runs_for_longer_than_a_second() -> None:
    with lab() as bench:
        bench.scan.read(devices(), -0.123456789, Sourcing(1e-3, 20e-3, 1e-3))
        sent = [message.data for message in bench.smu.session.wire.last if message.direction == "sent"]
        assert max(map(len, sent)) <= 600
        before = bench.smu.transactions
        bench.scan.read(devices(), 0.1, Sourcing(1e-3, 0.2))
        assert bench.smu.transactions == before + 4 + len(devices())


def test_a_linked_bench_reads_as_one_with_two_lines_does_in_a_tenth_of_the_transactions() -> None:
    found: list[Any] = []
    for keys in ({}, LINKED):
        with crosspoint_bench(**keys) as bench:
            bench.bench.execute((Read(WHOLE, 0.1, 1e-3),))
            execution = bench.bench.execute((Read(WHOLE, 0.1, 1e-3),))
            found.append((execution.answers[0], execution.cost))
            assert bench.cold
    (apart, cost), (linked, less) = found
    np.testing.assert_array_equal(apart.amperes, linked.amperes)
    assert (cost.reads, less.reads) == (63, 63)
    assert cost.joules == pytest.approx(less.joules)
    assert (cost.transactions, less.transactions) == (126, 11)


@pytest.mark.parametrize(("says", "compliance"), [("flag", 1.2e-5), ("lower", 3e-6)])
def test_a_current_at_the_compliance_is_flagged_or_read_again_lower(says: str, compliance: float) -> None:
    read = {"at_compliance": says, "compliance": compliance}
    with crosspoint_bench(**LINKED, read=read) as bench:
        answer: Any = bench.bench.execute((Read(WHOLE, 0.4, 1e-3),)).answers[0]
        assert answer.clipped.all() == (says == "flag")
        if says == "lower":
            wanted = 0.4 * bench.grid.conductances("main")
            np.testing.assert_allclose(answer.amperes, wanted, rtol=1e-6)


def test_a_bound_of_a_map_is_read_again_at_half_the_voltage_and_not_at_all_of_it() -> None:
    reads: list[int] = []
    for keys in ({}, LINKED):
        with crosspoint_bench(**keys, read={"at_compliance": "lower", "compliance": 3e-6}) as bench:
            reads.append(bench.bench.execute((Read(WHOLE, 0.4, 1e-3),)).cost.reads)
    apart, linked = reads
    assert linked == apart > WHOLE.rows.size * WHOLE.cols.size


def test_a_current_at_the_compliance_stops_a_map_behind_its_transaction() -> None:
    with crosspoint_bench(**LINKED, read={"at_compliance": "stop", "compliance": 1.2e-5}) as bench:
        with pytest.raises(ComplianceError, match=r"columns 0 and 9 .* 1\.2e-05 A at 0\.4 V"):
            bench.bench.execute((Read(WHOLE, 0.4, 1e-3),))
        assert bench.bench.probe.tally()[0].reads == 6
        assert bench.off
        assert bench.cold


def test_a_rehearsal_of_a_linked_bench_counts_its_transactions() -> None:
    settings = crosspoint_settings(**LINKED)
    opened = rehearsal.open(settings, None, 2e-3, 0)
    opened.execute((Read(WHOLE, 0.1, 1e-3),))
    assert opened.execute((Read(WHOLE, 0.1, 1e-3),)).cost.transactions == 11


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"instruments": ("keithley-2450", "keysight-33500", "keithley-700"), **LINKED},
            "2450 does not lead",
        ),
        ({"matrix": {"options": {"node": 2}}}, "is reached by the line of the source-measure unit, smu"),
        ({"matrix": {"resource": "smu"}}, "the same line as smu; each needs its own"),
    ],
)
def test_a_bench_that_cannot_be_linked_so_is_refused_by_its_file(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        crosspoint_settings(**keys)
