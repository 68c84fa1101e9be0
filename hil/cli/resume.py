"""`hil resume`: go on with a run whose process has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.cli.options import RUNS, DataDir, Json, Quiet, Report, RunArgument, Yes


def resume(
    run: RunArgument = RUNS,
    experiment: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where its experiment file is now, if it was moved.")
    ] = None,
    bench: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where its bench file is now, if it was moved.")
    ] = None,
    data_dir: DataDir = None,
    report: Report = True,
    json: Json = False,
    quiet: Quiet = False,
    yes: Yes = False,
) -> None:
    """Go on with a run that was stopped or killed, on a bench whose devices outlive it.

    It begins from what the devices hold. A step of which a pulse may have been given is over; none is given
    twice. A new run is recorded beside the old one.
    """
    from hil.cli.train import Asked, run_training
    from hil.remainder import remainder

    again = remainder(run, experiment, bench)
    asked = Asked(*again.files, data_dir, again.run.path.parent, report, again)
    raise typer.Exit(run_training(asked, json=json, quiet=quiet, yes=yes))
