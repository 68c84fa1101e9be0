"""The driver of array controllers keeps the contract of its kind, over a socket and a pseudo-terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers.array_controller import ArrayController
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.conformance.line_controller import check_line_controller
from hil.instruments import LineController, Shot
from hil.schedule import Pulse
from tests.socket.line_server import line_settings, served

DEVICE = {"preset": "ideal", "initial": "uniform", "levels_up": 100, "levels_down": 100}


@pytest.mark.parametrize("link", ["tcp", "pty"])
def test_the_driver_keeps_the_contract_of_array_controllers(link: str) -> None:
    settings = line_settings(device=DEVICE, virtual={"link": link, "read": {"noise": 1e-5}})

    @contextmanager
    def fresh() -> Iterator[LineController]:
        with served(settings) as there:
            controller = ArrayController(open_session(there.resource, TransportSettings(quiet=0.005)))
            try:
                controller.attach()
                yield controller
            finally:
                controller.close()

    shot = Shot([1, 4, 8], [0, 2, 5], Pulse(2.0, 1e-7, 3e-7), 5)
    skipped = check_line_controller(fresh, volts=0.1, integration_s=1e-5, shot=shot, back=Pulse(-2.0, 1e-7))
    assert not skipped
