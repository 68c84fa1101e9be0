"""What a run will cost, told before it is begun: held against what the same run then takes."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from calibration.devices import Devices
from calibration.read_noise import ReadNoise
from drivers.sim.bench import SimBench
from hil import session, setup
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Target
from hil.cli import app
from hil.config.bench import BenchSettings
from hil.errors import ConfigError
from hil.price.exchange import ASSUMED_S, Exchange, exchange_of, exchange_s
from hil.price.price import Asked, price
from hil.price.rehearse import Extent

EXPERIMENT = """\
name: small
seed: 3
data: {name: mnist-5k, train: 120, test: 40, pixels: 7}
network: {layers: [{outputs: 10, activation: softmax}]}
gradient: backprop
update: bidirectional
training: {epochs: 2, batch: 7, rate: 0.3, evaluations: 3, update_noise_every: 5}
"""
CROSSPOINT = """\
driver: crosspoint
smu: {driver: keithley-2600, resource: "TCPIP::127.0.0.1::1::SOCKET"}
pulser: {driver: keysight-33500, resource: "TCPIP::127.0.0.1::2::SOCKET"}
matrix: {driver: keithley-700, resource: "TCPIP::127.0.0.1::3::SOCKET"}
buses: {smu: A, pulser: B, ground: C}
arrays: {main: {rows: 0-3, cols: 4-9}}
device:
  preset: ENODe
  potentiate: {amplitude: 1 V, width: 1 ms, gap: 1 ms}
  depress: {amplitude: -1 V, width: 1 ms, gap: 1 ms}
