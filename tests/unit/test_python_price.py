"""What a run will take, asked from a notebook: the price of `hil price`, and refusals in Python's words."""

from __future__ import annotations

import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import hil

SMALL = (
    "data.train=60", "data.test=20", "data.pixels=7", "network.layers.0.outputs=8", "training.epochs=1",
    "seed=3",
)  # fmt: skip


def test_a_price_from_python_is_that_of_the_command_line_and_of_the_run(called: Any, tmp_path: Path) -> None:
    words = [word for each in SMALL for word in ("--set", each)]
    theirs = json.loads(called("price", *words, "--full", "--seeds", "2", "--json").stdout)
    ours = hil.price_of(overrides=SMALL, full=True, seeds=2)
    for name in ("seconds", "pulses", "reads", "transactions", "half_selects", "joules", "wear", "accuracy"):
        assert getattr(ours, name)._asdict() == theirs[name]
    run = hil.train(overrides=SMALL, runs=tmp_path / "runs")
    assert ours.runs[0].cost.pulses == run.cost.pulses
    assert ours.pulses.low <= run.cost.pulses <= ours.pulses.high
    assert repr(ours).startswith("<Price: digits on built-in, ")
    assert f"\nmost pulsed device  {ours.wear.mean:,.0f}" in str(ours)


def test_how_rehearsals_go_is_shown_to_whoever_asks(capsys: pytest.CaptureFixture[str]) -> None:
    part = hil.price_of(overrides=SMALL, share=0.1, seeds=1, progress=True)
    assert capsys.readouterr() == ("", "rehearsal 1 of 1, 60 steps ...\n")
    assert part.accuracy is None
    assert "only from whole runs: full=" in str(part)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"share": 2}, "^share=2: above 0 and at most 1 is needed"),
        ({"share": 0.1, "full": True}, "^share= and full=: one of them"),
        ({"exchange": "3"}, "^exchange: 3 has no unit"),
        ({"exchange": -1}, "^exchange=-1: a time of 0 or more is needed"),
        ({"exchange": float("nan")}, "^exchange=nan: a time of 0 or more is needed"),
        ({"night": "long"}, "^night: long is not one number with one unit"),
        ({"records": "nowhere"}, "^records=nowhere: there is no such folder"),
        ({"records": 3}, '^records: asked for int; the path of a folder is needed.*records="calibrations"'),
        ({"seeds": 0}, "^seeds=0: 1 or more are needed"),
        ({"bench": 3}, "^bench: asked for int; the path of a file is needed"),
        (
            {"overrides": ["training.epochs=-1"]},
            r'^overrides=\["training.epochs=-1"\]: training.epochs: asked',
        ),
    ],
)
def test_what_a_price_is_asked_wrong_is_told_in_the_words_of_python(
    given: dict[str, Any], problem: str
) -> None:
    with pytest.raises(hil.ConfigError, match=problem):
        hil.price_of(**given)


@pytest.mark.parametrize(("command", "function"), [("calibrate", "measure"), ("price", "price_of")])
def test_a_command_whose_name_is_taken_is_told_under_its_own(command: str, function: str) -> None:
    with pytest.raises(AttributeError, match=rf"hil {command} is hil\.{function} in Python"):
        hil.__getattr__(command)
    assert function in hil.__all__


def test_no_name_that_is_offered_is_that_of_a_module_which_would_take_its_place() -> None:
    modules = {each.name for each in pkgutil.iter_modules(hil.__path__)}
    assert modules & set(hil.__all__) == {"errors"}
