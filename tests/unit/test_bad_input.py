"""Malformed files, one fault each: one error that names file, line and key, and nothing is started.

Each file below ``bad/bench`` and ``bad/experiment`` has its row in ``bad/messages.txt``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from hil import session, setup
from hil.bench import Execution
from hil.cli import app
from hil.config.experiment import Experiment
from hil.config.yaml import MAX_BYTES
from hil.errors import ConfigError
from hil.opened import OpenedBench
from hil.schedule import Schedule

BAD = Path(__file__).with_name("bad")
GOOD = BAD / "good.yaml"
SMALL = BAD / "one-small-array.yaml"
ROWS = [line for line in (BAD / "messages.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
MESSAGES = {name: message.replace("BAD/", f"{BAD}/") for name, message in (row.split(" | ") for row in ROWS)}
NEED_THE_BENCH = {
    "bench/limit-below-the-pulse.yaml",
    "bench/limit-below-the-read-voltage.yaml",
    "bench/limit-longer-than-the-pulse.yaml",
    "bench/limit-shorter-than-the-pulse.yaml",
    "experiment/layers-larger-than-the-arrays.yaml",
    "experiment/split-pairs-on-one-array.yaml",
}
"""What no file says: how a bench's arrays are read and pulsed, and what there is room for."""


class WatchedBench(OpenedBench):
    """Tells what became of it."""

    events: ClassVar[list[str]] = []

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.events.append("opened")

    def execute(self, schedule: Schedule) -> Execution:
        self.events.append("executed")
        return super().execute(schedule)

    def close(self) -> None:
        self.events.append("closed")
        super().close()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What benches went through, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.delenv("HIL_DEBUG", raising=False)
    monkeypatch.setattr(WatchedBench, "events", [])
    monkeypatch.setattr(setup, "OpenedBench", WatchedBench)
    return WatchedBench.events


def refusal(experiment: Path = GOOD, bench: Path = SMALL, **overrides: list[str]) -> str:
    with pytest.raises(ConfigError) as refused:
        session.prepare(experiment, bench, **overrides)  # type: ignore[arg-type]
    return str(refused.value)


def files(name: str) -> tuple[Path, Path]:
    """The experiment and the bench file of a row."""
    return (GOOD, BAD / name) if name.startswith("bench/") else (BAD / name, SMALL)


def test_every_file_has_its_row_and_those_beside_them_are_good(events: list[str]) -> None:
    found = {str(path.relative_to(BAD)) for path in BAD.glob("*/*.yaml")}
    assert found == set(MESSAGES)
    assert len(ROWS) == len(MESSAGES) > 100
    session.prepare(GOOD, SMALL).bench.close()
    assert events == ["opened", "closed"]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_malformed_file_is_one_error_with_file_line_and_key_and_nothing_starts(
    name: str, events: list[str], tmp_path: Path
) -> None:
    message = refusal(*files(name))
    assert message.startswith(f"{BAD / name}:{MESSAGES[name]}")
    assert "\n" not in message
    assert events == (["opened", "closed"] if name in NEED_THE_BENCH else [])
    assert not list(tmp_path.iterdir())


def test_a_file_of_megabytes_is_refused_unread(events: list[str], tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"driver: sim\n#" + b"." * MAX_BYTES)
    assert (
        refusal(bench=huge) == f"{huge}: larger than {MAX_BYTES} bytes; keep data out of configuration files"
    )
    assert not events


