"""Twins from data that a lab already has: what was put in comes out, and bad files say file and line."""

import os
from pathlib import Path

import numpy as np
import pytest

from calibration.twin.data import fit
from calibration.twin.tables_read import read_ramps
from drivers.sim.curve import shape_of_label
from drivers.sim.measured import read_maps
from drivers.sim.settings import MeasuredDevice, PulseSettings
from hil.calibrate.twin import Described
from hil.errors import DataError
from hil.figures.canvas import styled
from hil.store.blobs import pack

LOW, HIGH, N = 1e-6, 5e-6, 80
PULSES = {
    way: PulseSettings(amplitude=volts, width=1e-6) for way, volts in (("potentiate", 1.0), ("depress", -1.0))
}


def ramps(nl_up=2.0, nl_down=-3.0, cycles=5, noise=0.002, c2c=0.0, seed=1):
    """Siemens up and down [cycles, pulses + 1] of an exponential device."""
    rng, span = np.random.default_rng(seed), HIGH - LOW
    found = []
    for label, sign, start in ((nl_up, 1, LOW), (-nl_down, -1, HIGH)):
        b = float(shape_of_label(label))
        first, g = span * np.expm1(-b / N) / np.expm1(-b), [np.full(cycles, start)]
        for _ in range(N):  # affine: the step falls by 1 - exp(-b / N) of the way
            step = sign * first + np.expm1(-b / N) * (g[-1] - start)
            g.append(np.clip(g[-1] + step + c2c * span * rng.standard_normal(cycles), LOW, HIGH))
        found.append(np.stack(g, axis=1))
    return [way * (1 + noise * rng.standard_normal(way.shape)) for way in found]


