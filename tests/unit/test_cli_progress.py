"""What is shown while a run goes on: not too many lines, a bar on a terminal, times that people can read."""

import builtins
import io
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from rich.console import Console

import hil
from hil.cli.bars import bar_on
from hil.cli.notebook import Notebook
from hil.cli.progress import COMPILING, Lines, Pace, Silent
from hil.cli.screen import CompilerOnce, Tough, display_for_python
from hil.cli.words import figures, rate
from hil.jit import watching_compiler
from hil.training.events import EvaluationRow, TrainingRow
from hil.units import duration, energy, percent

NAN = float("nan")


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(kind=Lines):
    out, clock = io.StringIO(), Clock()
    display = kind(Console(file=out, width=150), clock)
    display.begin(total=1000, epochs=2)
    return display, out, clock


def row(samples: int, epoch: int = 1) -> TrainingRow:
    return TrainingRow(samples, samples, epoch, 1.25, 0.5, 0, NAN)


def test_lines_come_at_most_every_three_seconds_however_many_rows_there_are():
    display, out, clock = lines()
    for step in range(101):
        clock.now = 100 + 0.1 * step
        display.training(row(1 + step))
    shown = [line for line in out.getvalue().splitlines() if line.startswith("epoch")]
    assert [line.split()[2] for line in shown] == ["1", "31", "61", "91"]


def test_a_line_tells_epoch_samples_loss_accuracy_last_test_pace_and_time_left():
    display, out, clock = lines()
    display.training(row(100))
    display.evaluation(EvaluationRow(100, 100, 1, 1.0, 0.625, 50, 0))
    clock.now += 4
    display.training(row(300, epoch=2))
    assert out.getvalue().splitlines()[-1] == (
        "epoch 2/2  300 of 1,000 samples  loss 1.250  accuracy 50.00 %  test 62.50 %  50/s  14 s left"
    )


def test_warnings_are_shown_on_every_display_and_the_end_on_none():
    for kind in (Lines, Silent):
        display, out, _ = lines(kind)
        display.event("warning", "layer1: 3 of 10 devices [stuck]")
        display.event("end", "finished")
        assert out.getvalue() == "warning: layer1: 3 of 10 devices [stuck]\n"


def test_the_pace_follows_the_latest_rows_and_is_unknown_before_two():
    clock = Clock()
    pace = Pace(clock)
    pace.at(0)
    assert pace.left(10) != pace.left(10), "NaN"
    for samples in range(1, 41):
        clock.now += 1 if samples < 20 else 0.25
        pace.at(samples)
    assert pace.per_second == pytest.approx(4)
    assert pace.left(60) == pytest.approx(5)


def test_a_reader_that_is_gone_does_not_end_a_run():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stream:
        display = Lines(Console(file=Tough(stream), width=80), Clock())
        display.begin(1000, 1)
        display.training(row(10))
        display.event("warning", "nobody hears")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_compiling_is_said_when_a_kernel_is_compiled_and_not_when_it_only_runs():
    display, out, _ = lines()
    compiled = numba.njit(_add)
    with watching_compiler(display):
        assert compiled(1, 2) == 3
    assert out.getvalue() == f"{COMPILING} ...\n"
    display, out, _ = lines()
    with watching_compiler(display):
        assert compiled(2, 2) == 4
    assert out.getvalue() == ""


def test_compiling_is_said_once_however_many_kernels_there_are_and_never_when_quiet():
    for kind, said in ((Lines, 1), (Silent, 0)):
        display, out, _ = lines(kind)
        with watching_compiler(display):
            display.phase("programming the initial weights")
            assert numba.njit(_add)(1, 2) == 3
            display.phase("training")
            assert numba.njit(_twice)(1) == 2
        assert out.getvalue().count(COMPILING) == said


def test_time_spent_on_compiling_is_no_time_of_training():
    display, out, clock = lines()
    display.pace.at(0)
    clock.now += 1
    display.compiling()
    clock.now += 20
    display.compiled()
    clock.now += 1
    display.training(row(100))
    assert "50/s  18 s left" in out.getvalue()


def test_a_notebook_has_one_line_that_is_written_over_and_warnings_stay():
    display, out, clock = lines(Notebook)
    with display:
        display.phase("programming the initial weights")
        display.event("warning", "layer1: off")
        display.training(row(100))
        display.training(row(150))
        clock.now += 5
        display.training(row(200))
    shown = [line.rpartition("\r")[2].rstrip() for line in out.getvalue().replace("\r\n", "\n").split("\n")]
    assert shown[0] == "warning: layer1: off"
    assert shown[1].startswith("epoch 1/2  200 of 1,000 samples")
    assert shown[2:] == [""]
    assert "150 of" not in out.getvalue()


