"""A calibration record in a notebook: what it says of itself, plain numbers, raw arrays, and its figure."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from calibration.devices import Devices
from calibration.intervals import undetermined
from drivers.sim import driver
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Estimate, Target
from hil.calibrate.file import read_record
from hil.calibrate.record import Record
from hil.calibrate.tape import pulses_spent
from hil.errors import ConfigError, StoreError


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Of `devices` on 3 x 4, one of them open."""
    settings = driver.settings(device={"preset": "HZO_FeFET", "faults": {"open": [[1, 2]]}})
    bench = driver.open(settings, {"main": (3, 4)}, 1)
    target, folder = Target.whole(bench.arrays["main"]), tmp_path_factory.mktemp("records")
    return read_record(calibrate("devices", Devices(), bench, target, About("chip-7"), folder).path)


def test_an_estimate_is_of_plain_floats_and_says_value_interval_and_unit() -> None:
    values = np.array([52.3456e-6, 51.9e-6, 52.7e-6])
    for made in (Estimate(*values, "S", "high end"), Estimate.of(values, "S", "high end")):
        assert [type(each) for each in (made.value, made.low, made.high)] == [float] * 3
        assert repr(made) == "<Estimate: 52.35 uS (51.9 uS to 52.7 uS), high end>"
    unknown = Estimate.of((np.nan, -np.inf, np.inf), "", "levels", "too few pulses")
    assert str(unknown) == "? (not determined), levels; not told: too few pulses"
    assert str(Estimate(0.5, np.nan, np.nan, "", "misfit")) == "0.5, misfit"


def test_a_record_says_in_a_line_what_it_is_and_in_full_what_it_comes_to(record: Record) -> None:
    assert re.fullmatch(r"<Record: devices of chip-7, main 3 x 4, \S+, valid>", repr(record))
    lines = str(record).splitlines()
    assert repr(record) == f"<Record: {lines[0]}>"
    assert any(
        re.match(r"yield +0\.9167 +0\.\d+ to 0\.\d+ +share of devices that work", line) for line in lines
    )
    assert "1 open: [1, 2]" in lines
    html = replace(record, bench="<b>")._repr_html_()
    assert "<td>yield</td><td>0.9167</td>" in html
    assert "devices of &lt;b&gt;" in html


def test_what_was_measured_is_plain_arrays_that_agree_with_what_is_kept(record: Record) -> None:
    raw = record.raw
    assert raw["read0.amperes"].shape == (len(raw["read0.at"]), 3, 4)
    np.testing.assert_array_equal(raw["read0.amperes"][0], record.steps[0].answer.amperes)
    given = sum(np.abs(values).sum() for name, values in raw.items() if name.endswith(".counts"))
    assert given == pulses_spent(record.steps, (3, 4)).sum() == record.cost.pulses > 0
    assert record.estimates["yield"].value == 11 / 12
    assert record.maps["fault"].shape == (3, 4)
    assert record.path is not None
    assert record.path.name.endswith("-devices.npz")


def test_a_figure_keeps_its_style_wherever_it_is_written_and_a_notebook_shows_it(
    record: Record, tmp_path: Path
) -> None:
    figure = record.draw()
    with matplotlib.rc_context({"pdf.fonttype": 3}):
        figure.savefig(tmp_path / "later.pdf")
    record.draw(str(tmp_path / "at-once.pdf"))
    for name in ("later.pdf", "at-once.pdf"):
        assert b"/Type3" not in (tmp_path / name).read_bytes()
    assert figure._repr_png_().startswith(b"\x89PNG")
    (tick, *_) = figure.axes[0].xaxis.get_major_ticks()
    assert tick.label1.get_size() == 7.5


def test_what_cannot_be_drawn_is_refused_and_says_why(record: Record, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.jpg: asked for '\.jpg'; \.png, \.svg, \.pdf can be drawn"):
        record.draw(tmp_path / "x.jpg")
    with pytest.raises(StoreError, match="cannot be written"):
        record.draw(tmp_path / "nowhere" / "x.png")
    with pytest.raises(StoreError, match=r"devices\.npz: partial \(stopped\); there is no result to draw"):
        replace(record, partial="stopped").draw()
    assert "without a result: stopped" in str(replace(record, partial="stopped"))


def test_what_several_estimates_are_not_told_for_is_said_once(record: Record) -> None:
    reason = "too few devices answer"
    unknown = {name: undetermined("V", "amplitude", reason) for name in ("up", "down", "sideways")}
    alone = {"else": undetermined("V", "width", "another"), "bound": Estimate(np.nan, 0, 2, "V", "", reason)}
    result = replace(record.result, estimates={**record.estimates, **unknown, **alone})
    for text in (str(replace(record, result=result)), replace(record, result=result)._repr_html_()):
        assert text.count(f"not determined ({reason}): up, down, sideways") == 1
        assert text.count(reason) == 2, "once for the three, once for what has a bound"
        assert "width; not told: another" in text
        assert "yield" in text
