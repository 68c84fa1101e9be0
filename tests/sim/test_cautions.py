"""What a routine warns of before it begins and in its record: readings that nothing bounds, and currents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from calibration.devices import Devices
from calibration.forming import Forming
from calibration.update_curve import UpdateCurve
from drivers.sim import driver
from hil import setup
from hil.bench import Compliance
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Target, cautions_of
from hil.calibrate.file import read_record
from hil.cli import app
from hil.errors import ConfigError
from hil.limits import Limits
from hil.price.exchange import Exchange
from hil.price.opening import rehearsal_of

ROOT = Path(__file__).parents[2]
made: Any = driver.settings
STATED = {"current": 1e-4, "by": "series resistor of 10 kohm"}
UNFORMED = {"preset": "ENODe", "forming": {"amplitude": 3.0}}


def target_of(limits: Limits | None = None, **settings: object) -> Target:
    """Read at 100 mV, pulsed with 1 V and -1 V."""
    bench = driver.open(made(device="ENODe", **settings), {"main": (3, 4)}, 1)
    return replace(Target.whole(bench.arrays["main"]), limits=limits or Limits())


def test_a_reading_above_the_nominal_one_is_warned_of_where_nothing_bounds_it() -> None:
    (told,) = cautions_of(UpdateCurve(voltage=0.5), target_of())
    assert told.startswith("read at 500 mV, above the nominal 100 mV, and the bench file has no limits.read")
    for routine, limits in ((UpdateCurve(voltage=0.5), Limits(read_v=0.5)), (Devices(voltage=0.1), None)):
        assert cautions_of(routine, target_of(limits)) == ()


@pytest.mark.parametrize(
    ("volts", "limits", "said"),
    [
        (10.0, Limits(), "voltage: asked for 10 V; the device's own pulses: 1 V, so a reading would program"),
        (1.0, Limits(), "voltage: asked for 1 V; the device's own pulses: 1 V"),
        (0.9, Limits(program_v=0.8), "voltage: asked for 900 mV; limits.program of the bench: 800 mV"),
    ],
)
def test_a_reading_as_high_as_a_pulse_is_refused_before_the_first_one(
    volts: float, limits: Limits, said: str
) -> None:
    for routine in (UpdateCurve(voltage=volts), Devices(voltage=volts)):
        with pytest.raises(ConfigError, match=said):
            next(routine.plan(target_of(limits)))
        assert next(routine.plan(target_of(replace(limits, read_v=10.0))))


def test_forming_says_that_its_compliance_is_not_enforced_or_by_what_it_is(tmp_path: Path) -> None:
    stated = made(device=UNFORMED, program={"compliance": STATED})
    for settings, said in (
        (made(device=UNFORMED), "the compliance of 100 uA is not enforced"),
        (stated, "the current in a pulse is bounded to 100 uA by series resistor of 10 kohm"),
    ):
        bench = driver.open(settings, {"main": (3, 3)}, 1)
        target = Target.whole(bench.arrays["main"])
        forming = Forming(compliance=1e-4, most_amplitude=4.0)
        kept = calibrate("forming", forming, bench, target, About("bench"), tmp_path)
        assert said in kept.record.result.findings[-1]
        assert read_record(kept.path).target.info.compliance == bench.arrays["main"].compliance
    alone = Forming(most_amplitude=4.0)  # the bench tells it
    assert "stated compliance: 100 uA" in alone.analyse(kept.record.steps, target).findings[0]
    with pytest.raises(ConfigError, match=r"compliance: asked for 1 mA; program\.compliance .* is 100 uA"):
        alone.model_copy(update={"compliance": 1e-3}).amplitudes(target)
    with pytest.raises(ConfigError, match="compliance: not given"):
        alone.amplitudes(target_of())


@pytest.mark.parametrize("name", ["crosspoint", "line", "arc2"])
def test_a_bench_of_instruments_carries_what_its_file_states(name: str) -> None:
    path, words = (
        ROOT / f"examples/benches/{name}-virtual.yaml",
        "{current: 100 uA, by: gate of a transistor}",
    )
    for overrides, known in (
        ((), None),
        ((f"program.compliance={words}",), Compliance(1e-4, "gate of a transistor")),
    ):
        settings = setup.load_bench(path, overrides)[0]
        assert settings.compliance == known
        with rehearsal_of(settings, None, Exchange(0.0, ""))(settings, {}, 1) as bench:
            assert {info.compliance for info in bench.arrays.values()} == {known}


@pytest.mark.parametrize("name", ["crosspoint", "line", "arc2", "built-in"])
def test_a_current_without_what_bounds_it_is_refused_with_how_to_write_it(name: str) -> None:
    path = ROOT / f"examples/benches/{name if name == 'built-in' else f'{name}-virtual'}.yaml"
    with pytest.raises(ConfigError) as refused:
        setup.load_bench(path, ("program.compliance=100 uA",))
    assert "program.compliance: asked for 100 uA alone; nothing of this bench bounds" in str(refused.value)
    assert "{current: 100 uA, by: series resistor of 10 kohm}" in str(refused.value)


def test_it_is_told_before_the_routine_and_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bench.yaml").write_text("driver: sim\narrays: {main: {rows: 3, cols: 3}}\ndevice: ENODe\n")
    words = ["calibrate", "bench.yaml", "--routine", "devices", "--json", "--set"]
    done = CliRunner().invoke(app, [*words, "voltage=500 mV"])
    assert done.exit_code == 0
    assert done.stderr.index("no limits.read") < done.stderr.index("devices of main 3 x 3 ...")
    assert done.stdout.count("no limits.read") == 2  # expected, and in the record's findings
    refused = CliRunner().invoke(app, [*words, "voltage=10 V"])
    assert refused.exit_code == 2
    assert "the device's own pulses: 1 V" in refused.stderr
