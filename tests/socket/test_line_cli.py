"""`hil virtual` in a process of its own, and `hil train` on what it serves, as people do."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from drivers.array_controller import ArrayController
from drivers.line import driver
from drivers.line.settings import LineBenchSettings
from drivers.transport.session import open_session
from hil.config.validate import validate
from hil.config.yaml import load_yaml
from tests.socket.cli import ROOT, hil, virtual

BENCH = ROOT / "examples" / "benches" / "line-virtual.yaml"
EXPERIMENT = """\
name: small
seed: 1
data: {name: mnist-5k, pixels: 7, train: 120, test: 100}
network: {layers: [{outputs: 10, activation: softmax}]}
gradient: backprop
update: bidirectional
training: {epochs: 1, batch: 10, rate: 0.5, evaluations: 1, update_noise_every: 0}
initial: {kind: keep}
"""


def connected(folder: Path) -> ArrayController:
    settings = validate(driver.settings, load_yaml(folder / "bench.yaml"))
    assert isinstance(settings, LineBenchSettings)
    controller = ArrayController(open_session(settings.controller.resource, settings.controller.transport))
    controller.attach()
    return controller


@pytest.mark.parametrize(("link", "runs"), [("tcp", 2), ("pty", 1)])
def test_a_network_trains_from_the_command_line_and_the_devices_outlive_the_run(
    link: str, runs: int, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(EXPERIMENT)
    pulses = 0
    with virtual(tmp_path, BENCH, "virtual.port=0", f"virtual.link={link}", "virtual.device.initial=g_min"):
        for _ in range(runs):
            done = hil(tmp_path, "train", "small.yaml", "--bench", "bench.yaml", "--yes", "--json")
            assert done.returncode == 0, done.stderr
            run = json.loads(done.stdout)
            assert run["status"] == "finished"
            assert Path(tmp_path, run["report"]).exists()
            pulses += run["summary"]["pulses"]
            controller = connected(tmp_path)
            assert controller.totals()["pulses"] == pulses > 0
            each = controller.pulses(np.arange(256), np.arange(64))
            assert int(each.sum()) == pulses
            assert controller.state().out == 0
            controller.close()
            assert run["summary"]["accuracy"] > 0.25


def test_a_bench_without_virtual_instruments_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sim.yaml").write_text("driver: sim\n")
    done = hil(tmp_path, "virtual", "sim.yaml")
    assert done.returncode == 2
    assert "sim.yaml:1: driver: no virtual instruments for 'sim'; " in done.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"virtual.port={taken.getsockname()[1]}"
        done = hil(tmp_path, "virtual", str(BENCH), "--bench-set", port)
    assert done.returncode == 2
    assert "virtual: " in done.stderr
    assert "address already in use; does another hil virtual serve this bench?" in done.stderr
