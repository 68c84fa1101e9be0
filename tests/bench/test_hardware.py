"""The conformance suites on a bench that is there: ``pytest tests/bench --bench FILE [--wear] -n 0``.

Without --wear nothing reaches a device: the relays of a crosspoint bench stay open while its sources are
tried, and a board is only asked. The file's limits hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.array_controller import ArrayController
from drivers.crosspoint.roles import Role
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.line.settings import LineBenchSettings
from drivers.sim.models import sheet
from drivers.sim.settings import ReadSettings
from drivers.transport.session import open_session
from drivers.wiring import channel_list
from hil import setup
from hil.bench import Bench
from hil.config.bench import BenchSettings
from hil.conformance import check_bench
from hil.conformance.instruments import check_matrix, check_pulser, check_smu
from hil.instruments import Crosspoint, Sourcing


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> BenchSettings:
    file: Path | None = request.config.getoption("--bench")
    if file is None:
        pytest.skip("no --bench FILE: no hardware is touched")
    return setup.load_bench(file)[0]


@contextmanager
def attached(settings: CrosspointBenchSettings, role: Role) -> Iterator[Any]:
    """One instrument, safe before and after."""
    wanted = settings.instruments[role]
    with open_session(wanted.resource, wanted.transport, role=role) as session:
        instrument = wanted.make(role, session)
        instrument.attach()
        assert not instrument.make_safe()
        try:
            yield instrument
        finally:
            instrument.make_safe()


@pytest.mark.parametrize("role", ["smu", "pulser", "matrix"])
def test_an_instrument_keeps_its_contract(settings: BenchSettings, role: Role) -> None:
    if not isinstance(settings, CrosspointBenchSettings):
        pytest.skip("no crosspoint bench")
    read, buses = settings.read, settings.buses
    with attached(settings, "matrix"):  # all relays open: what the sources put out reaches nothing
        if role == "smu":
            sourcing = Sourcing(read.compliance, read.integration, read.settle)
            check_smu(lambda: attached(settings, "smu"), volts=read.voltage, sourcing=sourcing)
        elif role == "pulser":
            typical = sheet(settings.device, ReadSettings(voltage=read.voltage, integration=read.integration))
            check_pulser(lambda: attached(settings, "pulser"), pulse=typical.potentiate)
    if role == "matrix":
        wiring = next(iter(settings.arrays.values()))
        closed = [
            Crosspoint(buses.smu, channel_list(wiring.rows)[0]),
            Crosspoint(buses.ground, channel_list(wiring.cols)[0]),
        ]
        check_matrix(lambda: attached(settings, "matrix"), closed=closed)


def test_a_board_says_who_it_is_and_is_safe(settings: BenchSettings) -> None:
    if not isinstance(settings, LineBenchSettings):
        pytest.skip("no line bench")
    board = settings.controller
    with open_session(board.resource, board.transport, role="controller") as session:
        controller = ArrayController(session, board.serial)
        controller.attach()
        assert controller.identify() == controller.identify()
        assert not controller.make_safe()
        assert controller.state().out == 0


def test_the_bench_keeps_its_contract(settings: BenchSettings, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--wear"):
        pytest.skip("no --wear: devices are not pulsed")

    @contextmanager
    def fresh() -> Iterator[Bench]:
        opened = setup.open_bench(settings)
        try:
            yield opened
        finally:
            opened.close()

    check_bench(fresh, rtol=1e-3, most_pulses=20, overdrive=1)
