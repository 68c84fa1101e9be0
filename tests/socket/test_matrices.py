"""All matrix drivers against their virtual instruments over sockets and pseudo-terminals, faults included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from drivers.instruments.keithley_700 import Keithley700
from drivers.instruments.keithley_3700 import Keithley3700
from drivers.instruments.keysight_b2200 import KeysightB2200
from drivers.instruments.matrix import RelayMatrix
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.faults import Fault, FaultKind
from drivers.sim.virtual.grid import DeviceGrid, Lines
from drivers.sim.virtual.keithley_700 import Keithley700 as Virtual700
from drivers.sim.virtual.keithley_700 import Virtual700Settings
from drivers.sim.virtual.server import Carrier, Outlet, serving
from drivers.transport.session import open_session
from hil.conformance.instruments import check_matrix
from hil.errors import (
    BenchError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    LimitError,
    SettingError,
    TimeoutError_,
)
from hil.instruments import Crosspoint, SwitchMatrix
from tests.socket.behind import Behind
from tests.socket.matrix_lab import (
    FAMILIES,
    FAMILY,
    IMPATIENT,
    ONE_OF_EACH,
    OTHERS,
    QUICK,
    SCPI,
    SOME,
    TSP,
    TWO_CARDS,
    Build,
    Family,
    Wires,
    lab,
)


@pytest.fixture
def build() -> Iterator[Build]:
    with ExitStack() as stack:
        yield lambda *given, **more: stack.enter_context(lab(*given, **more))


@pytest.mark.parametrize("link", ["tcp", "pty"])
@pytest.mark.parametrize("family", FAMILY)
def test_the_driver_conforms(family: Family, link: Carrier) -> None:
    @contextmanager
    def matrix() -> Iterator[SwitchMatrix]:
        with lab(family, link=link) as bench:
            assert isinstance(bench.matrix, SwitchMatrix)
            yield bench.matrix

    assert not check_matrix(matrix, closed=SOME)


@pytest.mark.parametrize("family", FAMILY)
def test_attaching_and_identifying_switch_nothing(family: Family, build: Build) -> None:
    bench = build(family, forbidden=(Crosspoint(0, 0),))
    who = bench.matrix.identify()
    assert who.model.split("-")[0] in FAMILIES
    assert bench.matrix.shape == family.shape
    assert bench.wires.steps == []


@pytest.mark.parametrize("family", FAMILY)
def test_what_is_not_among_them_opens_before_anything_closes(family: Family, build: Build) -> None:
    bench = build(family)
    bench.matrix.connect(SOME)
    assert bench.wires.closed == set(SOME)
    bench.wires.steps.clear()
    bench.matrix.connect(OTHERS)
    kept = frozenset(SOME) & frozenset(OTHERS)
    assert [step for step in bench.wires.steps if step != set(SOME)] == [kept, frozenset(OTHERS)]


@pytest.mark.parametrize("family", FAMILY)
def test_a_switching_costs_one_transaction_once_the_rules_are_loaded(family: Family, build: Build) -> None:
    bench = build(family)
    bench.matrix.connect(SOME)
    before = bench.matrix.transactions
    bench.matrix.connect(OTHERS)
    bench.matrix.connect(())
    assert bench.matrix.transactions == before + 2


@pytest.mark.parametrize("family", TWO_CARDS)
def test_columns_are_counted_on_over_the_cards(family: Family, build: Build) -> None:
    bench = build(family, cards=family.two_cards)
    rows, columns = family.shape
    assert bench.matrix.shape == (rows, 2 * columns)
    last = Crosspoint(rows - 1, 2 * columns - 1)
    bench.matrix.connect([last, Crosspoint(0, columns)])
    assert bench.wires.closed == {last, (0, columns)}


@pytest.mark.parametrize("family", FAMILY)
def test_a_forbidden_crosspoint_is_refused_and_by_the_instrument_too_if_it_can(
    family: Family, build: Build
) -> None:
    bench = build(family, forbidden=(SOME[0],))
    bench.matrix.connect((SOME[1],))
    before = bench.matrix.transactions
    with pytest.raises(LimitError, match="row 0, column 4; the bench forbids it"):
        bench.matrix.connect(SOME)
    assert bench.matrix.transactions == before
    assert bench.wires.closed == {SOME[1]}
    if family.tsp:
        assert bench.virtual.forbidden == {family.names[0]}


@pytest.mark.parametrize("family", FAMILY)
def test_forbidding_what_is_not_there_is_refused(family: Family) -> None:
    with (
        pytest.raises(IdentityError, match=r"no crosspoint \(99, 0\)"),
        lab(family, forbidden=(Crosspoint(99, 0),)),
    ):
        pass


@pytest.mark.parametrize("family", FAMILY)
@pytest.mark.parametrize("wrong", ["welded", "dead"])
def test_a_relay_that_does_not_follow_is_found_and_all_is_opened(
    family: Family, wrong: str, build: Build
) -> None:
    bench = build(family, **{wrong: [family.names[0]]})
    if wrong == "welded":
        bench.matrix.connect(SOME)
    said = family.names[0] if wrong == "welded" else f"the instrument says: {family.names[1]}"
    with pytest.raises(SettingError, match=said) as told:
        bench.matrix.connect((SOME[1],) if wrong == "welded" else SOME)
    left = {SOME[0]} if wrong == "welded" else set[Crosspoint]()
    assert bench.wires.closed == left
    assert (f"{family.names[0]} are still closed" in told.value.__notes__[0]) == (wrong == "welded")


@pytest.mark.parametrize("family", TSP)
def test_a_relay_closed_behind_the_driver_s_back_opens_first(family: Family, build: Build) -> None:
    bench = build(family)
    bench.virtual.receive(b'channel.close("' + family.names[1].encode() + b'")')
    assert bench.wires.closed == {SOME[1]}
    bench.matrix.connect((SOME[0],))
    assert bench.wires.steps[1] == frozenset()
    assert bench.wires.closed == {SOME[0]}


@pytest.mark.parametrize("family", FAMILY)
@pytest.mark.parametrize(("code", "times"), [(1115, 1), (-286, 3), (-350, 1), (2200, 60)])
def test_errors_of_the_queue_surface_with_the_command_and_all_is_opened(
    family: Family, code: int, times: int, build: Build
) -> None:
    broke = InjectedError(on=family.switching, code=code, message="it broke", times=times)
    bench = build(family, errors=[broke])
    with pytest.raises(InstrumentError) as caught:
        bench.matrix.connect(SOME)
    assert caught.value.code == code
    assert family.switching in str(caught.value)
    assert "it broke" in str(caught.value)
    assert ("-350" in str(caught.value)) == (code == -350 or times > 50)
    assert len(bench.errors) == 0
    assert bench.wires.closed == set()
    assert caught.value.__notes__ == ["made safe: all open, read back"]


@pytest.mark.parametrize("family", TSP)
def test_another_connection_rule_or_a_list_of_the_forbidden_that_is_not_taken_is_found(
    family: Family, build: Build
) -> None:
    for given, said in (({"rule": 2}, "connectrule"), ({"deaf": True, "forbidden": (SOME[1],)}, "forbidden")):
        bench = build(family, **given)
        with pytest.raises(SettingError, match=said):
            bench.matrix.connect((SOME[0],))
        assert bench.wires.closed == set()
        assert frozenset({SOME[0]}) not in bench.wires.steps


@pytest.mark.parametrize("family", SCPI)
@pytest.mark.parametrize("sticking", [{"RULE": "SROU"}, {"BIAS": "1"}, {"COUP": "1"}])
def test_a_mode_that_closes_what_nobody_asked_for_is_found(
    family: Family, sticking: dict[str, str], build: Build
) -> None:
    bench = build(family, sticking=sticking)
    with pytest.raises(SettingError, match=f"{next(iter(sticking))} was set to"):
        bench.matrix.connect((SOME[0],))
    assert SOME[0] not in bench.wires.closed


@pytest.mark.parametrize("family", SCPI)
def test_a_bias_mode_left_on_is_switched_off_before_anything_is_closed(family: Family, build: Build) -> None:
    bench = build(family, bias=True)
    bench.matrix.connect(SOME)
    assert bench.wires.closed == set(SOME)


@pytest.mark.parametrize("family", SCPI)
def test_a_relay_closed_behind_the_driver_s_back_is_no_setting(family: Family, build: Build) -> None:
    bench = build(family)
    bench.matrix.connect((SOME[0],))
    bench.virtual.receive(f":ROUT:CLOS (@{family.names[1]})".encode())
    with pytest.raises(SettingError, match=family.names[1]):
        bench.matrix.connect((SOME[0],))
    assert bench.wires.closed == set()
    bench.matrix.connect(OTHERS)
    assert bench.wires.closed == set(OTHERS)


@pytest.mark.parametrize("family", FAMILY)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"serial": "999"}, r"serial number \d+ answers; the bench names 999"),
        ({"cards": {}}, "no matrix card"),
        ({"cards": "stranger"}, "slot 1 holds .*; cards known are"),
    ],
)
def test_the_wrong_instrument_is_refused(family: Family, given: dict[str, Any], message: str) -> None:
    if given.get("cards"):
        given = {"cards": {1: family.stranger}}
    with pytest.raises(IdentityError, match=message), lab(family, **given):
        pass


@pytest.mark.parametrize("family", TSP)
def test_prompts_are_refused(family: Family) -> None:
    with pytest.raises((IdentityError, DesyncError)), lab(family, prompts=True):
        pass


@pytest.mark.parametrize(
    ("name", "driver", "needed"),
    [
        ("3706A", Keithley700, "a Keithley 707B or 708B"),
        ("708B", KeysightB2200, "B2200A"),
        ("707B", Keithley3700, "a Keithley 3706A"),
    ],
)
def test_a_matrix_of_another_series_is_refused(name: str, driver: type[RelayMatrix], needed: str) -> None:
    crossed = FAMILIES[name]._replace(driver=driver)
    with pytest.raises(IdentityError, match=f"answers; .*{needed}.* is needed"), lab(crossed):
        pass


@pytest.mark.parametrize(
    ("card", "name"), [("3732", "14428"), ("3732 dual 4x56", "12456"), ("3732 single 4x112", "114B2")]
)
def test_the_banks_of_a_3732_stand_in_a_row(card: str, name: str, build: Build) -> None:
    bench = build(FAMILIES["3706A"], cards={1: card})
    assert bench.matrix.shape == (4, 112)
    bench.matrix.connect([Crosspoint(3, 111)])
    assert bench.wires.closed == {(3, 111)}
    assert bench.virtual.closed == {name}


def test_the_matrix_wires_a_device_to_its_instruments() -> None:
    wiring = {"main": Lines(np.arange(3), np.arange(3, 5))}
    grid = DeviceGrid(SimBench(SimSettings(), {"main": (3, 2)}, seed=1), wiring, ground=2)
    outlet = Outlet(Virtual700(Virtual700Settings(), grid))
    with serving([outlet]), open_session(outlet.resource, QUICK) as session:
        matrix = Keithley700(session)
        matrix.attach()
        matrix.connect([Crosspoint(0, 1), Crosspoint(2, 3)])
        (device,) = grid.between(0)
        matrix.connect([Crosspoint(0, 4), Crosspoint(2, 0)])
    assert (device[0].rows, device[0].cols) == (1, 0)
    assert grid.broke_before_make
    assert grid.hot_switches == 0


KINDS: tuple[FaultKind, ...] = (
    "silent", "late", "late-next", "truncated", "cut-line", "garbage", "nul", "bad-utf8", "separator",
    "extra-line", "huge", "disconnect-before", "disconnect-within", "disconnect-after",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ONE_OF_EACH)
def test_after_any_fault_in_a_switching_all_is_open_and_the_next_one_is_right(
    family: Family, kind: FaultKind, build: Build
) -> None:
    fault = Fault(kind=kind, on=family.switching, numbers=[2], delay=0.6)
    bench = build(family, fault, settings=IMPATIENT)
    bench.matrix.connect(SOME)
    asked = OTHERS
    if kind == "extra-line":  # the answer itself is whole; the line behind it is found by the next command
        bench.matrix.connect(OTHERS)
        asked = SOME
    with pytest.raises(BenchError) as caught:
        bench.matrix.connect(asked)
    assert isinstance(caught.value, TimeoutError_ | DesyncError | DisconnectedError)
    assert caught.value.__notes__ == ["made safe: all open, read back"]
    assert bench.wires.closed == set()
    bench.matrix.connect(SOME)
    assert bench.wires.closed == set(SOME)


@pytest.mark.parametrize("family", FAMILY)
def test_a_line_that_the_instrument_cannot_parse_is_an_instrument_error_not_a_time_out(
    family: Family, build: Build
) -> None:
    bench = build(family, broken=family.switching, settings=IMPATIENT)
    with pytest.raises(InstrumentError, match=family.unparsed) as caught:
        bench.matrix.connect(SOME)
    assert isinstance(caught.value.__cause__, TimeoutError_)


@pytest.mark.parametrize("family", FAMILY)
def test_make_safe_reports_what_it_could_not_verify_and_never_raises(family: Family) -> None:
    outlet = Outlet(family.virtual({}, Wires()))
    with serving([outlet]):
        session = open_session(outlet.resource, QUICK, role="matrix")
        matrix = family.driver(session)
        matrix.attach()
        matrix.connect(SOME)
        assert matrix.make_safe() == matrix.make_safe() == ()
    assert "does not answer" in matrix.make_safe()[0]
    session.close()
    assert matrix.make_safe()


@pytest.mark.parametrize("family", FAMILY)
def test_old_answers_to_who_is_there_are_found_out(family: Family) -> None:
    talker = Behind(family.virtual({}, Wires()))
    outlet, once = Outlet(talker), QUICK.model_copy(update={"attempts": 1})
    with serving([outlet]), open_session(outlet.resource, once, role="matrix") as session:
        matrix = family.driver(session)
        matrix.attach()
        talker.lags = True
        with pytest.raises(DesyncError):
            matrix.attach()
        talker.first.clear()
        matrix.attach()
        matrix.connect(SOME)