class ZMQInteractiveShell:
    """Its name is how a notebook is told from a terminal."""


@pytest.mark.parametrize(
    ("progress", "in_notebook", "kind"),
    [(None, False, None), (True, False, Lines), (None, True, Notebook), (False, True, None)],
)
def test_python_shows_progress_where_somebody_looks_or_asks(monkeypatch, progress, in_notebook, kind):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    if in_notebook:
        monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    display = display_for_python(progress)
    assert (None if display is None else type(display)) is kind


def test_training_from_python_in_a_notebook_shows_how_it_goes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    small = ["data.train=60", "data.test=20", "data.pixels=7", "training.epochs=1"]
    hil.train(overrides=[*small, "network.layers.0.outputs=8", "training.report_every=20"], runs=tmp_path)
    shown = capsys.readouterr().out
    assert "epoch 1/1  60 of 60 samples" in shown
    hil.train(overrides=[*small, "network.layers.0.outputs=8"], runs=tmp_path, progress=False)
    assert capsys.readouterr().out == ""


def _add(a, b):
    return a + b


def _twice(a):
    return 2 * a


def test_a_terminal_gets_a_bar_and_the_same_result(tmp_path):
    (tmp_path / "e.yaml").write_text(
        "data: {name: mnist-5k, train: 200, test: 50, pixels: 7}\n"
        "network: {layers: [{outputs: 10, activation: softmax}]}\n"
        "gradient: backprop\nupdate: bidirectional\ntraining: {epochs: 5, report_every: 50}\n"
    )
    master, terminal = pytest.importorskip("pty").openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", "train", "e.yaml", "--no-report"],
        cwd=tmp_path,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
    )
    os.close(terminal)
    shown = b""
    while chunk := _read(master):
        shown += chunk
    os.close(master)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "epoch 5/5" in text
    assert " left" in text
    assert "\x1b[?25l" in text, "the cursor is hidden while the bar is there"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "and shown again"
    assert "test accuracy" in text
    assert next(Path(tmp_path / "runs").iterdir()).name in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.5e-7, "350 ns"),
        (0.0, "0 s"),
        (4.21, "4.2 s"),
        (59.4, "59.4 s"),
        (59.6, "1 min"),
        (30 * 86400, "30 d"),
        (725, "12 min 5 s"),
        (3600 * 5 + 60 * 12 + 3, "5 h 12 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
        (NAN, "?"),
        (float("inf"), "?"),
        (-1.0, "?"),
    ],
)
def test_times_are_told_in_their_two_largest_units(seconds, text):
    assert duration(seconds) == text


def test_an_energy_of_nothing_is_0_and_of_a_bench_that_tells_none_not_told():
    assert [energy(0.0, 0), energy(0.0, 5), energy(2e-9, 5)] == ["0 J", "not told", "2 nJ"]


def test_rates_and_shares_are_told_in_the_digits_that_matter():
    assert [rate(1234.5), rate(0.123), rate(NAN)] == ["1,234/s", "0.12/s", "-"]
    assert [percent(0.9876), percent(None), percent(NAN)] == ["98.76 %", "-", "-"]


def test_the_figures_of_a_run_that_failed_are_its_error_alone():
    assert figures({"error": "BenchError: gone"}) == [("ended by", "BenchError: gone")]


def test_a_file_has_a_line_now_and_then_of_what_takes_long():
    out, clock = io.StringIO(), Clock()
    with bar_on(Console(file=out, width=80), clock) as shown:
        told = shown.begin("update-curve of main 4 x 4", 60)
        for done in range(1, 61):
            clock.now += 0.5
            told(done)
    assert out.getvalue().splitlines() == [
        "update-curve of main 4 x 4 ...",
        "update-curve of main 4 x 4: 20 of about 60, 20 s left at this pace",
        "update-curve of main 4 x 4: 40 of about 60, 10 s left at this pace",
    ]


def test_commands_without_a_display_say_once_that_kernels_are_compiled():
    out = io.StringIO()
    compiler = CompilerOnce(Console(file=out, width=80))
    for _ in range(2):
        with watching_compiler(compiler):
            assert numba.njit(_add)(1, 2) == 3
    assert out.getvalue() == f"{COMPILING} ...\n"
