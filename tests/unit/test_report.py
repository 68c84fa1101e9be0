"""A run becomes one page that stands alone, says what is missing, and shows no text of a file as markup."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hil.bench import Cost, Execution
from hil.errors import StoreError
from hil.report import write_report
from hil.schedule import Multiply, Program, Pulse, Read, Region, Wait
from hil.store import Run, RunWriter, open_run
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

GIVEN = """# digits, learned in the devices
network:
  layers:
    - {outputs: 128, activation: tanh}
    - {outputs: 10, activation: softmax}
gradient: {name: progressive-bp}
update: bidirectional
"""
HEADER = {
    "name": "digits",
    "seed": 1,
    "created": "2025-03-01T14:05:09+00:00",
    "experiment": {
        "file": "experiment.yaml",
        "given": GIVEN,
        "set": ["training.epochs=4"],
        "resolved": {
            "name": "digits",
            "seed": 1,
            "data": {"name": "mnist-5k", "path": None},
            "network": {
                "layers": [{"outputs": 128, "activation": "tanh"}, {"outputs": 10, "activation": "softmax"}],
                "loss": "cross-entropy",
            },
            "gradient": {"name": "progressive-bp", "order": "update-first"},
            "update": {"name": "bidirectional", "most": 20},
            "training": {"epochs": 4, "batch": 1, "rate": 0.03, "early_stop": None},
        },
    },
    "bench": {
        "given": "driver: sim\nname: simulated\n",
        "resolved": {
            "driver": "sim",
            "name": "simulated",
            "device": {"preset": "ag-si", "model": "exponential", "g_min": "0.2 uS", "g_max": "3 uS"},
            "read": {"voltage": "100 mV", "integration": "1 us", "noise": 0.01},
        },
    },
    "data": {"name": "mnist-5k", "source": "package", "sha256": "0" * 64},
    "network": {
        "layers": ["Layer(784 -> 128 tanh, ...)", "Layer(128 -> 10 softmax, ...)"],
        "weights": 101770,
    },
    "identity": {"bench": "simulated arrays, seed 1"},
    "versions": {"python": "3.11.7", "numpy": "2.2.0"},
    "git": "0123456789ab+",
    "command": ["hil", "run"],
}


def synthetic_run(root: Path, rows: int = 785, cols: int = 256, header: object = None) -> Run:
    """A run as training on a 785 x 256 array leaves it, made through the public store alone."""
    rng = np.random.default_rng(3)
    arrays = {"layer1": (rows, cols), "layer2": (max(rows // 6, 2), max(cols // 12, 2))}
    regions = {name: Region.block(name, range(r), range(c)) for name, (r, c) in arrays.items()}
    top = regions["layer1"]
    forward = Multiply(top, np.zeros((1, rows), np.float32), 1e-6)
    back = Multiply(top, np.zeros((1, cols), np.float32), 1e-6, transpose=True)
    program = Program(top, np.zeros((rows, cols), np.int16), Pulse(3.2, 300e-6), Pulse(-2.8, 300e-6))
    schedule = (forward, back, program, Read(top, 0.1, 1e-6), Wait(1e-3))
    with RunWriter.create(root, HEADER if header is None else header) as run:
        start = {name: rng.normal(1.6e-6, 2e-7, shape) for name, shape in arrays.items()}
        for name, siemens in start.items():
            bound = rng.random(siemens.shape) < 0.002
            run.snapshot(Snapshot("initial", 0, regions[name], (siemens * 0.1).astype("f4"), bound, 0.1))
        run.event("warning", "gradient progressive-bp: layer 2 is driven at the limit of its DAC")
        for step in range(500, 20_001, 500):
            fall = np.exp(-step / 4000)
            costs = (
                Cost(reads=500 * cols, transactions=500, seconds=1.1e-3, joules=2.1e-6),
                Cost(reads=500 * rows, transactions=500, seconds=1.2e-3, joules=0.8e-6),
                Cost(pulses=int(300_000 * (fall + 0.1)), half_selects=9_000_000, seconds=0.9, joules=4e-3),
                Cost(reads=rows * cols, transactions=1, seconds=2e-6, joules=2e-9),
                Cost(seconds=1e-3),
            )
            run.after(schedule, Execution((None,) * 5, costs))
            loss = 0.32 + 1.9 * fall + rng.normal(0, 0.02)
            accuracy = 0.9 - 0.75 * fall + rng.normal(0, 0.008)
            cosine = 0.95 - 0.4 * fall if step % 1500 == 0 else float("nan")
            run.training(TrainingRow(step, step, step // 5001, loss, accuracy, 0, cosine))
            for layer in (0, 1):
                noise = 0.004 * (1 + layer) * rng.normal(1, 0.1)
                run.update_noise(UpdateNoiseRow(step, layer, noise, 0.6 - 0.2 * layer + noise, 4000))
            if step % 2500 == 0:
                run.evaluation(EvaluationRow(step, step, step // 5001, loss + 0.03, accuracy - 0.01, 1000, 0))
        doses = {}
        for name, siemens in start.items():
            lines = 0.05 + np.hypot(*np.mgrid[-1 : 1 : siemens.shape[0] * 1j, -1 : 1 : siemens.shape[1] * 1j])
            pulses = rng.poisson(40 / lines**2)
            doses[name] = np.where(rng.random(siemens.shape) < 0.15, 0, pulses)
            final = np.clip(siemens + rng.normal(0, 4e-8, siemens.shape) * np.sqrt(pulses), 2e-7, 3e-6)
            bound = rng.random(siemens.shape) < 0.002
            run.snapshot(Snapshot("final", 20_000, regions[name], (final * 0.1).astype("f4"), bound, 0.1))
        run.finish("finished", {"reason": "finished", "accuracy": 0.8873}, doses)
    return open_run(run.path)


class _Markup(HTMLParser):
    """Collects what a page would load or run, its visible text, and its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action") and value and value[0] != "#":
                self.loads.append(value[:30])
            if name.startswith("on"):
                self.tags.append(name)
            if name == "id" and value:
                self.ids.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return synthetic_run(tmp_path_factory.mktemp("runs"), 60, 24)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    path = write_report(run)
    assert path == run.path / "report.html"
    return path.read_text()


