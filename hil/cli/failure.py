"""How a command that fails says so: one message, one exit code, a traceback only when asked for."""

from __future__ import annotations

import os
import traceback

import typer

from hil.errors import BenchError, ConfigError, HilError, LimitError, StoreError

EXIT_CODES = {
    0: "done",
    1: "unexpected error (please report it)",
    2: "usage, configuration or data error; nothing was started",
    3: "a limit refused a schedule; nothing of it was output",
    4: "the bench failed and was made safe",
    5: "a run cannot be written or read",
    6: "some runs of a study failed, or some routines of calibrate --all were refused; the others are kept",
    130: "stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP",
}

_CODES: dict[type[HilError], int] = {ConfigError: 2, LimitError: 3, BenchError: 4, StoreError: 5}


def exit_code(error: HilError) -> int:
    """The exit code of an error by its kind; 1 where the kind has none of its own."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), 1)


def tell(error: HilError) -> None:
    """One message on stderr; ``HIL_DEBUG=1`` puts the traceback before it."""
    if os.environ.get("HIL_DEBUG", "0") not in ("", "0"):
        typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    first, *rest = [str(error), *getattr(error, "__notes__", [])]
    typer.echo(f"{typer.style('error:', fg='red', bold=True)} {first}", err=True)
    for note in rest:
        typer.echo(note, err=True)
