"""Training uses the calibration records that its bench file names, or refuses them with all reasons."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hil import session, setup
from hil.bench import ArrayInfo
from hil.calibrate.choose import routines, targets
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Estimate
from hil.calibrate.file import read_record, write_record
from hil.calibrate.measured import offsets_of
from hil.calibrate.use import known_by_records
from hil.cli import app
from hil.compare.conduct import missing
from hil.compare.plan import Options, plan_study
from hil.errors import ConfigError
from hil.faults import KINDS
from hil.hindsight import no_better_than_guessing
from hil.plan import run
from hil.report import write_report
from hil.schedule import Multiply, Read, Region
from hil.store import Run
from hil.training.controller import Outcome
from hil.training.events import EvaluationRow

OFFSET_A = 5e-9
BENCH = """
driver: sim
name: chip
arrays:
  main: {rows: 14, cols: 16}
device:
  preset: HZO_FeFET
  initial: uniform
  d2d: {range: 0.05, step: 0.1}
  faults: {stuck: [[0, 0], [3, 2], [5, 7]], open: [[2, 9]], shorted: [[1, 4]]}
read: {offset: 5 nA}
"""
KEY = "calibrations: records\n"
EXPERIMENT = """
name: small
data: {name: csv, path: rings.csv, test_fraction: 0.3333}
network: {layers: [{outputs: 6, activation: tanh}, {outputs: 2, activation: softmax}]}
gradient: backprop
update: bidirectional
training: {epochs: 1, batch: 20}
"""
ROUTINES = ("devices", "update-curve", "read-noise")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A bench file and its records, made once."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "bench.yaml").write_text(BENCH)
    measure(folder)
    return folder


def measure(
    folder: Path, seed: int = 0, names=ROUTINES, now=None, devices=(), into: str = "records"
) -> list[Path]:
    settings, _ = setup.load_bench(folder / "bench.yaml")
    settings_of = [f"{name}.repeats=8" for name in names if name != "update-curve"]
    chosen = routines(names, settings_of if len(names) > 1 else [])
    options = {} if now is None else {"now": lambda: now}
    with setup.open_bench(settings, {}, seed) as bench:
        return [
            calibrate(name, chosen[name], bench, target, About(settings.name), folder / into, **options).path
            for target in targets(bench.arrays, devices)
            for name in names
        ]


@pytest.fixture
def place(measured: Path, tmp_path: Path) -> Path:
    """A folder of its own with the bench file, its records and an experiment."""
    shutil.copytree(measured / "records", tmp_path / "records")
    (tmp_path / "bench.yaml").write_text(BENCH + KEY)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    examples = Path(__file__).parents[2] / "examples" / "experiments"
    shutil.copy(examples / "rings.csv", tmp_path)
    return tmp_path


def prepared(place: Path, *overrides: str, bench: tuple[str, ...] = ()) -> session.Prepared:
    return session.prepare(place / "experiment.yaml", place / "bench.yaml", ("seed=0", *overrides), bench)


def refused(place: Path, *overrides: str, bench: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as error:
        prepared(place, *overrides, bench=bench)
    return str(error.value)


def test_a_run_says_which_records_it_used_and_where_its_faulty_devices_are(place: Path) -> None:
    ready = prepared(place)
    done = session.execute(ready, place / "runs")
    used = done.header["calibrations"]["records"]
    assert sorted(each["routine"] for each in used) == sorted(ROUTINES)
    for each in used:
        path = place / "records" / each["file"]
        assert each["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (each["array"], each["state"]) == ("main", "valid")
    told = [text for _, kind, text in done.events if kind == "calibration"]
    assert any("5 of 224 devices do not work" in text for text in told)
    assert any("5 nA taken off readings" in text for text in told)
    page = write_report(done).read_text()
    assert "Calibrated by" in page
    shown = CliRunner().invoke(app, ["show", str(done.path)]).output
    assert "records  read-noise of main" in shown
    assert "uncalibrated" not in shown
    for layer in ready.network.layers:  # lines to spare: none of the faults is in the way
        assert layer.tile.faulty == {}


def test_nothing_is_said_of_records_where_none_are_named(place: Path) -> None:
    (place / "bench.yaml").write_text(BENCH)
    done = session.execute(prepared(place, "training.epochs=0"), place / "runs")
    assert "calibrations" not in done.header
    assert "Calibrated by" not in write_report(done).read_text()


@pytest.mark.parametrize(
    ("update", "weights", "initial"),
    [
        ("bidirectional", "pair", "write-verify"),
        ("{name: bidirectional, compensated: true, sense_every: 5}", "reference", "write-verify"),
        ("stochastic", "pair", "random"),
        ("manhattan", "pair", "keep"),
        ("{name: crus, sense_every: 5}", "pair", "random"),
        ("{name: unidirectional, refresh: {every: 2, high: 0.3, low: 0.1}}", "pair", "random"),
        ("write-verify", "pair", "write-verify"),
    ],
)
def test_no_rule_ever_pulses_a_faulty_device_that_no_spare_line_replaces(
    place: Path, update: str, weights: str, initial: str
) -> None:
    done, faulty = trained_without_a_spare_line(place, weights, f"update={update}", f"initial.kind={initial}")
    assert not done.doses["main"][faulty].any()
    assert np.count_nonzero(done.doses["main"]) > 35
    assert any("are never pulsed" in text for _, _, text in done.events)


def test_nudges_by_pulses_leave_faulty_devices_alone(place: Path) -> None:
    dgc = "gradient={name: dgc, nudge: pulse, devices: both}"
    done, faulty = trained_without_a_spare_line(place, "pair", dgc, "initial.kind=keep", "training.batch=100")
    assert not done.doses["main"][faulty].any()
    assert np.count_nonzero(done.doses["main"]) == 3 * 14 + 8 * 4 - 5  # of both layers, five do not work


def trained_without_a_spare_line(place: Path, weights: str, *overrides: str) -> tuple[Run, np.ndarray]:
    """A run on an array that its layers fill, and which of its devices do not work."""
    layers = "[{outputs: 7, activation: tanh}, {outputs: 2, activation: softmax}]"
    size = {"pair": "{rows: 11, cols: 14}", "reference": "{rows: 11, cols: 8}"}[weights]
    bench = BENCH.replace("{rows: 14, cols: 16}", size).replace("[3, 2], ", "[3, 2], [9, 1], ")
    bench = bench.replace("[5, 7]", "[4, 5]").replace("[[2, 9]]", "[[2, 6]]")
    (place / "bench.yaml").write_text(bench + KEY)
    shutil.rmtree(place / "records")
    measure(place, names=("devices",))
    ready = prepared(
        place, f"network.weights={weights}", f"network.layers={layers}", "training.epochs=2", *overrides,
        bench=("calibrations={folder: records, use: [devices]}",),
    )  # fmt: skip
    faulty = ready.bench.arrays["main"].faults.faulty
    assert sum(sum(layer.tile.faulty.values()) for layer in ready.network.layers) >= 2
    return session.execute(ready, place / "runs"), faulty


def test_the_measured_sheet_is_near_the_devices_and_without_the_offset(place: Path) -> None:
    raw = prepared(place, bench=("calibrations=null",)).bench.arrays["main"].device
    sheet = prepared(place).bench.arrays["main"].device
    for name, within in (("g_min_s", 0.1), ("g_max_s", 0.05), ("step_up_s", 0.1), ("step_down_s", 0.1)):
        assert getattr(sheet, name) == pytest.approx(getattr(raw, name), rel=within), name
        assert getattr(sheet, name) != getattr(raw, name)
    at = np.linspace(raw.g_min_s, raw.g_max_s, 9)[1:-1]
    for measured, nominal in zip(sheet.curve.steps(at), raw.curve.steps(at), strict=True):
        np.testing.assert_allclose(measured, nominal, rtol=0.2)
    with_offset = prepared(place, bench=("calibrations={folder: records, use: [update-curve]}",))
    kept = with_offset.bench.arrays["main"].device
    assert kept.g_min_s - sheet.g_min_s == pytest.approx(OFFSET_A / raw.read_voltage_v, rel=1e-3)


@pytest.mark.parametrize("routine", ["read-noise", "offset"])
def test_readings_and_sums_of_both_directions_are_without_the_offset(place: Path, routine: str) -> None:
    shutil.rmtree(place / "records")
    measure(place, names=(routine,))
    bench = prepared(place).bench
    region = Region.block("main", range(3, 9), range(10, 13))
    ops = (
        Read(region, 0.1, 1e-6),
        Multiply(region, np.full((2, 6), 0.05, np.float32), 1e-6),
        Multiply(region, np.full((2, 3), 0.05, np.float32), 1e-6, transpose=True),
    )

    def asks():
        return (yield ops)

    read, forward, back = (answer.amperes for answer in run(asks(), bench).answers)
    raw = run(asks(), prepared(place, bench=("calibrations=null",)).bench).answers[0].amperes
    assert (raw - read).mean() == pytest.approx(OFFSET_A, rel=0.01)
    np.testing.assert_allclose(forward, np.tile(read.sum(axis=0) / 2, (2, 1)), rtol=1e-3)
    np.testing.assert_allclose(back, np.tile(read.sum(axis=1) / 2, (2, 1)), rtol=1e-3)


def test_an_offset_of_the_voltage_is_not_taken_for_one_of_the_current_in_sums(place: Path) -> None:
    shutil.rmtree(place / "records")
    (path,) = measure(place, names=("offset",), devices=("all,0-9",))
    record = read_record(path)
    info = record.target.info

    def offsets(**estimates: Estimate):
        maps = {**record.result.maps, "column_a": np.linspace(4e-9, 6e-9, 10)}
        maps |= {"zero_forward_a": np.full(10, 7e-9), "zero_back_a": np.full(14, 8e-9)}
        maps["column_a"][3] = np.nan
        found = replace(record.result, estimates={**record.result.estimates, **estimates}, maps=maps)
        return offsets_of(replace(record, result=found), info)

    typical = record.result.estimates["offset"].value
    nothing = offsets(voltage_offset=Estimate(1e-5, -1e-5, 3e-5, "V", ""))
    np.testing.assert_allclose(nothing.devices[[0, 3, 9, 12]], [4e-9, typical, 6e-9, typical])
    np.testing.assert_allclose(nothing.cols, [7e-9] * 10 + [typical] * 6)
    np.testing.assert_allclose(nothing.rows, 8e-9)
    seen = offsets(
        voltage_offset=Estimate(2e-4, 1e-4, 3e-4, "V", ""), amplifier=Estimate(1e-9, 0.9e-9, 1.1e-9, "A", "")
    )
    np.testing.assert_allclose(seen.devices, nothing.devices)
    np.testing.assert_allclose(seen.cols[[0, 9, 12]], np.array([4e-9, 6e-9, typical]) - typical + 1e-9)
    np.testing.assert_allclose(seen.rows, 1e-9)


def test_a_foreign_record_is_refused_with_its_reasons_and_an_older_own_one_is_taken(place: Path) -> None:
    other = refused(place, "seed=4")
    for part in ("bench.yaml:12: calibrations: ", "its seed was 0, this is 4", "calibrate again"):
        assert part in other
    assert other.count("its seed was") == 1
    assert [other.count(f"calibration {name} of main, ") for name in ROUTINES] == [1, 1, 1]
    measure(place, seed=4, now=datetime.now(UTC) + timedelta(minutes=1))
    used = prepared(place).bench.calibrations.used
    assert len(used) == 3
    assert len(prepared(place, "seed=4").bench.calibrations.used) == 3


def test_all_seeds_of_a_study_are_run_on_the_chip_of_its_first(place: Path) -> None:
    study = place / "study.yaml"
    study.write_text("name: two\nexperiment: experiment.yaml\nbench: bench.yaml\nseeds: [0, 4]\n")
    asked = plan_study(study, Options(place / "runs", seeds=(4, 9)))
    jobs = missing(asked)
    assert [(job.seed, job.order["chip"]) for job in jobs] == [(4, 0), (9, 0)]
    files = place / "experiment.yaml", place / "bench.yaml"
    ready = session.prepare(*files, ("seed=4",), chip=0)
    with ready.bench as bench:
        assert bench.identity["seed"] == "0"
    (planned,) = asked.planned
    assert planned.made(ready.header, 4)
    assert not planned.made(ready.header, 9)
    assert not planned.made({**ready.header, "identity": {"seed": "4"}}, 4)
    assert "its seed was 0, this is 4" in refused(place, "seed=4")


def test_a_bench_of_instruments_is_no_twin(place: Path) -> None:
    text = (Path(__file__).parents[2] / "examples" / "benches" / "line-virtual.yaml").read_text()
    of = "{bench: chip, identity: {}, until: 2026-03-01T00:00:00+00:00}"
    (place / "line.yaml").write_text(f"{text}\ncalibrations: {{folder: records, of: {of}}}\n")
    settings, _ = setup.load_bench(place / "line.yaml")
    with (
        setup.open_bench(setup.load_bench(place / "bench.yaml")[0]) as bench,
        pytest.raises(
            ConfigError, match=r"calibrations\.of: records of chip are for its twin, a simulated bench"
        ),
    ):
        known_by_records(settings, bench, datetime.now(UTC))


def warned_of_guessing(place: Path, *overrides: str, bench: tuple[str, ...] = ()) -> list[str]:
    run = session.execute(prepared(place, *overrides, bench=bench), place / "runs")
    return [text for _, kind, text in run.events if kind == "warning" and "guessing" in text]


def test_a_run_that_is_no_better_than_guessing_says_that_faulty_devices_may_be_why(place: Path) -> None:
    (place / "bench.yaml").write_text(BENCH)
    (told,) = warned_of_guessing(place, "training.rate=1e-9")
    assert re.match(
        r"test accuracy [0-9.]+ %, where guessing has 53\.0 %\. Devices that do not work may be", told
    )
    assert "no record tells which of main do: hil calibrate bench.yaml --routine devices" in told
    assert warned_of_guessing(place, "training.rate=1e-9", bench=("calibrations=records",)) == []


def test_a_loss_is_far_above_guessing_from_twice_that_and_only_after_an_epoch(place: Path) -> None:
    data = prepared(place).training.data
    lost = EvaluationRow(1, 40, 1, 1.5, 0.9, 20, 0)
    ended = Outcome("finished", 2, len(data.train_y), 1, lost)
    assert (
        no_better_than_guessing(ended, data, cross_entropy=True) == "test loss 1.5, where guessing has 0.693"
    )
    assert no_better_than_guessing(ended, data, cross_entropy=False) == ""
    assert no_better_than_guessing(replace(ended, samples=3), data, cross_entropy=True) == ""
    assert no_better_than_guessing(replace(ended, evaluation=None), data, cross_entropy=True) == ""


def test_a_record_that_determined_nothing_is_as_good_as_none(place: Path) -> None:
    (path,) = (place / "records").glob("*update-curve*")
    record = read_record(path)
    estimates = {**record.result.estimates, "g_max": Estimate(np.nan, 0, 1, "S", "")}
    path.unlink()
    write_record(place / "records", replace(record, result=replace(record.result, estimates=estimates)))
    bench = prepared(place).bench
    assert any(
        "uncalibrated" in text and "g_max was not determined" in text for text in bench.calibrations.warnings
    )
    assert len(bench.calibrations.used) == 2
    named = ("calibrations={folder: records, use: [devices, update-curve]}",)
    assert "g_max was not determined; calibrate again" in refused(place, bench=named)


def test_a_damaged_record_of_another_bench_is_passed_over(place: Path) -> None:
    (place / "records" / "20990101-000000-other-main-devices.npz").write_bytes(b"no")
    assert len(prepared(place).bench.calibrations.used) == 3


def test_of_two_records_of_one_second_the_second_is_taken(place: Path) -> None:
    shutil.rmtree(place / "records")
    now = datetime.now(UTC).replace(microsecond=0)
    paths = [measure(place, names=("devices",), now=now)[0] for _ in range(11)]
    assert paths[-1].stem.endswith("-11")
    (used,) = prepared(place).bench.calibrations.used
    assert used.file == paths[-1].name


def test_an_expired_record_is_refused_or_used_and_marked(place: Path) -> None:
    shutil.rmtree(place / "records")
    measure(place, names=("devices",), now=LONG_AGO)
    said = refused(place)
    assert "calibration devices of main, 2020-01-01T00:00+00:00: it expired 2020-01-31T00:00+00:00" in said
    marked = prepared(place, "training.epochs=0", bench=("calibrations={folder: records, expired: mark}",))
    done = session.execute(marked, place / "runs")
    assert done.header["calibrations"]["records"][0]["state"] == "expired"
    warnings = [text for _, kind, text in done.events if kind == "warning"]
    assert any("expired 2020-01-31" in text and "used all the same" in text for text in warnings)
    assert any("uncalibrated: no record of update-curve" in text for text in warnings)
    assert "uncalibrated: expired 2020-01-31" in write_report(done).read_text()
    shown = CliRunner().invoke(app, ["show", str(done.path)]).output
    assert "(uncalibrated: expired" in " ".join(shown.split())


def test_of_another_device_or_pulse_no_record_speaks(place: Path) -> None:
    changed = BENCH.replace(
        "initial: uniform", "initial: uniform\n  potentiate: {amplitude: 4 V, width: 75 ns}"
    )
    (place / "bench.yaml").write_text(changed + KEY)
    said = refused(place)
    assert said.count("potentiate was 3.65 V for 7.5e-08 s") == 1
    assert "this is 4 V for 7.5e-08 s" in said


@pytest.mark.parametrize(
    ("key", "spoil", "said"),
    [
        ("calibrations: nowhere", lambda f: None, "calibrations.folder: no folder"),
        (
            "calibrations: {folder: empty}",
            lambda f: (f / "empty").mkdir(),
            "no record of chip with array main",
        ),
        (
            "calibrations: {folder: records, use: [offset]}",
            lambda f: [path.unlink() for path in (f / "records").glob("*read-noise*")],
            "no record of offset or read-noise for array main",
        ),
        (
            "calibrations: records",
            lambda f: [path.write_bytes(b"no") for path in (f / "records").glob("*devices*")],
            "devices.npz: not a calibration record, or damaged",
        ),
        (
            "calibrations: {folder: records, use: [noise]}",
            lambda f: None,
            "calibrations.use.0: asked for 'noise'",
        ),
        ("calibrations: {folder: records, use: []}", lambda f: None, "calibrations.use"),
        ("calibrations: {use: [devices]}", lambda f: None, "calibrations.folder: missing"),
        ("calibrations: 3", lambda f: None, "calibrations: asked for 3"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_line(place: Path, key: str, spoil, said: str) -> None:
    spoil(place)
    (place / "bench.yaml").write_text(BENCH + key + "\n")
    told = refused(place)
    assert told.startswith(f"{place / 'bench.yaml'}:12")
    assert said in told


def test_a_partial_record_is_passed_over(place: Path) -> None:
    settings, _ = setup.load_bench(place / "bench.yaml")
    routine = routines(["devices"])["devices"]
    later = datetime.now(UTC) + timedelta(minutes=1)
    with setup.open_bench(settings) as bench:
        (target,) = targets(bench.arrays)
        done: list[int] = []
        calibrate(
            "devices", routine, bench, target, About("chip"), place / "records", done.append,
            lambda: bool(done), lambda: later,
        )  # fmt: skip
    assert any(each.routine == "devices" for each in prepared(place).bench.calibrations.used)


def test_devices_that_were_not_examined_count_as_working(place: Path) -> None:
    shutil.rmtree(place / "records")
    measure(place, names=("devices",), devices=("0-3,all",))
    bench = prepared(place).bench
    info: ArrayInfo = bench.arrays["main"]
    faulty = np.argwhere(info.faults.faulty)
    assert faulty.tolist() == [[0, 0], [1, 4], [2, 9], [3, 2]]
    assert info.faults.kind[1, 4] == KINDS.index("shorted")
    assert "4 of 64 devices do not work, 160 were not examined" in bench.calibrations.used[0].told
    (warned,) = (text for text in bench.calibrations.warnings if "uncalibrated" not in text)
    assert "4 x 16 devices of 14 x 16; 160 were not examined and are taken to work" in warned


def test_a_kind_that_is_none_is_refused_once(place: Path) -> None:
    told = refused(place, bench=("calibrations={folder: records, use: [device]}",))
    assert "use.0: asked for 'device'" in told
    assert "at least 1" not in told
    assert "at least 1" in refused(place, bench=("calibrations={folder: records, use: []}",))


def test_the_codes_of_faults_are_those_that_the_routine_writes() -> None:
    from calibration.devices import KINDS as WRITTEN

    assert WRITTEN == KINDS


def test_a_bench_that_names_no_records_knows_nothing(place: Path) -> None:
    (place / "bench.yaml").write_text(BENCH)
    settings, _ = setup.load_bench(place / "bench.yaml")
    with setup.open_bench(settings) as bench:
        assert known_by_records(settings, bench, datetime.now(UTC)).used == ()
