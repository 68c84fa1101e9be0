"""Figures as they would be printed: fonts, units, scales that no shorted device ruins, no empty panels."""

import re

import numpy as np
import pytest

from calibration.devices import Devices
from calibration.disturb import Disturb
from calibration.figures.twin import draw_lookup
from calibration.pulse_search import PulseSearch
from drivers.sim import driver
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Target
from hil.cli.calibrated import plot
from hil.figures.canvas import logarithmic, panel, sheet, styled, usual
from hil.report.maps import conductances


def record_of(routine, folder, faults=None):
    settings = {"preset": "HZO_FeFET", "initial": "uniform", "faults": faults or {}}
    bench = driver.open(driver.settings(device=settings, read={"noise": 0.01}), {"main": (6, 6)}, 1)
    whole = Target.whole(bench.arrays["main"])
    return calibrate(routine.name, routine, bench, whole, About("chip-7"), folder)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_a_pdf_has_truetype_fonts_and_no_type_3(tmp_path):
    pdf = plot(record_of(Devices(), tmp_path).path, tmp_path / "figure.pdf").read_bytes()
    assert b"/TrueType" in pdf or b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf


def test_a_figure_names_its_array_and_its_date_and_marks_the_device_that_was_pulsed(tmp_path):
    routine = Disturb(shots=50, points=3)
    record = record_of(routine, tmp_path).record
    with styled():
        figure = routine.draw(record)
    assert any(re.search(r"chip-7, main 6 × 6, disturb, \d{4}-\d\d-\d\d", text) for text in texts(figure))  # noqa: RUF001
    shots = figure.axes[0]
    assert shots.get_xscale() == "log"
    assert len(shots.containers) == 3, "row, column and control, each with bars"
    mapped = next(axes for axes in figure.axes if axes.images)
    (star,) = [each for each in mapped.collections if each.get_label() == "pulsed"]
    np.testing.assert_array_equal(np.asarray(star.get_offsets()), [[3, 3]])


def test_a_search_that_told_no_amplitude_has_no_panel_for_it(tmp_path):
    routine = PulseSearch(passes=1, points=3)
    record = record_of(routine, tmp_path, {"open": 1.0}).record
    with styled():
        figure = routine.draw(record)
    assert len(figure.axes) == 2
    assert any("no device told" in text for text in texts(figure))
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["no device was pulsed"] * 2


def test_tables_of_a_twin_fill_the_sheet():
    low, high = np.array([1e-6, 2e-6]), np.array([1e-5, 2e-5])
    with styled():
        figure = draw_lookup(low, high, (np.full((2, 17), 1e-7), np.full((2, 17), -1e-7)))
    assert len(figure.axes) == 2
    assert max(axes.get_position().x1 for axes in figure.axes) > 0.95


@pytest.mark.parametrize("shape", [(8, 8), (64, 64)])
def test_shorted_devices_do_not_change_the_scale_of_a_map_and_are_marked(shape):
    rng = np.random.default_rng(2)
    sound = rng.uniform(0.2e-6, 3e-6, shape)
    faulty = sound.copy()
    faulty[1, 2], faulty[5, 4] = 1e-2, 4e-3
    with styled():
        before, after = conductances(sound, sound), conductances(faulty, faulty)
    assert before is not None
    assert after is not None
    (was, now) = (figure.axes[0].images[0].get_clim() for figure in (before, after))
    assert now == pytest.approx(was, rel=0.05)
    crosses = after.axes[0].collections[0].get_offsets()
    np.testing.assert_array_equal(np.asarray(crosses), [[2, 1], [4, 5]])
    assert "2 beyond" in after.axes[0].get_title()
    assert not before.axes[0].collections


def test_a_scale_holds_tails_that_are_long_and_leaves_out_what_is_apart():
    rng = np.random.default_rng(4)
    trained = np.concatenate([rng.normal(0.2, 0.01, 950), rng.uniform(0.2, 3.0, 50)])
    assert usual(trained) == (trained.min(), trained.max())
    assert usual(np.append(trained, 1e4)) == (trained.min(), trained.max())
    assert usual(np.append(trained, [-500.0, np.nan])) == (trained.min(), trained.max())
    assert usual(np.full(20, 3.0)) == (3.0, 3.0)
    assert usual(np.array([1.0, np.nan, 7.0])) == (1.0, 7.0)


def test_a_logarithmic_axis_writes_numbers_and_leaves_the_unit_to_its_label():
    with styled():
        axes = panel(sheet(2), 0.6, 0.3, 2, 1)
        logarithmic(axes, "x", np.array([1e-6, 1e4]))
        write = axes.xaxis.get_major_formatter()
        assert [write(value) for value in (1e-6, 0.01, 1000.0, 1e5)] == ["10⁻⁶", "0.01", "1,000", "10⁵"]
        logarithmic(axes, "y", np.array([1, 1e6]), whole=True)
        assert axes.yaxis.get_major_formatter()(20_000) == "20k"