read: {integration: 3 ms, settle: 1 ms}
program: {dose: 1000, ledger: doses}
"""
RINGS = """\
name: rings
data: {name: csv, path: rings.csv, train: 20, test: 8}
network: {layers: [{outputs: 2, activation: softmax, bias: false}]}
gradient: backprop
update: bidirectional
training: {epochs: 1, batch: 5, rate: 0.3}
initial: {kind: keep}
"""


def written(folder: Path, **files: str) -> dict[str, Path]:
    """Files by their name without the ending."""
    found = {name: folder / f"{name}.yaml" for name in files}
    for name, path in found.items():
        path.write_text(files[name], encoding="utf-8")
    return found


def free(settings: BenchSettings) -> Exchange:
    return Exchange(0.0, "nothing")


@pytest.fixture
def small(tmp_path: Path) -> Asked:
    files = written(
        tmp_path, small=EXPERIMENT, sim="driver: sim\ndevice: {preset: ENODe, d2d: {step: 0.1}}\n"
    )
    return Asked(files["small"], files["sim"], seeds=1)


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_price_of_a_simulated_run_is_what_it_then_takes(
    epochs: int, small: Asked, tmp_path: Path
) -> None:
    keys = [f"training.epochs={epochs}"]
    told = price(replace(small, seeds=2, overrides=tuple(keys)), free)
    for run, seed in zip(told.runs, (3, 4), strict=True):
        prepared = session.prepare(small.experiment, small.bench, [*keys, f"seed={seed}"])
        taken = session.execute(prepared, tmp_path / "runs").summary
        assert {name: taken[name] for name in asdict(run.cost)} == pytest.approx(asdict(run.cost))
        assert (taken["wear"], taken["accuracy"]) == (run.wear, run.accuracy)
    assert told.whole
    assert told.exchange is None


def test_a_driver_that_names_no_instruments_is_not_rehearsed_on_devices_that_last(
    small: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimBench, "durable", True)
    with pytest.raises(ConfigError, match="nobody be asked before they are pulsed"):
        price(small, free)


def test_a_part_of_a_run_is_counted_up_to_all_of_it(small: Asked) -> None:
    whole, part = price(small, free).runs[0], price(replace(small, extent=Extent(0.5)), free).runs[0]
    assert (part.steps, part.of_steps, whole.steps) == (18, 36, 36)
    assert part.accuracy is None
    assert part.cost.transactions == pytest.approx(whole.cost.transactions, rel=0.02)
    assert part.cost.reads == pytest.approx(whole.cost.reads, rel=0.02)
    assert part.cost.pulses == pytest.approx(whole.cost.pulses, rel=0.2)
    assert part.wear == pytest.approx(whole.wear, rel=0.3)


def test_few_steps_are_enough_to_know_what_every_step_and_evaluation_reads(small: Asked) -> None:
    """Measured steps read more, and are one in five; nothing is evaluated before the rehearsal ends."""
    whole, part = price(small, free).runs[0], price(replace(small, extent=Extent(0.01)), free).runs[0]
    assert part.steps == 2
    assert part.cost.reads == pytest.approx(whole.cost.reads, rel=0.02)


def test_a_dose_or_a_night_that_is_too_short_is_warned_of(small: Asked) -> None:
    told = price(replace(small, bench_overrides=("limits.dose=20",), night_s=1e-6), free)
    night, dose = told.warnings
    assert night.startswith("longer than a night of 1 us: ")
    assert f"would get {told.runs[0].wear:,} pulses; limits.dose allows 20" in dose
    assert price(small, free).warnings == ()


@pytest.fixture
def crosspoint(tmp_path: Path) -> Asked:
    rings = "a,b,label\n" + "".join(f"{np.cos(k):.3f},{np.sin(k):.3f},{k % 2}\n" for k in range(40))
    (tmp_path / "rings.csv").write_text(rings)
    files = written(tmp_path, rings=RINGS, bench=CROSSPOINT)
    return Asked(files["rings"], files["bench"], seeds=1)


def test_instruments_that_are_not_there_are_priced_and_nothing_is_counted_in_the_ledger(
    crosspoint: Asked, tmp_path: Path
) -> None:
    told = price(crosspoint, free)
    cost = told.runs[0].cost
    assert cost.transactions > cost.reads > 0
    assert not (tmp_path / "doses").exists()
    assert told.exchange is not None


def test_what_the_ledger_has_counted_is_in_the_budget_of_a_life(crosspoint: Asked, tmp_path: Path) -> None:
    assert price(crosspoint, free).warnings == ()
    given = price(crosspoint, free).runs[0].given["main"]
    row, col = np.unravel_index(int(given.argmax()), given.shape)
    spent = np.full(given.shape, 1001, np.uint32)  # over already, but not pulsed further
    spent[given > 0] = 0
    spent[row, col] = 1000 - given.max()
    (tmp_path / "doses").mkdir()
    np.save(tmp_path / "doses" / "main.npy", spent)
    assert price(crosspoint, free).warnings == ()
    spent[row, col] += 1
    np.save(tmp_path / "doses" / "main.npy", spent)
    (told,) = price(crosspoint, free).warnings
    before = 1001 - given.max()
    assert f"1,001 pulses in its life, {before:,} of them so far; program.dose allows 1,000" in told
    np.save(tmp_path / "doses" / "main.npy", spent[:2])
    with pytest.raises(ConfigError, match=r"program\.ledger: .*another array needs another ledger"):
        price(crosspoint, free)


def test_devices_that_records_call_faulty_are_left_alone(crosspoint: Asked, tmp_path: Path) -> None:
    assert crosspoint.bench is not None
    settings, given = setup.load_bench(crosspoint.bench)
    files = written(
        tmp_path,
        twin="driver: sim\narrays: {main: {rows: 4, cols: 6}}\n"
        "device: {preset: ENODe, faults: {stuck: [[0, 0]]}}\n",
    )
    from drivers.crosspoint.rehearsal import rehearsal

    twin = setup.load_bench(files["twin"])[0]
    bench = rehearsal.open(settings, twin, 0.0, 1)  # pyright: ignore[reportArgumentType]
    about = About(settings.name, {"file": given.path.name, "resolved": settings.model_dump(mode="json")})
    target = Target.whole(bench.arrays["main"])
    calibrate("devices", Devices(repeats=3), bench, target, about, tmp_path / "records")
    without = price(crosspoint, free)
    assert without.calibrations == ""
    assert without.runs[0].given["main"][0, 0] > 0
    told = price(replace(crosspoint, bench_overrides=("calibrations=records",)), free)
    assert told.runs[0].given["main"][0, 0] == 0
    assert told.runs[0].cost.pulses > 0
    assert told.calibrations.startswith("faults are avoided; measured ranges, steps and offsets are left out")
    with pytest.raises(ConfigError, match="no folder"):
        price(replace(crosspoint, bench_overrides=("calibrations=nowhere",)), free)


def test_all_seeds_are_priced_on_the_simulated_chip_that_was_calibrated(small: Asked, tmp_path: Path) -> None:
    chip = written(
        tmp_path, chip="driver: sim\nname: chip\narrays: {main: {rows: 50, cols: 20}}\ndevice: ENODe\n"
    )
    asked = replace(small, bench=chip["chip"], seeds=2)
    settings, given = setup.load_bench(asked.bench)
    bench = setup.open_bench(settings, {}, 3)
    about = About(settings.name, {"file": given.path.name, "resolved": settings.model_dump(mode="json")})
    target = Target.whole(bench.arrays["main"])
    calibrate("devices", Devices(repeats=3), bench, target, about, tmp_path / "records")
    told = price(replace(asked, bench_overrides=("calibrations=records",)), free)
    assert len({run.cost.pulses for run in told.runs}) == 2


def test_real_instruments_are_waited_for_and_every_exchange_takes_its_time(crosspoint: Asked) -> None:
    fast, slow = (
        price(crosspoint, lambda _, each=seconds: Exchange(each, "told")).runs[0].cost
        for seconds in (0, 0.01)
    )
    working_s = fast.reads * 4e-3 + fast.pulses * 2e-3
    assert fast.seconds > working_s  # the output of the generator has to settle, too
    assert slow.seconds - fast.seconds == pytest.approx(0.01 * fast.transactions)


def test_the_devices_may_be_those_of_a_twin(crosspoint: Asked, tmp_path: Path) -> None:
    files = written(
        tmp_path,
        twin="driver: sim\ndevice: {preset: ENODe, faults: {stuck: 1.0}}\n",
        other="driver: sim\narrays: {main: {rows: 3, cols: 6}}\n",
        line="driver: line\ncontroller: {resource: x}\narrays: {main: {rows: 0-3, cols: 0-5}}\ndevice: ideal",
    )
    stuck = price(replace(crosspoint, twin=files["twin"]), free)
    assert "twin.yaml" in stuck.devices
    assert stuck.runs[0].cost.pulses != price(crosspoint, free).runs[0].cost.pulses
    for name, message in (
        ("other", "the twin has main 3 x 6; the bench has main 4 x 6"),
        ("line", "asked for line; a twin is a simulated bench"),
    ):
        with pytest.raises(ConfigError, match=message):
            price(replace(crosspoint, twin=files[name]), free)


def test_a_matrix_too_small_for_the_wiring_is_told_with_where_to_say_another(
    crosspoint: Asked,
) -> None:
    with pytest.raises(ConfigError, match=r"arrays\.main\.cols: asked for column 75") as refused:
        price(replace(crosspoint, bench_overrides=("arrays.main.cols=70-75",)), free)
    assert "virtual.matrix.settings" in refused.value.__notes__[0]


def test_records_tell_how_long_an_exchange_takes(crosspoint: Asked, tmp_path: Path) -> None:
    """A calibration on a bench whose exchanges take 7 ms, beside one whose array is read in parallel."""
    assert crosspoint.bench is not None
    settings, given = setup.load_bench(crosspoint.bench)
    assert exchange_of(settings, [tmp_path / "records"], now()).seconds == ASSUMED_S
    from drivers.crosspoint.rehearsal import rehearsal

    bench = rehearsal.open(settings, None, 7e-3, 1)  # pyright: ignore[reportArgumentType]
    about = About(settings.name, {"file": given.path.name, "resolved": settings.model_dump(mode="json")})
    routine = ReadNoise(repeats=8, times=(1.0, 2.0), voltages=(0.5, 1.0))
    target = Target.whole(bench.arrays["main"])
    record = calibrate("read-noise", routine, bench, target, about, tmp_path / "records").record
    assert exchange_s([record]) == pytest.approx(7e-3, rel=0.02)
    found = exchange_of(settings, [tmp_path / "records"], now())
    names_them = setup.load_bench(crosspoint.bench, ("calibrations=records",))[0]
    assert exchange_of(names_them, [tmp_path / "elsewhere"], now()) == found
    assert found.seconds == exchange_s([record])
    assert "1 record" in found.source
    elsewhere = settings.model_copy(update={"name": "another"})
    assert exchange_of(elsewhere, [tmp_path / "records"], now()).seconds == ASSUMED_S


def test_records_that_are_named_and_of_no_use_are_refused(crosspoint: Asked, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["price", str(crosspoint.experiment), "--bench", str(crosspoint.bench), "--records"]
    for folder, told in ((tmp_path / "nowhere", "no such folder"), (empty, "no valid record in it tells")):
        done = CliRunner().invoke(app, [*words, str(folder)])
        assert done.exit_code == 2
        assert f"--records {folder}: " in done.stderr
        assert told in done.stderr


def test_a_clock_of_the_controllers_own_tells_nothing_of_exchanges(tmp_path: Path) -> None:
    files = written(tmp_path, sim="driver: sim\narrays: {main: {rows: 4, cols: 4}}\n")
    settings, _ = setup.load_bench(files["sim"])
    with setup.open_bench(settings) as bench:
        target = Target.whole(bench.arrays["main"])
        record = calibrate("devices", Devices(), bench, target, About("bench"), tmp_path / "records").record
    assert exchange_s([record]) is None


def now() -> datetime:
    return datetime.now(UTC)
