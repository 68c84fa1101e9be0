"""The command line as it is called: what it understands, what it says, and its exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hil.cli.failure import EXIT_CODES, exit_code
from hil.errors import (
    BenchError,
    ConfigError,
    DataError,
    HilError,
    InstrumentError,
    LimitError,
    ScheduleError,
    StoreError,
)
from hil.store import open_run

SMALL = """\
name: small
data: {name: mnist-5k, train: 200, test: 50, pixels: 7}
network:
  layers: [{outputs: 8}, {outputs: 10, activation: softmax}]
gradient: backprop
update: bidirectional
training: {epochs: 2, rate: 0.02, report_every: 50}
"""
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def cli(called):
    Path("small.yaml").write_text(SMALL)
    return called


def test_training_says_what_runs_and_what_came_of_it_and_leaves_a_run_and_a_report(cli):
    shown = cli("train", "small.yaml", "--name", "first", "--seed", "7").stdout
    (folder,) = Path("runs").iterdir()
    run = open_run(folder)
    assert (run.status, run.header["seed"], run.name) == ("finished", 7, "first")
    assert (folder / "report.html").is_file()
    for said in (
        "49 - 8 tanh - 10 softmax",
        "backprop",
        "layer1 50 x 16",
        "200 training and 50 test samples",
    ):
        assert said in shown
    assert f"{100 * run.accuracy:.2f} %" in shown
    assert f"{run.summary['wear_device']}: {run.summary['wear']:,} pulses" in shown
    assert f"run: {folder}" in shown.splitlines()


def test_json_is_one_document_that_agrees_with_the_run_and_progress_goes_to_stderr(cli):
    result = cli("train", "small.yaml", "--json", "--no-report", "--runs", "elsewhere")
    document = json.loads(result.stdout)
    run = open_run(document["run"])
    assert run.path.parent == Path("elsewhere")
    assert document["report"] is None
    assert document["summary"] == run.summary
    assert document["real_seconds"] > 0
    assert "training ..." in result.stderr

    shown = json.loads(cli("show", "elsewhere", "--json").stdout)
    assert (shown["status"], shown["accuracy"], shown["in_doubt"]) == ("finished", run.accuracy, 0)
    assert [row["samples"] for row in shown["training"]][-1] == 400
    assert shown["header"]["experiment"]["given"] == SMALL
    assert {row["cosine"] for row in shown["training"]} == {None}, "NaN is no JSON"

    (row,) = json.loads(cli("runs", "elsewhere", "--json").stdout)
    assert (row["path"], row["accuracy"], row["samples"]) == (document["run"], run.accuracy, 400)

    written = json.loads(cli("report", "elsewhere", "--output", "page.html", "--json").stdout)
    assert written == {"run": document["run"], "report": "page.html"}
    assert "<html" in Path("page.html").read_text()


def test_quiet_training_says_the_result_alone(cli):
    quiet = ("--quiet", "--no-report", "--bench-set", "device=ideal", "--bench-set", "read={}")
    lines = cli("train", "small.yaml", *quiet).stdout.strip().splitlines()
    assert lines[0].startswith("test accuracy")
    assert lines[-1].startswith("run: ")


def test_show_and_runs_are_tables_for_people(cli):
    cli("train", "small.yaml", "--quiet", "--no-report", "--name", "a")
    cli("train", "small.yaml", "--quiet", "--no-report", "--name", "b")
    assert cli("show").stdout.splitlines()[0].endswith("-b"), "the newest of the folder"
    assert "gradient backprop, update bidirectional" in cli("show").stdout
    heading, *rows = cli("runs").stdout.splitlines()
    assert heading.split() == ["run", "status", "accuracy", "samples", "pulses"]
    assert [row.split()[1] for row in rows] == ["finished", "finished"]


def test_show_pads_nothing_says_how_many_rows_it_leaves_out_and_names_the_bench_once(cli):
    headline = cli("train", "small.yaml", "--no-report").stdout
    shown = cli("show").stdout
    lines = shown.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert any(line.startswith("test accuracy") for line in lines)
    assert shown.count("the last 5 of 8 rows; --json gives all") == 1
    assert "rows" not in shown.partition("8 rows")[2], "all rows of the test are there"
    for text in (headline, shown):
        assert re.search(r"^bench +built-in \(simulated, ", text, re.MULTILINE)


def test_overrides_reach_the_experiment_and_the_bench(cli):
    words = ["--set", "training.epochs=1", "--bench-set", "limits.dose=100000", "--bench-set", "device=AgaSi"]
    cli("train", "small.yaml", "--quiet", "--no-report", *words)
    header = open_run("runs").header
    assert header["experiment"]["resolved"]["training"]["epochs"] == 1
    assert header["experiment"]["set"] == ["training.epochs=1"]
    assert header["bench"]["resolved"]["limits"]["dose"] == 100000
    assert header["bench"]["resolved"]["device"]["preset"] == "AgaSi"


@pytest.mark.parametrize("name", ["3", "true", "null"])
def test_a_name_is_text_whatever_it_looks_like(cli, name):
    cli("train", "small.yaml", "--quiet", "--no-report", "--set", "training.epochs=1", "--name", name)
    assert open_run("runs").name == name


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "missing.yaml"], 2, "missing.yaml: cannot be read: No such file"),
        (["train", "--set", "training.epoch=3"], 2, "did you mean 'epochs'"),
        (["train", "--set", "data.name=csv", "--set", "data.path=no.csv"], 2, "no.csv"),
        (["train", "small.yaml", "--name", "a b"], 2, "name"),
        (["train", "small.yaml", "--bench-set", "driver=kiethley"], 2, "no driver 'kiethley'"),
        (
            ["train", "small.yaml", "--bench-set", "limits.read=1 mV"],
            2,
            "read=1 mV: limits.read: asked for 1 mV",
        ),
        (["train", "small.yaml", "--bench-set", "limits.dose=1"], 3, "its dose is 1"),
        (["train", "small.yaml", "--runs", "small.yaml"], 5, "small.yaml: no run folder can be made here"),
        (["train", "small.yaml", "--seed", "one"], 2, "--seed"),
        (["train", "--no-such-option"], 2, "--no-such-option"),
        (["show", "nowhere"], 5, "nowhere: no such folder"),
        (["runs", "nowhere"], 5, "nowhere"),
        (["report", "nowhere"], 5, "nowhere"),
        (["list", "gradient"], 2, "gradients"),
        (["schema", "bench", "--driver", "simm"], 2, "did you mean 'sim'"),
    ],
)
def test_what_is_wrong_is_said_in_one_message_without_traceback(cli, words, code, said):
    result = cli(*words, code=code)
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_refused_run_says_where_it_is_recorded(cli):
    result = cli("train", "small.yaml", "--bench-set", "limits.dose=1", code=3)
    run = open_run("runs")
    assert run.status == "failed"
    assert f"recorded up to here: {run.path}" in result.stderr


@pytest.mark.parametrize(
    ("limit", "experiment", "at", "key"),
    [
        ("dose: 60", [], "initial weights of layer1, round 1", "limits.dose"),
        (
            "dose: 330\ndevice: {preset: ideal, c2c: 0.01}",
            [],
            "initial weights of layer1, round 2",
            "limits.dose",
        ),
        ("dose: 300", [], r"training step [1-9][0-9,]*", "limits.dose"),
        (
            "pulses_per_op: 1",
            ["initial.kind=keep", "training.rate=5"],
            "training step 1",
            "limits.pulses_per_op",
        ),
    ],
)
def test_a_limit_that_refuses_is_told_by_its_line_and_key_and_by_what_the_run_was_at(
    cli, limit, experiment, at, key
):
    Path("bench.yaml").write_text(f"driver: sim\nlimits:\n  {limit}\n")
    said = cli(
        "train", "small.yaml", "--bench", "bench.yaml", *(f"--set={each}" for each in experiment), code=3
    ).stderr
    assert f"(bench.yaml:3: {key}); nothing was output" in said
    assert re.search(f"^ended at: {at}$", said, re.MULTILINE), said
    assert re.search(f"^ended at +{at}$", cli("show").stdout, re.MULTILINE)


def test_the_traceback_is_there_for_who_asks(cli, monkeypatch):
    monkeypatch.setenv("HIL_DEBUG", "1")
    assert "Traceback" in cli("train", "missing.yaml", code=2).stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError, 2),
        (DataError, 2),
        (LimitError, 3),
        (BenchError, 4),
        (InstrumentError, 4),
        (StoreError, 5),
        (ScheduleError, 1),
        (HilError, 1),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert exit_code(error("why")) == code


def test_everything_installed_is_listed_with_a_line_each(cli):
    listed = json.loads(cli("list", "--json").stdout)
    assert set(listed) == {
        "gradients",
        "updates",
        "drivers",
        "instruments",
        "calibrations",
        "presets",
        "data",
    }
    assert {"backprop", "progressive-bp"} <= set(listed["gradients"])
    assert "sim:ideal" in listed["presets"]
    assert all(text and "\n" not in text for found in listed.values() for text in found.values())
    assert json.loads(cli("list", "data", "--json").stdout) == {"data": listed["data"]}
    shown = cli("list", "updates").stdout
    assert all(name in shown and text in shown for name, text in listed["updates"].items())


def test_schemas_know_the_keys_and_the_methods_that_are_installed(cli):
    experiment = json.loads(cli("schema", "experiment").stdout)
    assert {"data", "network", "gradient", "update", "training"} <= set(experiment["properties"])
    assert {"Backprop", "Bidirectional"} <= set(experiment["$defs"])
    assert "limits" in json.loads(cli("schema", "bench", "--driver", "sim").stdout)["properties"]


def test_help_names_every_exit_code_and_the_documentation_has_the_same_table(cli):
    text = " ".join(cli("--help").stdout.split())
    table = (DOCS / "command-line.md").read_text()
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in text
        assert f"| {code} | {meaning} |" in table


def test_help_shows_no_flag_of_ours_as_taking_a_value(cli):
    for words in ([], ["train"], ["report"], ["list"]):
        flags = [line for line in cli(*words, "--help").stdout.splitlines() if "<bool>" in line]
        assert [line for line in flags if "--help" not in line] == []


def test_the_documentation_names_every_command_and_every_option(cli):
    text = (DOCS / "command-line.md").read_text()
    for command in ("train", "report", "show", "runs", "list", "schema"):
        assert f"hil {command}" in text
        options = {word for word in cli(command, "--help").stdout.split() if word.startswith("--")}
        assert {word for word in options if word not in text} <= {"--help", "--report"}


def test_help_and_the_bare_package_import_nothing_heavy():
    program = (
        "import sys, hil, hil.cli.app; print([m for m in ('numpy', 'pydantic', 'numba') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_python_dash_m_and_the_version():
    said = subprocess.run(
        [sys.executable, "-m", "hil", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("hil ")
