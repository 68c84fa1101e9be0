"""What `hil calibrate` says before it begins, held against what the routines then take."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from calibration.devices import Devices
from calibration.forming import Forming
from calibration.read_noise import ReadNoise
from calibration.update_curve import UpdateCurve
from hil import setup
from hil.calibrate.contracts import Routine, Target
from hil.calibrate.tape import Tape, pulses_spent
from hil.cli.estimating import Wanted, declined
from hil.config.bench import BenchSettings
from hil.plan import run
from hil.price.exchange import Exchange
from hil.price.opening import rehearsal_of
from hil.price.routines import Ahead, foresee, sketched, warnings_of
from tests.sim.test_price import CROSSPOINT

ROOT = Path(__file__).parents[2]
TAKES = Exchange(2e-3, "as told")
LONG = 60.0


def settings_of(folder: Path, *overrides: str) -> BenchSettings:
    path = folder / "bench.yaml"
    path.write_text(CROSSPOINT, encoding="utf-8")
    return setup.load_bench(path, overrides)[0]


@pytest.mark.parametrize(
    "routine", [Devices(), UpdateCurve(cycles=3, points=16)], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize("driver", ["crosspoint", "line"])
def test_a_routine_takes_what_was_expected(routine: Routine, driver: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    if driver == "line":
        settings = setup.load_bench(ROOT / "examples/benches/line-virtual.yaml")[0]
    with rehearsal_of(settings, None, TAKES)(settings, {}, 0) as bench:
        tape, target = Tape(), Target.whole(bench.arrays["main"])
        run(routine.plan(target), bench, tape)
    with sketched(settings, TAKES) as (limited, _):
        found = foresee("it", routine, limited, Target.whole(limited.arrays["main"]), LONG)
    assert found.share == 1
    assert found.cost.pulses == int(found.pulses.sum())
    if isinstance(routine, UpdateCurve):  # what it asks does not depend on how devices answer
        np.testing.assert_array_equal(found.pulses, pulses_spent(tape.steps, target.info.shape))
        assert (found.cost.pulses, found.cost.reads) == (tape.cost.pulses, tape.cost.reads)
    assert found.cost.seconds == pytest.approx(tape.cost.seconds, rel=0.1)
    assert found.cost.transactions == pytest.approx(tape.cost.transactions, rel=0.1)


def test_what_is_not_driven_in_the_time_is_counted_like_the_rest(tmp_path: Path) -> None:
    routine = UpdateCurve(cycles=2000, points=16)
    with sketched(settings_of(tmp_path), TAKES) as (limited, _):
        target = Target.whole(limited.arrays["main"])
        found = foresee("update-curve", routine, limited, target, 0.0)
        up, down = routine.ways(target)
    assert found.share < 1
    to_low = down.points * down.stride
    assert found.pulses.max() == pytest.approx(2000 * (up.points * up.stride + to_low), rel=0.35)


@pytest.mark.parametrize(
    ("budget_s", "said"),
    [(LONG, "nothing is pulsed\n"), (0.0, "nothing is pulsed in the 8 schedules that were rehearsed; later")],
)
def test_that_nothing_is_pulsed_is_said_of_what_was_rehearsed_alone(
    budget_s: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, routine, told = (
        settings_of(tmp_path),
        ReadNoise(repeats=8, times=tuple(range(1, 10))),
        io.StringIO(),
    )
    with sketched(settings, TAKES) as (limited, _):
        target = Target.whole(limited.arrays["main"])
        ahead = Ahead((foresee("read-noise", routine, limited, target, budget_s),), TAKES, ())
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    wanted = Wanted(settings, {"read-noise": routine}, (), (1, 1), 0, tmp_path)
    assert declined(wanted, ahead, Console(file=told, width=200))
    assert said in told.getvalue()
    assert told.getvalue().endswith("not begun; nothing was output\n")


def test_forming_is_expected_at_its_most_and_a_refusal_is_foreseen(tmp_path: Path) -> None:
    forming = Forming(compliance=1e-3, first=1.0, most_amplitude=2.0)
    with sketched(settings_of(tmp_path, "limits.program=3V"), TAKES) as (limited, sketch):
        sketch.unformed = True
        target = Target(limited.arrays["main"], Target.whole(limited.arrays["main"]).region, limited.limits)
        found = foresee("forming", forming, limited, target, LONG)
        assert (found.pulses == forming.amplitudes(target).size).all()
        assert found.at_most
        high = forming.model_copy(update={"most_amplitude": 4.0})
        assert "limits.program of the bench allows 3 V" in foresee("f", high, limited, target, LONG).refused


def test_a_budget_of_a_devices_life_counts_what_is_spent(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "limits.dose=100")
    spent = np.zeros((4, 6), np.uint32)
    spent[1, 2] = 950
    (tmp_path / "doses").mkdir()
    np.save(tmp_path / "doses" / "main.npy", spent)
    with sketched(settings_of(tmp_path), TAKES) as (limited, _):
        target = Target.whole(limited.arrays["main"])
        found = foresee("update-curve", UpdateCurve(cycles=3, points=16), limited, target, LONG)
    most = int(found.pulses.max())
    run_s, life = warnings_of([found], settings)
    assert run_s == f"a device would get {most:,} pulses; limits.dose allows 100"
    assert (
        f"would have had {950 + most:,} pulses in its life, 950 of them so far; program.dose allows" in life
    )
    spent[1, 2] = 0
    np.save(tmp_path / "doses" / "main.npy", spent)
    enough = settings_of(tmp_path, "program.dose=1000000")
    assert warnings_of([found], enough) == ()
