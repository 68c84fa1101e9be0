"""A run becomes one page that stands alone, says what is missing, and shows no text of a file as markup."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hil.bench import Cost, Execution
from hil.errors import StoreError
from hil.figures.canvas import log_ticks, styled
from hil.report import write_report
from hil.report.curves import (
    cost_by_operation,
    cost_over_time,
    from_exact,
    learning,
    noise_windows,
    update_noise,
)
from hil.report.maps import conductances, distribution_and_wear
from hil.schedule import Multiply, Program, Pulse, Read, Region, Wait
from hil.store import Run, RunWriter, open_run
from hil.store.folder import JSON
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

GIVEN = """# digits, learned in the devices
network:
  layers:
    - {outputs: 128, activation: tanh}
    - {outputs: 10, activation: softmax}
gradient: {name: progressive-bp}
update: bidirectional
"""
HEADER: dict[str, JSON] = {
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


def synthetic_run(
    root: Path, rows: int = 785, cols: int = 256, header: Mapping[str, JSON] | None = None
) -> Run:
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
        doses: dict[str, NDArray[np.int64]] = {}
        for name, siemens in start.items():
            lines = 0.05 + np.hypot(*np.mgrid[-1 : 1 : siemens.shape[0] * 1j, -1 : 1 : siemens.shape[1] * 1j])
            pulses = np.asarray(rng.poisson(40 / lines**2), np.int64)
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


@pytest.fixture(scope="module")
def figures(run: Run) -> list[Figure]:
    """Every figure of a run's page, laid out."""
    first, last, doses = run.snapshot("initial"), run.snapshot("final"), run.doses
    with styled():
        made = [learning(run), cost_by_operation(run.costs), cost_over_time(run), update_noise(run)]
        for name, dose in doses.items():
            made += [
                conductances(first[name], last[name]),
                distribution_and_wear(first[name], last[name], dose),
            ]
        drawn = [figure for figure in made if figure is not None]
        for figure in drawn:
            figure.draw_without_rendering()
    return drawn


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


def test_how_far_the_error_is_from_the_exact_one_is_drawn_where_it_is_not_the_same(tmp_path: Path) -> None:
    told: dict[str, str] = {}
    for name, cosines in (("near", (0.99, 0.999, 1.0)), ("same", (1.0, 1 + 1e-7, 1 - 1e-7))):
        with RunWriter.create(tmp_path, HEADER | {"name": name}) as run:
            for step, cosine in enumerate(cosines, start=1):
                run.training(TrainingRow(step, step, 0, 2.0, 0.1, 0, cosine))
        drawn = open_run(run.path)
        gap = from_exact(drawn.training)
        if name == "near":
            assert gap == pytest.approx([1e-2, 1e-3, 1e-6], rel=0.01)
        else:
            assert gap is None
        told[name] = _Markup(write_report(drawn).read_text()).text
    assert "0.01 is an angle of 8 degrees" in told["near"]
    assert "1 - cosine to exact error" in told["near"]
    assert "is the exact one wherever it was measured" in told["same"]
    assert "cosine" not in told["same"]


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


