"""Studies: what a file means, what is told before anything runs, and whether the runs bear a claim out."""

from __future__ import annotations

import csv
import json
import re
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hil.bench import Cost
from hil.cli import app
from hil.compare.cells import Axis, Cell, label_of
from hil.compare.claims import judge
from hil.compare.crew import Job
from hil.compare.forecast import Forecast
from hil.compare.plan import Options, asked_settings, plan_study
from hil.compare.results import FIGURES, CellResult, Result, absent
from hil.compare.select import only_these, seeds_of
from hil.compare.study import Study, load_study
from hil.errors import ConfigError
from hil.figures.canvas import styled
from hil.report.study_curves import Layout, along
from hil.store import list_runs, open_run

STUDIES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("*.yaml"))
TINY = """\
name: tiny
title: A tiny study
experiment:
  data: {name: mnist-5k, train: 200, test: 50, pixels: 7}
  network: {layers: [{outputs: 8}, {outputs: 10, activation: softmax}]}
  gradient: backprop
  update: bidirectional
  training: {rate: 0.05, evaluations: 2, update_noise_every: 50}
bench: {driver: sim, device: {preset: ideal}}
"""
GRID = """\
cases:
  - {label: graded}
  - {label: by sign, set: {update: manhattan}}
grid:
  curve:
    "0": {}
    "2.4": {bench_set: {device.nl_up: 2.4, device.nl_down: -2.4}}
seeds: [1, 2]
reach: 0.1
claims:
  - {text: better than chance, of: graded, min_accuracy: 0.12}
  - {text: impossible, of: graded, than: by sign, by: 99}
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        Path("study.yaml").write_text(text)
        return Path("study.yaml")

    return write


def cells_of(text: str, write) -> list:
    return list(load_study(write(text))[0].cells)


def test_a_study_is_every_case_with_every_point_of_the_grid_and_later_settings_come_last(written):
    more = "set: {training.batch: 2}\ngrid:\n  training.batch: [3, 4]\n  bench.device.c2c: [0, 0.01]\n"
    cells = cells_of(TINY + more + "cases: [{label: a, set: {training.rate: 0.1}}, {label: b}]\n", written)
    assert [cell.labels for cell in cells][:3] == [("a", "3", "0"), ("a", "3", "0.01"), ("a", "4", "0")]
    assert len(cells) == 8
    assert [s.text for s in cells[0].settings] == [
        "training.batch=2",
        "training.rate=0.1",
        "training.batch=3",
        "device.c2c=0",
    ]
    assert [s.of_bench for s in cells[0].settings] == [False, False, False, True]
    assert str(cells[1]) == "a, batch 3, c2c 0.01"
    assert re.fullmatch(r"[a-z0-9_-]{1,64}", cells[1].slug)


def test_a_study_without_cases_is_one_case(written):
    (cell,) = cells_of(TINY, written)
    assert (cell.labels, str(cell)) == ((), "the experiment")


def test_values_from_a_file_have_labels_that_people_write():
    update = {"name": "bidirectional", "compensated": True, "sense_every": 200}
    assert label_of(update) == "bidirectional, compensated, sense_every 200"
    assert [label_of(value) for value in (2.4, 64, 1e-6, True, None, [1, 2])] == [
        "2.4",
        "64",
        "1e-06",
        "yes",
        "none",
        "[1, 2]",
    ]


A, CLAIMS = "cases: [{label: a}]\n", "claims: [{text: t, of: a"
WRONG = [
    ("cases: [{label: a, set: {update.sense: 3}}]", r"10: update.sense=3: update is 'bidirectional'"),
    ("cases: [{label: a, set: {training.lr: 3}}]", r"10: training.lr=3: .*did you mean 'rate'"),
    ("bench_set: {device: nothing}", r"10: device=\"nothing\": .*no device preset 'nothing'"),
    ("grid: {bench.read.noise: [0, -1]}", r"10: read.noise=-1: .*greater than or equal to 0"),
    ("set: {network.layers.1.outputs: 9}", r"10: .*outputs: asked for 9; mnist-5k has 10 classes"),
    (
        "set: {network.layers.0.outputs: 100000000}",
        r"9: bench.arrays: layer1 is to be 50 x 200000000, 10,000",
    ),
    ("cases: [{label: a}, {label: a}]", r"10: cases: the label 'a' stands here twice"),
    ("set: {seed: 3}", r"10: set.seed: seed is set for each run"),
    ("seeds: [1, 1]", r"10: seeds: a seed stands here twice"),
    ("sedes: [1]", r"10: sedes: unknown key 'sedes'; did you mean 'seeds'"),
    ("x: case", r"10: x: no axis 'case'"),
    (CLAIMS + ", min_accuracy: 0.5}]", r"10: claims.0.of: 'a' is no label"),
    (A + CLAIMS + ", than: a, by: 1}]", r"11: claims.0.than: a is compared with itself"),
    ("grid: {training.batch: [200, 201]}", r"10: training.batch=201: .*asked for 201; must be at most 200"),
    (A + CLAIMS + "}]", r"11: claims.0.text: a claim without than needs min_accuracy"),
    (A + CLAIMS + ", by: 1}]", r"11: claims.0.by: by compares two"),
]


@pytest.mark.parametrize(("line", "told"), WRONG)
def test_what_is_wrong_with_any_case_is_told_with_its_line_before_anything_runs(written, line, told):
    path = written(TINY + line + "\n")
    with pytest.raises(ConfigError, match=f"study.yaml:{told}"):
        plan_study(path, Options(Path("runs")))
    assert not Path("runs").exists()


def test_all_that_is_wrong_is_told_at_once_and_each_line_once(written):
    cases = "[{label: a, set: {update: up}}, {label: b, set: {gradient: down}}]"
    wrong = f"set: {{training.rat: 1}}\ncases: {cases}\n"
    with pytest.raises(ConfigError) as refused:
        plan_study(written(TINY + wrong), Options(Path("runs")))
    told = [line.partition("; ")[0] for line in str(refused.value).splitlines()]
    assert told == [
        "study.yaml:10: training.rat=1: experiment.training.rat: unknown key 'rat'",
        "study.yaml:11: update=\"up\": experiment.update.name: asked for 'up'",
        "study.yaml:11: gradient=\"down\": experiment.gradient.name: asked for 'down'",
    ]


def test_wrong_claims_and_wrong_cases_are_told_together(written):
    wrong = """\