def long_table(path: Path, header="pulse,conductance (uS)", scale=1e6, **how) -> Path:
    """All cycles one after the other under one running pulse number."""
    up, down = ramps(**how)
    course = np.concatenate([part for pair in zip(up, down, strict=True) for part in (pair[0], pair[1][1:])])
    lines = [f"{n},{scale * value:.6g}" for n, value in enumerate(course)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def of_the_device(twin):
    return {name: each.value for name, each in twin.estimates.items()}


def test_a_running_table_is_cut_where_it_turns_and_gives_back_the_device(tmp_path):
    twin = fit([long_table(tmp_path / "a.csv")], Described(size=(4, 4)))
    found = of_the_device(twin)
    assert "5 ramps up and 5 down" in twin.source
    np.testing.assert_allclose([found["g_min"], found["g_max"]], [LOW, HIGH], rtol=0.01)
    np.testing.assert_allclose([found["nl_up"], found["nl_down"]], [2, -3], atol=0.15)
    np.testing.assert_allclose([found["levels_up"], found["levels_down"]], N, rtol=0.05)
    assert found["noise"] == pytest.approx(0.002, rel=0.5)
    assert twin.estimates["nl_up"].low < 2 < twin.estimates["nl_up"].high
    assert twin.goodness["misfit_exponential"].value < 0.005
    assert twin.maps["main.nl_up"].shape == (4, 4)


@pytest.mark.parametrize("header", ["conductance (uS)\n", ""])
def test_a_single_column_is_a_reading_after_each_pulse_cut_where_it_turns(tmp_path, header):
    table = long_table(tmp_path / "a.csv")
    values = "\n".join(line.split(",")[1] for line in table.read_text().splitlines()[1:])
    (tmp_path / "one.csv").write_text(f"{header}{values}\n")
    told = Described(size=(4, 4), unit=None if header else "uS")
    twin, same = fit([tmp_path / "one.csv"], told), fit([table], told)
    assert "5 ramps up and 5 down" in twin.source
    assert repr(twin.estimates) == repr(same.estimates)
    assert "one.csv: one column, taken as a reading after each pulse" in "\n".join(twin.findings)
    assert "one column" not in "\n".join(same.findings)


def test_noise_of_pulses_is_told_from_noise_of_readings(tmp_path):
    found = of_the_device(
        fit([long_table(tmp_path / "a.csv", noise=1e-4, c2c=0.004, cycles=12)], Described())
    )
    np.testing.assert_allclose([found["c2c_up"], found["c2c_down"]], 0.004, rtol=0.5)
    assert found["noise"] < 0.002


@pytest.mark.parametrize(
    ("header", "scale", "described"),
    [
        ("pulse,conductance_nS", 1e9, {}),
        ("pulse;current (uA)", 1e5, {"read_voltage_v": 0.1}),
        ("Pulse number\tG [S]", 1, {}),
        ("n,g", 1e6, {"unit": "uS"}),
    ],
)
def test_units_come_from_the_header_or_are_told(tmp_path, header, scale, described):
    path = long_table(tmp_path / "a.csv", header, scale)
    for separator in (";", "\t"):
        if separator in header:
            path.write_text(path.read_text().replace(",", separator))
    assert of_the_device(fit([path], Described(**described)))["g_max"] == pytest.approx(HIGH, rel=0.01)


def test_resistances_are_turned_round(tmp_path):
    path = long_table(tmp_path / "a.csv")
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    path.write_text("pulse,resistance (kohm)\n" + "".join(f"{n},{1e3 / float(g)}\n" for n, g in rows))
    assert of_the_device(fit([path], Described()))["g_min"] == pytest.approx(LOW, rel=0.01)


def test_ramps_in_columns_of_two_files_may_end_apart(tmp_path):
    up, down = ramps()
    for name, ways in (("up", up), ("down", down)):
        cells = [
            [f"{1e5 * way[n]:.6g}" if n < N - 3 * k else "" for k, way in enumerate(ways)]
            for n in range(N + 1)
        ]
        text = ",".join(f"r{k}" for k in range(5)) + "\n" + "\n".join(",".join(row) for row in cells)
        (tmp_path / f"{name}.csv").write_text(text)
    files = [tmp_path / "up.csv", tmp_path / "down.csv"]
    twin = fit(files, Described(unit="uA", read_voltage_v=0.1))
    assert of_the_device(twin)["nl_up"] == pytest.approx(2, abs=0.3)


def test_normalised_data_stand_for_the_range_that_is_told(tmp_path):
    up, down = ramps(cycles=1)
    both = np.stack([up[0], down[0]], axis=1) / HIGH - 0.7
    (tmp_path / "a.csv").write_text("\n".join(f"{a:.5f},{b:.5f}" for a, b in both))
    with pytest.raises(DataError, match="in which unit"):
        fit([tmp_path / "a.csv"], Described())
    found = of_the_device(fit([tmp_path / "a.csv"], Described(ends_s=(2e-6, 4e-6))))
    assert (found["g_min"], found["g_max"]) == (pytest.approx(2e-6, rel=0.02), pytest.approx(4e-6, rel=0.02))


def test_what_is_not_exponential_gets_a_table_that_leaves_less(tmp_path):
    x = np.linspace(0, 1, 61)
    course = 1 + 3 * np.concatenate([0.5 - 0.5 * np.cos(np.pi * x), (0.5 + 0.5 * np.cos(np.pi * x))[1:]])
    rows = [f"{n},{g:.5f}" for _ in range(4) for n, g in enumerate(course)]
    (tmp_path / "s.csv").write_text("pulse,G (uS)\n0,1.0\n" + "\n".join(rows[1:]))
    path = tmp_path / "s.csv"
    twin = fit([path], Described(size=(2, 2)))
    assert twin.goodness["misfit_table"].value < 0.5 * twin.goodness["misfit_exponential"].value
    assert "main.kind" in twin.maps
    assert twin.figure is not None
    with styled():
        assert len(twin.draw().axes) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ": is empty"),
        ("\n \n", ": is empty"),
        ("pulse,conductance (uS)\n", ":1: a header and no data"),
        ("pulse,voltage\n0,1\n", ":1: no column of conductances among pulse, voltage"),
        ("pulse,G (uS)\n0,1\n1,two\n", ":3: 'two' in column 2 is no number"),
        ("pulse,G (uS)\n0,1\n1,nan\n", ":3: 'nan' in column 2 is no number"),
        ("pulse,G (uS)\n0,1\n1,inf\n", ":3: 'inf' in column 2 is no number"),
        ("pulse,G (uS)\n0,1\n1\n", ":3: 1 columns; line 1 has 2"),
        ("pulse,G (fortnights)\n0,1\n1,2\n", ":1: 'fortnights' is no unit of a conductance"),
        ("a,b\n1,2\n,3\n2,4\n", ":3: '' in column 1 is no number"),
        ("time (s),G (uS)\n0,1\n1,2\n2,3\n", ":1: 'G (uS)' beside 'time (s)': no column of pulse numbers"),
        ("G (uS)\n1\n2\n3\n", "nothing in it falls; both ways are needed"),
        ("G (uS)\n1\n\ntwo\n", ":4: 'two' in column 1 is no number"),
        ("voltage (V)\n1\n2\n3\n1\n", ":1: 'V' is no unit of a conductance"),
        ("pulse\n1\n2\n3\n", ":1: no column of conductances among pulse"),
        ("pulse,G (uS)\n0,1\n1,2\n2,3\n", "nothing in it falls; both ways are needed"),
        ("pulse,G (uS)\n0,-1\n1,2\n2,3\n3,1\n4,-1\n", "a conductance of 0 or less"),
        ("pulse,I (uA)\n0,1\n1,2\n2,3\n3,2\n4,1\n", "give the voltage they were read at"),
    ],
)
def test_bad_files_are_refused_with_file_and_line(tmp_path, text, told):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError) as refused:
        fit([path], Described())
    assert str(refused.value).startswith(f"{path}:")
    assert told in str(refused.value)


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_told(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"pulse,G (uS)\n\xff\xfe")
    with pytest.raises(DataError, match=r"a\.csv: is no text"):
        read_ramps(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"no\.csv: cannot be read"):
        fit([tmp_path / "no.csv"], Described())


