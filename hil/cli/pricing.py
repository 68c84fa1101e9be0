"""`hil price`: rehearse a run, and say what it will take; and the question that `hil train` asks before it
begins on a bench whose devices stay as it leaves them.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import IO, Any, cast

from rich.console import Console, Group, RenderableType
from rich.text import Text

from hil import setup
from hil.cli.bars import bar_on, rehearsals
from hil.cli.present import require_present
from hil.cli.screen import CompilerOnce, Tough
from hil.cli.show import print_json, two_columns
from hil.cli.signals import Stop
from hil.errors import ConfigError, HilError
from hil.interrupt import unwrapped_interrupts
from hil.jit import watching_compiler
from hil.price.asked import Exchanges
from hil.price.price import RANGES, Asked, Price, price
from hil.price.rehearse import Extent
from hil.price.words import about, figures, headline
from hil.units import counted, duration

_MOMENT = Extent(budget_s=3.0)
_WIDTH_OF_FILES = 120
_DECLINED = 2
"""Exit code: nothing was started."""


def run_price(asked: Asked, exchanges: Exchanges, json: bool) -> int:
    """Price as asked, say it, and return the exit code.

    Raises
    ------
    HilError
        What kept it from being rehearsed, or would end the run.
    """
    exchanges.require_folder()
    console = _console(sys.stderr if json else sys.stdout)
    with Stop() as stop:
        try:
            compiler = watching_compiler(CompilerOnce(console))
            with unwrapped_interrupts(), compiler, bar_on(console) as shown:
                found = price(asked, exchanges, rehearsals(shown, asked.seeds))
        except KeyboardInterrupt:
            console.print(Text("stopped; nothing was output", "yellow"))
            return stop.exit_code
    if json:
        print_json(document(found))
    else:
        console.print(told_in_full(found))
    return 0


def declined(asked: Asked, stream: IO[str]) -> int:
    """Say in short what a run on instruments will take, and ask whether to go on.

    0: yes, or there are no instruments to ask about; else the exit code.

    Raises
    ------
    ConfigError
        The files are wrong; or there is no terminal to ask at.
    BenchError
        An instrument does not answer, or is not as the file says.
    """
    _, (settings, given) = setup.load_both(
        asked.experiment, asked.bench, asked.overrides, asked.bench_overrides
    )
    if not settings.resources:
        return 0
    if not (sys.stdin.isatty() and stream.isatty()):
        raise ConfigError(
            f"{given.path}: this bench has devices that stay as a run leaves them, and there is no terminal "
            "to ask at; say --yes to train without a question (hil price tells what the run will take)"
        )
    console = _console(stream)
    with Stop() as stop:
        try:
            require_present(settings, console)
            console.print(_estimate(asked, console))
            console.print("go on? [y/N] ", end="", markup=False)
            if sys.stdin.readline().strip().lower() in ("y", "yes"):
                return 0
        except KeyboardInterrupt:
            console.print()
    console.print("not begun; nothing was output")
    return stop.exit_code or _DECLINED


def _estimate(asked: Asked, console: Console) -> RenderableType:
    try:
        with console.status("rehearsing the first steps ..."), unwrapped_interrupts():
            return _in_short(price(replace(asked, seeds=1, extent=_MOMENT), Exchanges()))
    except HilError as error:
        return Text(f"no estimate of what it will take: {error}", "yellow")


def _in_short(found: Price) -> RenderableType:
    run = found.runs[0]
    cost, about = run.cost, "" if run.whole else "about "
    told = (
        f"{about}{duration(cost.seconds)} on the bench, {counted(cost.transactions, 'transaction')}, "
        f"{counted(cost.pulses, 'pulse')}, {counted(cost.reads, 'reading')}; "
        f"{counted(run.wear, 'pulse')} to the most pulsed device"
    )
    part = (
        "" if run.whole else f" (from {run.steps:,} of {counted(run.of_steps, 'step')}; hil price tells more)"
    )
    records = [Text(f"calibrations: {found.calibrations}")] if found.calibrations else []
    return Group(
        Text(told + part), *records, *(Text(f"warning: {each}", "yellow") for each in found.warnings)
    )


def told_in_full(found: Price) -> RenderableType:
    """A price as people read it."""
    return Group(
        Text(headline(found), "bold"),
        two_columns(about(found)),
        Text(),
        two_columns(figures(found)),
        *(Text(f"warning: {each}", "yellow") for each in found.warnings),
    )


def document(found: Price) -> dict[str, Any]:
    """A price as plain data, SI units."""
    return {
        "experiment": found.experiment,
        "bench": found.bench,
        "devices": found.devices,
        "exchange": None if found.exchange is None else found.exchange._asdict(),
        "whole": found.whole,
        **{name: getattr(found, name)._asdict() for name in RANGES},
        "accuracy": None if found.accuracy is None else found.accuracy._asdict(),
        "dose": found.dose,
        "warnings": list(found.warnings),
        "calibrations": found.calibrations or None,
        "runs": [
            {
                "seed": run.seed,
                "steps": run.steps,
                "of_steps": run.of_steps,
                "cost": asdict(run.cost),
                "wear": run.wear,
                "accuracy": run.accuracy,
            }
            for run in found.runs
        ],
    }


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else _WIDTH_OF_FILES
    return Console(file=cast(IO[str], Tough(stream)), highlight=False, width=width, force_jupyter=False)
