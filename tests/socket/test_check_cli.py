"""`hil check` on virtual instruments: all is well, or it is said what is wrong, where, and what to do."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from drivers.array_controller import ArrayController
from drivers.crosspoint.roles import ROLES
from drivers.crosspoint.virtual import virtual_grid, virtual_outlets
from drivers.sim.virtual.grid import DeviceGrid
from drivers.sim.virtual.server import serving
from drivers.transport.session import open_session
from hil import setup
from hil.cli import app
from hil.lock import FOLDER, LineLocks
from hil.region import Region
from hil.schedule import Read
from tests.socket.line_server import Served, line_settings, served

LINE = """\
driver: line
controller:
  resource: {}
  transport: {{timeout: 1 s, quiet: 5 ms, retry: 10 ms, open_timeout: 1 s}}
arrays: {{main: {{rows: 0-8, cols: 0-6}}}}
device: ideal
virtual: {{}}
"""
CROSSPOINT = """\
driver: crosspoint
smu: {driver: keithley-2600, resource: SMU, transport: {timeout: 1 s, quiet: 5 ms, retry: 10 ms}}
pulser: {driver: keysight-33500, resource: PULSER, transport: {timeout: 1 s, quiet: 5 ms, retry: 10 ms}}
matrix: {driver: keithley-700, resource: MATRIX, transport: {timeout: 1 s, quiet: 5 ms, retry: 10 ms}}
buses: {smu: A, pulser: B, ground: C}
arrays: {main: {rows: 0-8, cols: 9-15}}
device:
  potentiate: {amplitude: 1 V, width: 1 us, gap: 1 us}
  depress: {amplitude: -1 V, width: 1 us, gap: 1 us}
virtual:
  pulser: {settings: {model: 33522B}}
  matrix: {settings: {cards: {"1": 7174A, "2": 7174A}}}