def lookup(**changes):
    g = np.linspace(1e-6, 9e-6, 11)
    arrays = {
        "G": np.stack([g, 2 * g]), "cdf": np.linspace(0, 1, 5),
        "dG_inc": np.full((2, 5, 11), 1e-7), "dG_dec": np.full((2, 5, 11), -2e-7),
    }  # fmt: skip
    return {name: values for name, values in (arrays | changes).items() if values is not None}


def test_lookup_tables_of_several_devices_are_dealt_over_the_array(tmp_path):
    np.savez(tmp_path / "lut.npz", **lookup())
    twin = fit([tmp_path / "lut.npz"], Described(size=(8, 8)))
    (tmp_path / "maps.npz").write_bytes(pack(twin.maps))
    device = MeasuredDevice(model="measured", maps="maps.npz", **PULSES)
    devices, _ = read_maps(tmp_path / "maps.npz", device)["main"].deal((8, 8))
    assert set(np.unique(devices.hi).tolist()) == {np.float32(9e-6).item(), np.float32(18e-6).item()}
    np.testing.assert_allclose(devices.up, 1e-7, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dG_inc": None}, "dG_inc missing"),
        ({"dG_inc": np.zeros((2, 5, 10))}, "dG_inc: shape (2, 5, 10) given; (2, 5, 11) is needed"),
        ({"dG_dec": np.full((2, 5, 11), np.nan)}, "dG_dec: NaN"),
        ({"G": np.ones((2, 11))}, "G: conductances must rise"),
        ({"G": np.stack([np.linspace(1, 9, 11)] * 2)}, "in which unit are they? --unit uS"),
    ],
)
def test_damaged_lookup_tables_are_refused(tmp_path, changes, told):
    np.savez(tmp_path / "lut.npz", **lookup(**changes))
    with pytest.raises(DataError) as refused:
        fit([tmp_path / "lut.npz"], Described())
    assert told in str(refused.value)
    (tmp_path / "lut.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="not a lookup table"):
        fit([tmp_path / "lut.npz"], Described())


@pytest.mark.skipif("HIL_DATA" not in os.environ, reason="needs the device data in HIL_DATA/devices")
def test_published_ramps_are_fitted_as_published():
    folder = Path(os.environ["HIL_DATA"]) / "devices" / "crosssim"
    files = [folder / f"example_{way}_sweeps_I_at_0V1.csv" for way in ("set", "reset")]
    twin = fit(files, Described(unit="A", read_voltage_v=0.1))
    found = of_the_device(twin)
    np.testing.assert_allclose([found["nl_up"], found["nl_down"]], [-1.45, -0.24], atol=0.3)  # our preset
    np.testing.assert_allclose([found["levels_up"], found["levels_down"]], [188, 150], rtol=0.03)
    assert twin.goodness["misfit_table"].value < 0.006
