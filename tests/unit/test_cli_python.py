"""Python's face: the documented session runs as it stands, and every exported name is there."""

import doctest
from pathlib import Path

import numpy as np
import pytest

import hil
from hil.schedule import Region

SPOT = Region.block("main", range(1), range(1))
UP = np.full((1, 1), 3, np.int16)
PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_documented_session_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, "python.md", str(PAGE), 0)
    assert len(session.examples) > 15
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS)
    assert runner.run(session, out=said.append).failed == 0, "".join(said)


@pytest.mark.parametrize("name", hil.__all__)
def test_every_exported_name_is_there(name):
    assert getattr(hil, name)
    assert name in dir(hil)


def test_a_name_that_is_not_exported_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'hil' has no attribute 'trian'"):
        _ = hil.trian


def test_a_region_is_read_in_the_order_of_its_lines():
    bench = hil.open_bench(
        overrides=["device={preset: AgaSi, initial: uniform}", "read={}", "dac={}", "adc={}"],
        arrays={"main": (4, 3)},
        seed=3,
    )
    whole = hil.read(bench, "main")
    part = hil.read(bench, Region("main", np.array([3, 0]), np.array([2, 1])))
    assert np.unique(whole).size == 12
    np.testing.assert_array_equal(part, whole[np.ix_([3, 0], [2, 1])])


def test_settings_are_loaded_once_and_opened_often(tmp_path):
    file = tmp_path / "bench.yaml"
    file.write_text("driver: sim\nlimits: {read: 50 mV}\narrays: {main: {rows: 2, cols: 2}}\n")
    settings = hil.load_bench(file, ["name=one"])
    assert settings.name == "one"
    for _ in range(2):
        bench = hil.open_bench(settings)
        assert repr(bench) == "<LimitedBench: SimBench with main 2 x 2; limits: read_v 0.05>"
        with pytest.raises(hil.LimitError, match=r"0\.1 V"):
            hil.read(bench, "main")


@pytest.mark.parametrize(
    ("limit", "op"),
    [
        ("read: 50 mV", hil.Read(SPOT, 0.1, 1e-6)),
        ("read: 50 mV", hil.Multiply(SPOT, np.full((1, 1), 0.1), 1e-6)),
        ("program: 1 V", hil.Program(SPOT, UP, hil.Pulse(1.5, 1e-6), hil.Pulse(-1.0, 1e-6))),
        ("shortest: 1 us", hil.Program(SPOT, UP, hil.Pulse(1.0, 1e-7), hil.Pulse(-1.0, 1e-6))),
        ("longest: 1 us", hil.Program(SPOT, UP, hil.Pulse(1.0, 1e-5), hil.Pulse(-1.0, 1e-6))),
        ("pulses_per_op: 2", hil.Program(SPOT, UP, hil.Pulse(1.0, 1e-6), hil.Pulse(-1.0, 1e-6))),
        ("dose: 2", hil.Program(SPOT, UP, hil.Pulse(1.0, 1e-6), hil.Pulse(-1.0, 1e-6))),
    ],
)
def test_what_a_limit_refuses_is_told_with_the_line_and_key_of_the_limit(tmp_path, limit, op):
    file = tmp_path / "bench.yaml"
    file.write_text(f"driver: sim\narrays: {{main: {{rows: 2, cols: 2}}}}\nlimits:\n  {limit}\n")
    with hil.open_bench(file) as bench, pytest.raises(hil.LimitError) as refused:
        bench.execute((op,))
    assert f" ({file}:4: limits.{limit.split(':')[0]}); nothing was output" in str(refused.value)