cases: [{label: a, set: {training.lr: 1}}, {label: b}]
claims:
  - {text: t, of: c, than: d, by: 1}
  - {text: t, of: a}
  - {text: t, of: a, min_accuracy: 0.5}
"""
    with pytest.raises(ConfigError) as refused:
        plan_study(written(TINY + wrong), Options(Path("runs")))
    told = [line.partition("; ")[0] for line in str(refused.value).splitlines()]
    assert told == [
        "study.yaml:12: claims.0.of: 'c' is no label",
        "study.yaml:12: claims.0.than: 'd' is no label",
        "study.yaml:13: claims.1.text: a claim without than needs min_accuracy",
        "study.yaml:10: training.lr=1: experiment.training.lr: unknown key 'lr'",
    ]


def test_a_claim_that_is_none_hides_no_other_and_a_wrong_bench_no_batch(written):
    wrong = """\
cases: [{label: a, set: {training.batch: 500}, bench_set: {device.c2c: -1}}, {label: b}]
claims:
  - {text: "", of: a, min_accuracy: 0.5}
  - {text: t, of: c, than: b, by: 1}
  - [no, claim]
  - {text: t, of: a}
"""
    with pytest.raises(ConfigError) as refused:
        plan_study(written(TINY + wrong), Options(Path("runs")))
    told = [line.partition("; ")[0] for line in str(refused.value).splitlines()]
    for line in (
        "study.yaml:12: claims.0.text: asked for ''",
        "study.yaml:13: claims.1.of: 'c' is no label",
        "study.yaml:15: claims.3.text: a claim without than needs min_accuracy",
        "study.yaml:10: training.batch=500: experiment.training.batch: asked for 500",
    ):
        assert told.count(line) == 1, told
    assert any(line.startswith("study.yaml:14: claims.2: ") for line in told)
    assert any("device.c2c" in line for line in told)


def test_all_that_does_not_fit_in_a_study_is_told_at_once(written):
    wrong = """\