@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (5, 5), (3, 4), (21, 258), (1.6e6, 5.4e7), (1, 10), (2e-6, 64), (1e-12, 1e9)]
)
def test_a_logarithmic_axis_has_two_ticks_or_more_and_few(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(set(ticks))
    assert all(low / 5 <= tick <= high * 5 for tick in ticks)
    assert all(f"{tick:.0e}"[0] in "125" for tick in ticks)


def test_every_axis_of_numbers_has_two_labelled_ticks_and_shows_all_its_data(figures: list[Figure]) -> None:
    for figure in figures:
        for axes in figure.axes:
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                low, high = sorted(limits)
                labels = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                written = {label.get_text() for label in labels} - {""}
                assert not axis.get_label().get_text() or not written or len(written) >= 2
                assert axis.get_scale() == "linear" or len(written) >= 2, axis.get_label().get_text()
            for line in axes.lines:
                if line.get_transform() == axes.transData:
                    x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
                    assert axes.get_xlim()[0] <= np.nanmin(x) <= np.nanmax(x) <= axes.get_xlim()[1]
                    assert axes.get_ylim()[0] <= np.nanmin(y) <= np.nanmax(y) <= axes.get_ylim()[1]


def test_no_label_of_a_panel_reaches_into_another(figures: list[Figure]) -> None:
    for figure in figures:
        boxes = [box for axes in figure.axes if (box := axes.get_tightbbox()) is not None]
        for number, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_samples_and_steps_are_counted_in_whole_numbers_after_a_single_step(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run:
        run.training(TrainingRow(1, 1, 0, 2.0, 0.0, 0, float("nan")))
        run.update_noise(UpdateNoiseRow(1, 0, 0.004, 2.0, 10))
    run = open_run(run.path)
    with styled():
        for figure in (learning(run), update_noise(run)):
            assert figure is not None
            for axes in figure.axes:
                low, high = axes.get_xlim()
                ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
                assert ticks == [0, 1]
                assert all(line.get_marker() == "o" for line in axes.lines)


def test_noise_to_wanted_change_is_not_ruled_by_steps_that_wanted_next_to_nothing(tmp_path: Path) -> None:
    wanted = np.where(np.arange(100) % 5 == 2, 1e-7, 1e-3)
    with RunWriter.create(tmp_path, HEADER) as run:
        for step, change in enumerate(wanted, 1):
            run.update_noise(UpdateNoiseRow(step, 0, 2e-3, 2e-3 / change, 50))
        run.update_noise(UpdateNoiseRow(100, 1, 0.0, 0.0, 50))
    noise = open_run(run.path).update_noise
    steps, raw, ratio = noise_windows(noise, 0)
    assert len(steps) == 20
    assert steps[0] == 3
    np.testing.assert_allclose(raw, 2e-3)
    np.testing.assert_allclose(ratio, 2e-3 / wanted.mean(), rtol=1e-9)
    assert [float(values[0]) for values in noise_windows(noise, 1)] == [100, 0, 0]


def test_of_many_arrays_those_of_the_first_and_the_last_layer_are_drawn_and_none_is_lost(
    tmp_path: Path,
) -> None:
    names = [f"a{number:02d}" for number in range(14)]
    homes = [names[:2], *([name] for name in names[2:-1])]
    placement: JSON = {
        f"layer{number}": [{"array": name, "side": "pair"} for name in home]
        for number, home in enumerate(homes, 1)
    }
    with RunWriter.create(tmp_path, HEADER | {"network": {"placement": placement}}) as run:
        run.finish("finished", {}, {name: np.ones((2, 2), np.int64) for name in names})
    page = write_report(open_run(run.path)).read_text()
    headings = re.findall(r"<h3>([^<]*) × ", page)  # noqa: RUF001
    assert len(headings) == 8
    assert "layer1 on a00, 2" in headings
    assert "layer12 on a12, 2" in headings
    left_out = re.search(r"8 of 14 arrays are drawn\. Left out: ([^<]*)\.<", page)
    assert left_out is not None
    drawn = {heading.split(",")[0] for heading in headings}
    assert not drawn & set(left_out[1].split("; "))
    assert len(drawn) + len(left_out[1].split("; ")) == len(names)


def test_halves_of_a_layer_and_layers_that_share_an_array_are_named_in_its_heading(tmp_path: Path) -> None:
    placement: JSON = {
        "layer1": [{"array": "left", "side": "plus"}, {"array": "right", "side": "minus"}],
        "layer2": [{"array": "left", "side": "pair"}],
    }
    with RunWriter.create(tmp_path, HEADER | {"network": {"placement": placement}}) as run:
        run.finish("finished", {}, {name: np.ones((7, 4), np.int64) for name in ("left", "right")})
    text = _Markup(write_report(open_run(run.path)).read_text()).text
    assert "layer1 plus, layer2 on left, 7" in text
    assert "layer1 minus on right, 7" in text


def test_what_is_wider_than_a_narrow_screen_scrolls_in_its_own_box(page: str) -> None:
    assert re.search(r"\.wide \{[^}]*overflow-x: auto", page)
    for wide in ('<table class="number">', "<svg "):
        assert page.count(wide) == len(re.findall(f'<div class="wide" tabindex="0">{wide}', page)) > 0