"""


def check(*words: str, code: int = 0, command: str = "check") -> Result:
    result = CliRunner().invoke(app, [command, *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER, str(tmp_path / "locks"))


@pytest.fixture
def board() -> Generator[Served]:
    """A virtual board, and bench.yaml that finds it."""
    with served(line_settings()) as there:
        Path("bench.yaml").write_text(LINE.format(f'"{there.resource}"'))
        yield there


@pytest.fixture
def lab() -> Generator[DeviceGrid]:
    """Virtual instruments, and bench.yaml that finds them."""
    Path("bench.yaml").write_text(CROSSPOINT)
    settings: Any = setup.load_bench(Path("bench.yaml"))[0]
    grid = virtual_grid(settings)
    outlets = virtual_outlets(settings, grid)
    with serving(list(outlets.values())):
        for role in ROLES:
            change(role.upper(), f'"{outlets[role].resource}"')
        yield grid


def change(old: str, new: str) -> None:
    text = Path("bench.yaml").read_text()
    assert old in text
    Path("bench.yaml").write_text(text.replace(old, new))


def resource(role: str) -> str:
    settings, _ = setup.load_bench(Path("bench.yaml"))
    return next(each.name for each in settings.resources if each.role == role)


def test_a_board_that_is_as_its_file_says_is_shown_and_nothing_of_it_changes(board: Served) -> None:
    before = board.controller.board.limits
    shown = check("bench.yaml").stdout
    for text in (board.resource, "V0001", "array controller protocol 1", "9 x 7 lines", "idle, outputs off"):
        assert text in shown
    assert "bench.yaml: 1 of 1 as the file says" in shown
    assert board.controller.board.limits == before
    with open_session(board.resource) as session:
        assert ArrayController(session).totals()["programs"] == 0


def test_a_check_is_one_json_document(lab: DeviceGrid) -> None:
    found = json.loads(check("bench.yaml", "--json").stdout)
    assert [each["role"] for each in found["instruments"]] == list(ROLES)
    assert all(each["ok"] and each["errors"] == [] for each in found["instruments"])
    smu, _, matrix = found["instruments"]
    assert smu["identity"]["language"] == "TSP"
    assert smu["limits"] == "allows 100 mV, 1 mA, 20 ms"
    assert matrix["limits"] == "8 rows x 24 columns"
    assert 0 < smu["round_trip_s"] < 1
    assert not any(lab.volts.values())
    assert lab.hot_switches == 0


def test_an_output_that_is_on_and_relays_that_are_closed_are_warned_of_and_stay_so(lab: DeviceGrid) -> None:
    before = check("bench.yaml")
    for text in ("output off", "all open"):
        assert text in before.stdout
    assert "warning" not in before.stdout
    left = {
        "smu": "smua.source.levelv=0.1 smua.source.output=1",
        "pulser": ":OUTP1 1",
        "matrix": 'channel.close("1A01,1C05,1C06,1C07,1C08")',
    }
    for role, text in left.items():
        with open_session(resource(role)) as session:
            session.write(text)
            session.query("*IDN?")
    closed, volts = lab.closed, dict(lab.volts)
    shown = check("bench.yaml").stdout
    told = "warning: bench.yaml:{}: {}.resource: {}: no run of this bench is under way, so find out who left"
    for line, role, words in (
        (2, "smu", "output on at 100 mV"),
        (3, "pulser", "output on, pulses from -50 mV to 50 mV"),
        (4, "matrix", "5 closed: 1A01, 1C05, 1C06, 1C07, …"),
    ):
        assert told.format(line, role, words) in shown
    assert "3 of 3 as the file says" in shown
    assert (lab.closed, lab.volts) == (closed, volts)
    found = json.loads(check("bench.yaml", "--json").stdout)["instruments"]
    assert found[0]["state"] == "output on at 100 mV"
    assert all(each["ok"] and len(each["warnings"]) == 1 for each in found)


def test_a_run_makes_safe_what_was_left_on_before_its_first_relay_switches(lab: DeviceGrid) -> None:
    with open_session(resource("smu")) as session:
        session.write("smua.source.levelv=0.1 smua.source.output=1")
        session.query("*IDN?")
    assert any(lab.volts.values())
    settings, _ = setup.load_bench(Path("bench.yaml"))
    with setup.open_bench(settings) as opened:
        assert any(lab.volts.values())  # connecting changes nothing
        region = Region("main", np.array([0]), np.array([0]))
        opened.execute((Read(region, 0.1, 20e-3),))
    assert lab.hot_switches == 0
    assert lab.switchings > 0


def left_on(lab: DeviceGrid) -> None:
    left = {"smu": "smua.source.levelv=0.1 smua.source.output=1", "matrix": 'channel.close("1A01,1C05")'}
    for role, text in left.items():
        with open_session(resource(role)) as session:
            session.write(text)
            session.query("*IDN?")
    assert any(lab.volts.values())
    assert lab.closed


def test_what_was_left_on_is_made_safe_sources_first(lab: DeviceGrid) -> None:
    left_on(lab)
    lab.hot_switches = 0
    shown = check("bench.yaml", command="safe").stdout
    assert shown.count("safe, read back") == 3
    assert "bench.yaml: 3 of 3 are safe" in shown
    assert not any(lab.volts.values())
    assert not lab.closed
    assert lab.hot_switches == 0
    assert "warning" not in check("bench.yaml").stdout
    found = json.loads(check("bench.yaml", "--json", command="safe").stdout)
    assert [each["ok"] for each in found["instruments"]] == [True] * 3


def test_one_that_is_not_there_keeps_no_other_from_being_made_safe(lab: DeviceGrid) -> None:
    left_on(lab)
    change(resource("pulser"), "TCPIP::127.0.0.1::1::SOCKET")
    shown = check("bench.yaml", code=4, command="safe").stdout
    assert "pulser  TCPIP::127.0.0.1::1::SOCKET  NOT VERIFIED SAFE" in shown
    assert "bench.yaml:3: pulser.resource: connect: TCPIP::127.0.0.1::1::SOCKET does not answer" in shown
    assert "2 of 3 are safe" in shown
    assert not any(lab.volts.values())
    assert not lab.closed


def test_another_instrument_than_the_file_names_is_left_alone(lab: DeviceGrid) -> None:
    left_on(lab)
    change("smu: {driver", 'smu: {serial: "77", driver')
    assert "answers; the bench names 77" in check("bench.yaml", code=4, command="safe").stdout
    assert any(lab.volts.values())


def test_a_board_is_stopped(board: Served) -> None:
    shown = check("bench.yaml", command="safe").stdout
    assert f"controller  {board.resource}  safe, read back" in shown
    Path("bench.yaml").write_text("driver: sim\n")
    assert "driver sim connects to no instrument" in check("bench.yaml", command="safe").stdout


def test_every_instrument_is_checked_although_others_fail(lab: DeviceGrid) -> None:
    change(resource("smu"), "TCPIP::127.0.0.1::1::SOCKET")
    change("matrix: {driver", 'matrix: {serial: "77", driver')
    shown = check("bench.yaml", code=4).stdout
    assert "bench.yaml:2: smu.resource: connect: TCPIP::127.0.0.1::1::SOCKET does not answer" in shown
    assert "start them: hil virtual bench.yaml\n" in shown
    assert "bench.yaml:4: matrix.resource: serial number" in shown
    assert "answers; the bench names 77; correct the file, or connect the instrument that it names" in shown
    assert "33522B" in shown
    assert "1 of 3 as the file says" in shown


def test_errors_in_a_queue_are_told_once(lab: DeviceGrid) -> None:
    with open_session(resource("pulser")) as session:
        session.write(":NO:SUCH 1")
    shown = check("bench.yaml", code=4).stdout
    assert "pulser.resource: errors of earlier commands were in its queue: -113 Undefined header" in shown
    assert "3 of 3" in check("bench.yaml").stdout


def test_errors_that_making_safe_takes_out_of_a_queue_are_told(lab: DeviceGrid) -> None:
    for _ in range(2):
        with open_session(resource("pulser")) as session:
            session.write(":NO:SUCH 1")
        shown = check("bench.yaml", command="safe").stdout
        assert (
            "errors of earlier commands were in its queue, and are taken out: -113 Undefined header" in shown
        )
        assert "3 of 3 are safe" in shown
    with open_session(resource("pulser")) as session:
        session.write(":NO:SUCH 1")
    found = json.loads(check("bench.yaml", "--json", command="safe").stdout)["instruments"]
    assert [len(each["errors"]) for each in found] == [0, 1, 0]
    assert "3 of 3" in check("bench.yaml").stdout


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("ground: C", "ground: J", "buses.ground: asked for row 9 of the matrix; it has 0 to 7"),
        ("cols: 9-15", "cols: 9-30", "arrays.main.cols: asked for column 30 of the matrix; it has 0 to 23"),
        ("amplitude: 1 V", "amplitude: 99 V", "device.potentiate: pulser: amplitude: asked for 99 V"),
        ("buses:", "read: {compliance: 99 A}\nbuses:", "read: smu: compliance: asked for 99 A"),
    ],
)
def test_what_an_instrument_would_refuse_of_the_file_is_told_with_its_line(
    old: str, new: str, problem: str, lab: DeviceGrid
) -> None:
    change(old, new)
    assert problem in check("bench.yaml", code=4).stdout


def test_what_a_board_would_refuse_of_the_file_is_told_with_its_line(board: Served) -> None:
    change("rows: 0-8", "rows: 0-20")
    change("device: ideal", "device: ideal\nread: {voltage: 20 V}")
    shown = check("bench.yaml", code=4).stdout
    assert "bench.yaml:5: arrays.main.rows: asked for channel 20; there are 0 to 8" in shown
    assert "controller.resource: volts on any array: asked for 20 V; the board allows 10 V" in shown


def test_a_board_that_serves_another_host_says_so_and_hil_opens_nothing(board: Served) -> None:
    with open_session(board.resource) as session:
        ArrayController(session).identify()
        told = f"bench.yaml:3: controller.resource: {board.resource} is in use by another host; the board"
        assert told in check("bench.yaml", code=4).stdout
        trained = CliRunner().invoke(app, ["train", "--bench", "bench.yaml", "--yes"])
        assert trained.exit_code == 4
        assert trained.stderr.endswith("silent for the board's watchdog time\n")
        assert f"error: {told}" in trained.stderr
    assert "1 of 1" in check("bench.yaml").stdout


def test_an_instrument_that_another_process_has_is_not_touched(lab: DeviceGrid) -> None:
    other = LineLocks()
    settings, _ = setup.load_bench(Path("bench.yaml"))
    assert other.take(settings.resources[0].line) is None
    shown = check("bench.yaml", code=4).stdout
    assert "bench.yaml:2: smu.resource: TCPIP" in shown
    assert "is in use by " in shown
    assert "2 of 3" in shown
    other.release()
    assert "3 of 3" in check("bench.yaml").stdout


def test_who_listens_and_never_answers_is_told_from_who_is_not_there(board: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        change(board.resource, f"TCPIP::127.0.0.1::{deaf.getsockname()[1]}::SOCKET")
        change("{timeout: 1 s", "{timeout: 20 ms, attempts: 1")
        shown = check("bench.yaml", code=4).stdout
    assert "controller.resource: " in shown
    assert "no answer within 0.02 s" in shown
    assert "not in local mode?; is another program connected to it?" in shown


def test_a_run_on_instruments_that_are_not_there_says_where_and_how_to_start_virtual_ones(
    board: Served,
) -> None:
    change(board.resource, "TCPIP::127.0.0.1::1::SOCKET")
    refused = CliRunner().invoke(app, ["train", "--bench", "bench.yaml", "--yes"])
    assert refused.exit_code == 4
    assert "error: bench.yaml:3: controller.resource: connect: TCPIP::127.0.0.1::1::SOCKET" in refused.stderr
    assert refused.stderr.endswith("start them: hil virtual bench.yaml\n")
    change("virtual: {}\n", "")
    refused = CliRunner().invoke(app, ["train", "--bench", "bench.yaml", "--yes"])
    assert refused.stderr.endswith("is it powered and connected, and its address right?\n")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_simulated_bench_has_no_instruments_to_check(words: tuple[str, ...]) -> None:
    Path("bench.yaml").write_text("driver: sim\n")
    shown = check("bench.yaml", *words).stdout
    if words:
        assert json.loads(shown)["instruments"] == []
    else:
        assert shown == "bench.yaml: driver sim connects to no instrument; there is none to check\n"


def test_a_wrong_file_is_told_from_a_wrong_bench(board: Served) -> None:
    change("driver: line", "driver: line\nnames: x")
    result = check("bench.yaml", code=2)
    assert "bench.yaml:2: names: unknown key 'names'" in result.stderr


@pytest.mark.parametrize("driver", ["sim", "line", "crosspoint"])
def test_limits_that_forbid_the_benchs_own_pulses_or_reading_are_told_with_their_line(
    driver: str, board: Served
) -> None:
    texts = {"sim": "driver: sim\n", "line": Path("bench.yaml").read_text(), "crosspoint": CROSSPOINT}
    text = texts[driver]
    limits = "{program: 0.9 V, read: 50 mV, shortest: 1 ns, longest: 50 ns}"
    Path("bench.yaml").write_text(text + f"limits: {limits}\n")
    line = 1 + text.count("\n")
    shown = check("bench.yaml", code=4).stdout
    where = f"bench.yaml:{line}: limits"
    assert f"{where}.program: asked for 900 mV; the potentiating pulse of the typical device is 1 V" in shown
    assert f"{where}.read: asked for 50 mV; the typical device is read at 100 mV" in shown
    assert f"{where}.longest: asked for 50 ns; the depressing pulse of the typical device" in shown
    assert "limits.shortest" not in shown
    found = json.loads(check("bench.yaml", "--json", code=4).stdout)
    assert len(found["problems"]) == 5
    refused = CliRunner().invoke(app, ["train", "--bench", "bench.yaml", "--yes"])
    assert refused.exit_code != 0


def test_pulses_of_one_polarity_are_warned_of_unless_the_preset_is_unipolar(board: Served) -> None:
    pulses = "potentiate: {amplitude: 1 V, width: 1 us}, depress: {amplitude: 500 mV, width: 1 us}"
    told = "warning: bench.yaml:6: device.depress: both pulses have one polarity (1 V and 500 mV): right for"
    change("device: ideal", f"device: {{{pulses}}}")
    assert told in check("bench.yaml").stdout
    warned = json.loads(check("bench.yaml", "--json").stdout)["warnings"]
    with setup.open_bench(setup.load_bench(Path("bench.yaml"))[0]) as opened:
        assert list(opened.doubts) == warned
    change("device: {", "device: {preset: GST_PCM, ")
    assert json.loads(check("bench.yaml", "--json").stdout)["warnings"] == []