@pytest.mark.parametrize(
    "name",
    [
        "bench/unknown-key.yaml",
        "bench/python-tag.yaml",
        "bench/not-utf8.yaml",
        "bench/fault-outside-the-array.yaml",
        "bench/limit-below-the-pulse.yaml",
        "experiment/unknown-gradient.yaml",
        "experiment/data-truncated.yaml",
        "experiment/not-one-output-a-class.yaml",
        "experiment/split-pairs-on-one-array.yaml",
    ],
)
def test_the_command_says_it_once_on_stderr_and_leaves_with_code_2(
    name: str, events: list[str], tmp_path: Path
) -> None:
    experiment, bench = files(name)
    result = CliRunner().invoke(app, ["train", str(experiment), "--bench", str(bench)])
    assert result.exit_code == 2
    assert f"error: {BAD / name}:{MESSAGES[name]}" in result.stderr
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.output
    assert "executed" not in events
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("training.epochs", "not of the form key.path=value; write e.g. name=test"),
        ("training.epochs=-1", "training.epochs: asked for -1; must be greater than or equal to 0"),
        ("training.epoch=3", "training.epoch: unknown key 'epoch'; did you mean 'epochs'?"),
        ("trainig.epochs=3", "trainig: unknown key 'trainig'; did you mean 'training'?"),
        ("network.layers.2.outputs=3", "network.layers has 2 items, counted from 0; '2' is none of them"),
        ("network.layers.0.activation=softmax", "network.layers.0.activation: softmax can only be"),
        ("network.layers.1.outputs=10", "network.layers.1.outputs: asked for 10; csv has 3 classes"),
        ("network.layers.1.w_max=0.1", "network.layers.1.w_max: 0.1 is less than the largest initial weight"),
        ("network.weights=split-pair", "network.weights: split-pair was asked for"),
        ("data.path=no-such.csv", "data.path: no-such.csv: cannot be read"),
    ],
)
def test_what_is_wrong_by_set_is_said_of_set(asked: str, problem: str, events: list[str]) -> None:
    assert refusal(overrides=[asked]).startswith(f"--set {asked}: {problem}")
    assert "executed" not in events


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("training.learning_rate=0.1", "did you mean 'rate'? allowed: batch"),
        ("training.batch_size=2", "did you mean 'batch'?"),
        ("training.n_epochs=2", "did you mean 'epochs'?"),
        ("lr=0.1", "did you mean 'training.rate'?"),
        ("gradient={name: backprop, learning-rate: 0.1}", "did you mean 'training.rate'?"),
        ("network.layers.1.units=3", "did you mean 'outputs'?"),
        ("layers=[]", "did you mean 'network.layers'?"),
        ("optimizer=sgd", "did you mean 'update'?"),
    ],
)
def test_the_words_of_other_programs_are_understood(asked: str, meant: str, events: list[str]) -> None:
    message = refusal(overrides=[asked])
    assert message.startswith(f"--set {asked}: ")
    assert meant in message


def test_every_word_of_other_programs_stands_for_a_key_that_there_is() -> None:
    experiment = setup.load_experiment(GOOD)[0]
    for path in Experiment.also_called.values():
        found: Any = experiment
        for key in path.split("."):
            found = found[int(key)] if key.isdigit() else getattr(found, key)


def test_all_that_is_wrong_with_files_and_overrides_is_told_at_once(events: list[str]) -> None:
    told = refusal(
        overrides=["training", "training.epochs=-1", "name.of.it=3", "seed=1"],
        bench_overrides=["limits", "read.noise=much", "limits.read=1 mV"],
    ).splitlines()
    assert [line.partition(": ")[0] for line in told] == [
        "--set training",
        "--set name.of.it=3",
        "--set training.epochs=-1",
        "--bench-set limits",
        "--bench-set read.noise=much",
    ]
    told = refusal(bench_overrides=["limits", "driver=sin"]).splitlines()
    assert [line.partition(": ")[0] for line in told] == ["--bench-set limits", "--bench-set driver=sin"]
    assert events == []


def test_a_bench_file_in_the_place_of_an_experiment_is_called_so_and_the_other_way_round() -> None:
    both = refusal(SMALL, GOOD)
    assert both.splitlines() == [
        f"{SMALL}:1: driver: this is a bench file; give it as --bench {SMALL} (in Python bench=)",
        f"{GOOD}:1: data: this is an experiment file; --bench takes a bench file: hil train {GOOD}",
    ]
    assert refusal(SMALL, SMALL) == both.splitlines()[0]
    assert refusal(GOOD, GOOD) == both.splitlines()[1]


def test_a_study_in_the_place_of_an_experiment_is_called_so(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("name: s\nexperiment: digits.yaml\nseeds: [1]\n")
    assert refusal(study) == f"{study}:2: experiment: this is a study; run it with hil compare {study}"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("limits.read", "not of the form key.path=value; write e.g. name=test"),
        ("limits.read=1 ms", "limits.read: 1 ms is a time, a voltage is needed"),
        ("limits.read=1 mV", "limits.read: asked for 1 mV; main is read at 100 mV"),
        ("limit.read=1 mV", "limit: unknown key 'limit'; did you mean 'limits'?"),
        ("driver=sin", "driver: no driver 'sin'; did you mean 'sim'?"),
        ("device=idael", "device: no device preset 'idael'; did you mean 'ideal'?"),
        ("device.faults.open=[[16, 0]]", "device.faults.open: asked for crosspoint [16, 0]"),
        ("dac.range=90 mV", "dac.range: asked for 90 mV; must not be below read.voltage, 100 mV"),
        ("arrays.main.rows=0", "arrays.main.rows: asked for 0"),
        ("device.read_noise=0.1", "device.read_noise: unknown key 'read_noise'; did you mean 'read.noise'?"),
        ("device.integration=1 us", "device.integration: unknown key 'integration'; did you mean 'read.in"),
        ("device.curve_of=1", "device.curve_of: unknown key 'curve_of'; allowed: "),
    ],
)
def test_what_is_wrong_by_bench_set_is_said_of_bench_set(asked: str, problem: str, events: list[str]) -> None:
    assert refusal(bench_overrides=[asked]).startswith(f"--bench-set {asked}: {problem}")
    assert "executed" not in events
