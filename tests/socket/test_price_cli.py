"""What `hil price` says, held against what a virtual bench then takes; and the question before a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hil.cli import app
from tests.socket.cli import ROOT, asked, hil, virtual

BENCHES = ROOT / "examples" / "benches"
FREE = {
    "crosspoint": tuple(f"virtual.{role}.port=0" for role in ("smu", "pulser", "matrix")),
    "line": ("virtual.port=0",),
}
# Virtual instruments do not wait while they pulse and integrate: long times are the larger part.
LONG = (
    *(f"{device}.{way}.{time}=20 ms" for device in ("device", "virtual.device")
      for way in ("potentiate", "depress") for time in ("width", "gap")),
    "read.integration=60 ms",
)  # fmt: skip
TRUTH = """\
driver: sim
device:
  {preset: ENODe, initial: uniform, d2d: {step: 0.1},
  potentiate: {amplitude: 1 V, width: 20 ms, gap: 20 ms},
  depress: {amplitude: -1 V, width: 20 ms, gap: 20 ms}}
read: {voltage: 100 mV, integration: 60 ms, noise: 0.005}
"""
IRIS = f"""\
name: small
seed: 1
data: {{name: csv, path: {ROOT / "examples/experiments/iris.csv"}, train: 30, test: 20}}
network: {{layers: [{{outputs: 3, activation: softmax}}]}}
gradient: backprop
update: bidirectional
training: {{epochs: 2, batch: 10, rate: 0.3, evaluations: 2, update_noise_every: 3}}
"""

TRAIN = "train", "iris.yaml", "--bench", "bench.yaml"


@pytest.mark.parametrize("driver", ["crosspoint", "line"])
def test_a_run_takes_exactly_what_its_price_on_a_perfect_twin_said(driver: str, tmp_path: Path) -> None:
    (tmp_path / "iris.yaml").write_text(IRIS)
    ledger = ("program.ledger=doses",) if driver == "crosspoint" else ()
    with virtual(tmp_path, BENCHES / f"{driver}-virtual.yaml", *FREE[driver], *LONG, *ledger):
        done = hil(tmp_path, "train", "iris.yaml", "--bench", "bench.yaml", "--yes", "--no-report", "--json")
        assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)["summary"]
    words = ("price", "iris.yaml", "--bench", "bench.yaml", "--seeds", "1", "--exchange", "0 s", "--json")
    (tmp_path / "twin.yaml").write_text(TRUTH)
    told = hil(tmp_path, *words, "--full", "--twin", "twin.yaml")
    assert told.returncode == 0, told.stderr
    price = json.loads(told.stdout)
    for name in ("transactions", "pulses", "reads", "half_selects", "wear", "accuracy"):
        assert price[name]["mean"] == taken[name], name
    assert price["seconds"]["mean"] == pytest.approx(taken["seconds"], rel=0.1)


@pytest.fixture
def absent(tmp_path: Path) -> Path:
    """A folder with an experiment and a bench whose instruments are not there."""
    (tmp_path / "iris.yaml").write_text(IRIS)
    bench = (BENCHES / "crosspoint-virtual.yaml").read_text()
    for port in (1, 2, 3):
        bench = bench.replace(f"127.0.0.1::4726{port}", f"127.0.0.1::{port}")
    (tmp_path / "bench.yaml").write_text(bench.replace("../../runs/crosspoint-virtual.doses", "doses"))
    return tmp_path


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an experiment and a bench whose instruments are there."""
    folder = tmp_path_factory.mktemp("present")
    (folder / "iris.yaml").write_text(IRIS)
    with virtual(folder, BENCHES / "crosspoint-virtual.yaml", *FREE["crosspoint"], "program.ledger=doses"):
        yield folder


@pytest.mark.parametrize(("answer", "code"), [(b"\n", 2), (None, 130)])
def test_on_a_terminal_a_run_on_instruments_is_asked_about_first(
    answer: bytes | None, code: int, present: Path
) -> None:
    found, said = asked(present, answer, *TRAIN)
    assert found == code
    assert " on the bench, " in said
    assert " transactions, " in said
    assert "not begun; nothing was output" in said
    assert not (present / "runs").exists()
    assert not (present / "doses").exists()


def test_instruments_that_do_not_answer_are_told_instead_of_a_question(absent: Path) -> None:
    found, said = asked(absent, b"y\n", *TRAIN)
    assert found == 4
    assert "start them: hil virtual" in said
    assert "[y/N]" not in said
    assert not (absent / "runs").exists()


def test_without_a_terminal_it_is_not_begun_unless_told_so(
    absent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(absent)
    train = [*TRAIN]
    refused = CliRunner().invoke(app, train)
    assert refused.exit_code == 2
    assert "no terminal to ask at; say --yes" in refused.stderr
    begun = CliRunner().invoke(app, [*train, "--yes"])
    assert begun.exit_code == 4
    assert "start them: hil virtual" in begun.stderr


def test_what_cannot_be_rehearsed_is_said_and_asked_about_all_the_same(present: Path) -> None:
    found, said = asked(present, b"n\n", *TRAIN, "--bench-set", 'virtual.matrix.settings.cards={"1": 7174A}')
    assert found == 2
    assert "no estimate of what it will take: " in said
    assert "it has 0 to 11" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--share", "0"), "--share 0: above 0 and at most 1 is needed"),
        (("--share", "0.5", "--full"), "--share and --full: one of them"),
        (("--exchange", "3"), "--exchange: 3 has no unit"),
        (("--night", "-1 h"), "--night -1 h: a time of 0 or more is needed"),
        (("--twin", "iris.yaml"), "iris.yaml:3: data: this is an experiment file"),
    ],
)
def test_a_wrong_option_is_told(
    words: tuple[str, ...], message: str, absent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(absent)
    refused = CliRunner().invoke(app, ["price", "iris.yaml", "--bench", "bench.yaml", *words])
    assert refused.exit_code == 2
    assert message in refused.stderr