def test_a_run_that_cannot_start_leaves_nothing_behind(tmp_path):
    with pytest.raises(hil.ConfigError, match=r"training\.epochs"):
        hil.train(overrides=["training.epochs=-1"], runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


BENCH = "driver: sim\narrays: {main: {rows: 2, cols: 2}}\n"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"overrides": ["training.epochs=-1"]},
            r'^overrides=\["training.epochs=-1"\]: training.epochs: asked for -1; must be',
        ),
        ({"bench_overrides": ["nam=x"]}, r'^bench_overrides=\["nam=x"\]: nam: unknown key'),
        (
            {"overrides": "training.epochs=1"},
            r"^overrides: asked for 'training.epochs=1'; a list of texts is needed: "
            r'overrides=\["training.epochs=1"\]$',
        ),
        (
            {"bench_overrides": {"read.noise": "0.1"}},
            r'a list of texts is needed: bench_overrides=\["read.noise=0.1"\]$',
        ),
        ({"overrides": [3]}, r'^overrides: asked for \[3\]; .*overrides=\["training.epochs=1"\]$'),
        ({"bench": 3}, "^bench: asked for int; the path of a file is needed"),
    ],
)
def test_what_training_is_given_wrong_is_told_in_the_words_of_python(tmp_path, given, problem):
    with pytest.raises(hil.ConfigError, match=problem):
        hil.train(**given, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "made", [hil.load_bench, lambda: hil.open_bench(arrays={"main": (2, 2)})], ids=["loaded", "opened"]
)
def test_training_opens_its_bench_itself(made):
    with pytest.raises(hil.ConfigError, match=r'the path of a file is needed.*bench="bench.yaml"'):
        hil.train(bench=made())


@pytest.mark.parametrize(
    ("keyword", "meant"), [("epochs", "training.epochs=7"), ("seed", "seed=7"), ("lr", "training.rate=7")]
)
def test_a_key_of_the_experiment_as_an_argument_is_told_where_it_goes(keyword, meant):
    with pytest.raises(TypeError, match=rf"train takes no '{keyword}'; .*overrides=\['{meant}'\]"):
        hil.train(**{keyword: 7})


@pytest.mark.parametrize("arrays", [{"main": 64}, [64, 32], {"main": (64,)}, {"main": (0, 4)}, (4, 4)])
def test_sizes_of_another_form_are_refused_with_an_example(arrays):
    with pytest.raises(hil.ConfigError, match=r'^arrays: asked for .*arrays=\{"main": \(64, 32\)\}$'):
        hil.open_bench(arrays=arrays)


def test_sizes_for_a_bench_that_has_its_own_are_refused_and_the_same_are_taken(tmp_path):
    file = tmp_path / "bench.yaml"
    file.write_text(BENCH)
    with pytest.raises(hil.ConfigError, match=r"asked for x 3 x 3; .*bench.yaml has its own, main 2 x 2"):
        hil.open_bench(file, arrays={"x": (3, 3)})
    assert hil.open_bench(file, arrays={"main": (2, 2)}).arrays["main"].shape == (2, 2)


def test_overrides_on_top_of_loaded_settings_are_refused_and_not_dropped():
    with pytest.raises(hil.ConfigError, match="give them to load_bench"):
        hil.open_bench(hil.load_bench(), ["name=two"])


@pytest.mark.parametrize(
    ("plan", "named"), [((hil.Wait(0),), "tuple"), (lambda: None, "the function"), (hil.Wait(0), "Wait")]
)
def test_what_is_no_plan_is_refused_with_a_plan_to_copy(plan, named):
    with (
        hil.open_bench(arrays={"main": (2, 2)}) as bench,
        pytest.raises(hil.ScheduleError, match=rf"^run: asked for {named}.*; a plan is needed"),
    ):
        hil.run(plan, bench)


def test_a_plan_that_yields_an_operation_alone_is_told_the_comma():
    def alone():
        yield hil.Wait(0)

    with (
        hil.open_bench(arrays={"main": (2, 2)}) as bench,
        pytest.raises(hil.ScheduleError, match=r"a schedule is a tuple of operations: yield \(operation,\)"),
    ):
        hil.run(alone(), bench)


@pytest.mark.parametrize(
    "make",
    [
        lambda: hil.Program(SPOT, [[1]], hil.Pulse(1.0, 1e-6), hil.Pulse(-1.0, 1e-6)),
        lambda: hil.Multiply(SPOT, [[0.1]], 1e-6),
        lambda: hil.Nudge(SPOT, [[0, 0]], "gate", 0.05, np.zeros((1, 1)), 1e-6),
    ],
)
def test_a_list_in_place_of_an_array_is_refused_by_name(make):
    with pytest.raises(hil.ScheduleError, match=r"asked for list; a numpy array is needed: np.array"):
        make()