def test_the_page_stands_alone(page: str) -> None:
    markup = _Markup(page)
    assert all(load.startswith("data:image/png") for load in markup.loads)
    assert "script" not in markup.tags
    assert "link" not in markup.tags
    assert re.findall(r"url\((?!#)|@import", page) == []


def test_ids_are_unique_so_that_no_figure_borrows_a_clip_from_another(page: str) -> None:
    ids = _Markup(page).ids
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_the_page_tells_the_figures_of_the_run(run: Run, page: str) -> None:
    text = _Markup(page).text
    assert run.accuracy is not None
    dose = run.doses["layer1"]
    row, col = np.unravel_index(int(dose.argmax()), dose.shape)
    for fact in (
        f"{100 * run.accuracy:.2f} %",
        f"{run.cost.pulses:,}",
        f"{dose.max():,} pulses",
        f"layer1, row {row}, col {col}",
        "784-128-10 (tanh, softmax)",
        "progressive-bp × bidirectional",  # noqa: RUF001
        "ag-si, exponential",
        "0123456789ab+",
        "training.rate",
        f"hil.open_run('{run.path.name}')",
    ):
        assert fact in text
    assert len(re.findall(r"<figure>", page)) == 8


def test_the_same_run_gives_the_same_page_and_leaves_the_drawing_style_alone(
    run: Run, page: str, tmp_path: Path
) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert write_report(run, tmp_path / "again.html").read_text() == page
    assert dict(matplotlib.rcParams) == before


def test_text_of_a_file_is_shown_and_never_becomes_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&\"'$x_{2}$ $"
    header = HEADER | {"seed": evil, "git": evil, "experiment": {"given": evil, "resolved": {evil: evil}}}
    region = Region.block(evil, range(2), range(2))
    with RunWriter.create(tmp_path, header) as run:
        run.event(evil, evil)
        run.snapshot(Snapshot("initial", 0, region, np.ones((2, 2)), np.zeros((2, 2), np.bool_), 0.1))
        run.finish("failed", {"error": evil}, {evil: np.ones((2, 2))})
    markup = _Markup(write_report(open_run(tmp_path)).read_text())
    assert "script" not in markup.tags
    assert markup.text.count(evil) >= 8


def test_a_run_that_has_only_begun_gives_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {"name": "begun", "created": "2025-01-01T00:00:00"}):
        text = _Markup(write_report(open_run(tmp_path)).read_text()).text
    assert "running" in text
    for missing in (
        "No training window",
        "never evaluated",
        "No costs",
        "No array was read",
        "noise was not measured",
        "settings were not recorded",
        "Accuracynot recorded",
    ):
        assert missing in text


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (4, 4)])
def test_arrays_of_any_shape_and_sameness_can_be_drawn(tmp_path: Path, shape: tuple[int, int]) -> None:
    region = Region.block("main", range(shape[0]), range(shape[1]))
    same, none = np.full(shape, 2e-7), np.zeros(shape, np.bool_)
    with RunWriter.create(tmp_path, HEADER) as run:
        run.snapshot(Snapshot("initial", 0, region, same, none, 0.1))
        run.snapshot(Snapshot("final", 9, region, same, ~none, 0.1))
        run.training(TrainingRow(1, 1, 0, 2.0, 0.0, 0, float("nan")))
        run.finish("finished", {}, {"main": np.zeros(shape)})
    text = _Markup(write_report(open_run(tmp_path)).read_text()).text
    assert f"main, {shape[0]} × {shape[1]}" in text  # noqa: RUF001
    assert "no reading after" in text
    assert "no pulses" in text


def test_a_run_in_doubt_says_so(tmp_path: Path) -> None:
    region = Region.block("main", range(2), range(2))
    program = Program(region, np.ones((2, 2), np.int16), Pulse(1.0, 1e-6), Pulse(-1.0, 1e-6))
    with RunWriter.create(tmp_path, HEADER) as run:
        run.before((program,), durable=True)
    assert "1 schedule(s) in doubt" in _Markup(write_report(open_run(tmp_path)).read_text()).text


def test_a_page_that_cannot_be_written_is_a_store_error_with_its_path(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run, pytest.raises(StoreError, match=r"nowhere.r\.html"):
        write_report(open_run(run.path), tmp_path / "nowhere" / "r.html")
