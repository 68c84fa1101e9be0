"""`hil safe`: switch off what somebody left on, each instrument for itself, and say what it answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from hil import setup
from hil.check import Calmed, make_instruments_safe
from hil.cli.failure import exit_code
from hil.cli.show import print_json, printable
from hil.errors import BenchError


def run_safe(bench: Path, overrides: Sequence[str], *, json: bool) -> int:
    """Make all instruments safe, say what became of each, and return the exit code: 0 if all are.

    Raises
    ------
    ConfigError
        The file is wrong, or its driver cannot.
    """
    settings, _ = setup.load_bench(bench, overrides)
    calmed = make_instruments_safe(settings)
    if json:
        print_json({"bench": str(bench), "name": settings.name, "instruments": list(map(_plain, calmed))})
    else:
        _print(bench, settings.driver, calmed)
    return exit_code(BenchError()) if any(each.problems for each in calmed) else 0


def _plain(calmed: Calmed) -> dict[str, object]:
    return {
        "role": calmed.resource.role,
        "resource": calmed.resource.name,
        "ok": not calmed.problems,
        "problems": list(calmed.problems),
        "errors": list(calmed.errors),
    }


def _print(bench: Path, driver: str, calmed: Sequence[Calmed]) -> None:
    for each in calmed:
        told = typer.style("NOT VERIFIED SAFE", fg="red", bold=True) if each.problems else "safe, read back"
        typer.echo(f"{each.resource.role}  {each.resource.name}  {told}")
        for problem in each.problems:
            typer.echo(printable(problem))
        if each.errors:
            typer.echo(
                "errors of earlier commands were in its queue, and are taken out: "
                + printable("; ".join(each.errors))
            )
    well = sum(not each.problems for each in calmed)
    end = f"{well} of {len(calmed)} are safe" if calmed else f"driver {driver} connects to no instrument"
    typer.echo(f"{bench}: {end}")