cases: [{label: a, set: {seed: 3}}, {label: a}]
seeds: [1, 1]
x: nowhere
"""
    with pytest.raises(ConfigError) as refused:
        plan_study(written(TINY + wrong), Options(Path("runs")))
    told = [line.partition(": ")[0::2] for line in str(refused.value).splitlines()]
    assert [(place, rest.partition(":")[0]) for place, rest in told] == [
        ("study.yaml:11", "seeds"),
        ("study.yaml:10", "cases.0.set.seed"),
        ("study.yaml:12", "x"),
        ("study.yaml:10", "cases"),
    ]


def test_an_experiment_in_the_place_of_a_study_is_called_so(written):
    path = written(
        "name: e\ndata: {name: mnist-5k}\nnetwork: {layers: [{outputs: 10}]}\ngradient: backprop\n"
    )
    with pytest.raises(ConfigError) as refused:
        plan_study(path, Options(Path("runs")))
    told = "study.yaml:2: data: this is an experiment, not a study; train it with hil train study.yaml"
    assert str(refused.value) == told


def test_both_files_that_are_not_there_are_named(written):
    path = written("name: s\nexperiment: nowhere.yaml\nbench: nothing.yaml\n")
    with pytest.raises(ConfigError) as refused:
        plan_study(path, Options(Path("runs")))
    told = [line.partition("; ")[0] for line in str(refused.value).splitlines()]
    assert told == [
        "study.yaml:2: experiment: there is no file nowhere.yaml",
        "study.yaml:3: bench: there is no file nothing.yaml",
    ]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_case_of_an_example_is_sound_on_tiny_data(path, tmp_path):
    tiny = asked_settings(["data={name: mnist-5k, train: 20, test: 10}"], [])
    plan = plan_study(path, Options(tmp_path, settings=tiny))
    assert plan.study.name == path.stem
    assert len(plan.planned) == len(plan.study.cells)
    assert plan.study.claims


def result(seed: int, **figures: float) -> Result:
    known = dict.fromkeys(FIGURES, float("nan")) | figures
    empty = np.zeros(0)
    return Result(seed, None, "finished", None, None, Cost(), known, empty, empty)


def judged(claim: str, graded: list[float], by_sign: list[float], write, figure: str = "accuracy"):
    """The verdict of a claim, by figures of seeds 1, 2 …; NaN stands for a run that is not there."""
    study = load_study(write(TINY + "cases: [{label: graded}, {label: by sign}]\nclaims:\n  - " + claim))[0]
    results = {
        cell.labels: CellResult(
            cell,
            tuple(
                absent(seed) if np.isnan(value) else result(seed, **{figure: value})
                for seed, value in enumerate(values, 1)
            ),
        )
        for cell, values in zip(study.cells, (graded, by_sign), strict=True)
    }
    return judge(study.claims[0], study.pairs(study.claims[0]), results)


NAN = float("nan")


@pytest.mark.parametrize(
    ("claim", "graded", "by_sign", "word"),
    [
        ("by: 5", [0.90, 0.92], [0.80, 0.81], "met"),
        ("by: 5", [0.84, 0.82], [0.80, 0.81], "not met"),
        ("by: 0", [0.80], [0.80], "not met"),
        ("by: -1", [0.795], [0.80], "met"),
        ("within: 1", [0.805], [0.80], "met"),
        ("within: 1", [0.80], [0.82], "not met"),
        ("by: 5", [0.90, NAN], [0.80, 0.81], "open"),
        ("by: 5", [NAN, NAN], [0.80, 0.81], "open"),
    ],
)
def test_a_claim_is_held_against_the_means_of_both_and_open_while_runs_are_missing(
    written, claim, graded, by_sign, word
):
    verdict = judged(f"{{text: t, of: graded, than: by sign, {claim}}}", graded, by_sign, written)
    assert verdict.word == word


def test_the_spread_of_a_lead_is_over_pairs_of_the_same_seed(written):
    verdict = judged("{text: t, of: graded, than: by sign, by: 1}", [0.9, 0.7], [0.8, 0.6], written)
    (pair,) = verdict.evidence
    assert (pair.value, pair.spread, pair.seeds) == (pytest.approx(0.1), pytest.approx(0, abs=1e-12), 2)
    assert "+10.00 ± 0.00 points to by sign (2 seeds)" in verdict.figures


def test_a_figure_can_be_claimed_to_be_so_many_times_lower(written):
    claim = "{text: t, of: graded, than: by sign, lower: reads, times: 5}"
    assert judged(claim, [10.0], [60.0], written, "reads").word == "met"
    assert judged(claim, [20.0], [60.0], written, "reads").word == "not met"


@pytest.mark.parametrize("seconds", [0.1, 3000.0, 4e6])
@pytest.mark.parametrize("panels", [("p",), ("p", "q", "r", "s")])
def test_no_label_of_a_figure_is_cut_off_however_long_its_numbers(seconds, panels):
    axes = (Axis("case", ("a", "b")), Axis("panel", panels), Axis("nl_up", ("0", "2.4")))
    cells = [
        CellResult(Cell(axes, labels, ()), (result(1, reach_seconds=seconds * number),))
        for number, labels in enumerate(product(*(axis.labels for axis in axes)), 1)
    ]
    with styled():
        figure = along(cells, Layout.along(axes, None), "reach_seconds", "Bench time", "s")
    assert figure is not None
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= 0
    places = [axes.get_tightbbox() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(places, 2))


@pytest.mark.parametrize("some", [True, False])
def test_a_case_that_never_reached_the_accuracy_is_marked_as_such(some):
    axes = (Axis("case", ("a", "b")), Axis("panel", ("p", "q")), Axis("nl_up", ("0", "2.4")))
    cells = [
        CellResult(Cell(axes, (case, panel, x), ()), (result(1, **({"reach_seconds": 7.0} if took else {})),))
        for case, panel, x in product(*(axis.labels for axis in axes))
        for took in [panel == "p" or not some]
    ]
    with styled():
        figure = along(cells, Layout.along(axes, None), "reach_seconds", "Bench time", "s", "not reached")
    assert figure is not None
    marks = [
        sum(len(line.get_xdata()) for line in each.lines if line.get_markerfacecolor() == "white")
        for each in figure.axes
    ]
    assert marks == ([0, 4] if some else [0, 0])
    (legend,) = figure.legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told == (["a", "b", "not reached"] if some else ["a", "b"])
    never = along(
        cells[2:4] if some else [], Layout.along(axes, None), "reach_seconds", "", "s", "not reached"
    )
    assert never is None


def test_seeds_and_cases_can_be_chosen():
    assert seeds_of("1,3-5") == (1, 3, 4, 5)
    for text, told in (("1,a", "'a' is no seed"), ("5-2", "'5-2' is no seed"), ("1,1-2", "twice")):
        with pytest.raises(ConfigError, match=told):
            seeds_of(text)


def test_only_these_cases_means_one_of_the_labels_on_each_axis_that_is_named(written):
    study, _ = load_study(written(TINY + GRID))
    chosen = only_these(["graded", "curve=2.4"], study.axes, study.cells)
    assert [cell.labels for cell in chosen] == [("graded", "2.4")]
    assert len(only_these([], study.axes, study.cells)) == 4
    with pytest.raises(ConfigError, match="did you mean 'graded'"):
        only_these(["gradd"], study.axes, study.cells)


def test_the_time_left_goes_by_each_cases_own_pace():
    now = [0.0]
    jobs = [Job(label, seed, f"{label}{seed}", {}) for seed in (1, 2) for label in ("quick", "slow")]
    forecast = Forecast(jobs, 2, lambda: now[0])
    assert forecast.left_s() is None
    quick, slow = jobs[:2]
    forecast.began(quick)
    forecast.began(slow)
    now[0] = 10.0
    forecast.at(quick, 100, 100)
    forecast.at(slow, 10, 100)
    forecast.ended(quick)
    # Left: a second quick run of 10 s, nine tenths of a run of 100 s, and a second one: 200 s, by two.
    assert forecast.left_s() == pytest.approx(100)
    assert forecast.share == pytest.approx((1 + 0.1) / 4)


def test_the_schema_of_a_study_knows_its_keys():
    schema = json.loads(CliRunner().invoke(app, ["schema", "study"]).stdout)
    assert set(schema["properties"]) == set(Study.model_fields)
    assert schema["additionalProperties"] is False


def test_a_study_runs_and_tells_what_came_of_it_and_runs_nothing_twice(written):
    path = written(TINY + GRID)
    call = ["compare", str(path), "--json", "--processes", "2"]
    first = CliRunner().invoke(app, call)
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    runs = list_runs(Path("runs/tiny"))
    assert [run.status for run in runs] == ["finished"] * 8
    assert {run.header["seed"] for run in runs} == {1, 2}
    case = told["cases"][0]
    mine = [row for row in told["runs"] if (row["case"], row["curve"]) == ("graded", "0")]
    accuracies = [open_run(row["run"]).accuracy for row in mine]
    assert case["mean"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert case["spread"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    assert case["mean"]["update_noise"] > 0
    assert 0 < case["mean"]["reach_pulses"] <= case["mean"]["pulses"]
    assert [claim["verdict"] for claim in told["claims"]] == ["met", "not met"]
    with Path("runs/tiny/runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in told["runs"]]
    page = Path(told["page"]).read_text()
    assert page.count("<svg") >= 4
    assert not re.search(r"<script|<link|src=|@import", page)
    assert "impossible" in page
    again = CliRunner().invoke(app, call)
    assert again.exit_code == 0
    assert json.loads(again.stdout)["runs"] == told["runs"]
    assert len(list_runs(Path("runs/tiny"))) == 8
    shown = CliRunner().invoke(app, ["compare", str(path), "--show"]).stdout
    assert "not met impossible" in shown
    assert "| by sign | 2.4 | 2 |" in Path("runs/tiny/table.md").read_text()
