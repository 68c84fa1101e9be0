"""`hil calibrate` and `hil calibration`: the commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.calibrate import FOLDER
from hil.cli.options import FLAG, Json

calibration = typer.Typer(
    help="Look at calibration records: list, show, plot, analyse.", no_args_is_help=True
)

RecordArgument = Annotated[
    Path, typer.Argument(metavar="RECORD", help="A record, or a folder of records: then its newest.")
]


def calibrate(
    bench: Annotated[Path, typer.Argument(metavar="BENCH.yaml", help="Bench file.")],
    routines: Annotated[
        list[str] | None,
        typer.Option("--routine", metavar="NAME", help="What to measure; may be repeated."),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", metavar=FLAG, help="All that are installed, but for those that change devices for good."
        ),
    ] = False,
    devices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ARRAY:]ROWS,COLS",
            help="Some lines, as 0-7,0-31 or main:0-31/4,all; none: all arrays, all devices.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="[ROUTINE.]KEY=VALUE", help="Change a setting of a routine."),
    ] = None,
    bench_overrides: Annotated[
        list[str] | None, typer.Option("--bench-set", metavar="KEY=VALUE", help="Change a key of the bench.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="ROWSxCOLS", help="Of a simulated bench whose file names no arrays."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of simulated chance; a simulated chip is its seed.")] = 1,
    notes: Annotated[
        list[str] | None,
        typer.Option("--note", metavar="NAME=TEXT", help="A condition to record: temperature=295 K."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where records are kept.")] = FOLDER,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            metavar=FLAG,
            help="Do not ask: on instruments, and before what changes devices for good.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Measure the arrays of a bench, and keep a dated record of each routine.

    Pulses that a routine gives are wear: they count against the dose budget. Ctrl-C once stops after the
    schedule under way, twice at once; what was measured is kept as a partial record, the outputs end at 0 V.
    """
    from hil.cli.calibrating import Asked, run_calibrations

    asked = Asked(
        bench,
        tuple(routines or ()),
        every,
        tuple(devices or ()),
        tuple(overrides or ()),
        tuple(bench_overrides or ()),
        size,
        seed,
        tuple(notes or ()),
        out,
        yes,
    )
    raise typer.Exit(run_calibrations(asked, json))


@calibration.command("list")
def list_records(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where records are kept.")] = FOLDER,
    json: Json = False,
) -> None:
    """List records, oldest first, and whether they still hold."""
    from hil.cli.calibrated import print_list

    print_list(folder, json)


@calibration.command("show")
def show_record(record: RecordArgument = FOLDER, json: Json = False) -> None:
    """Say what was measured, under which conditions, and what it comes to."""
    from hil.cli.calibrated import print_record

    print_record(record, json)


@calibration.command("plot")
def plot_record(
    record: RecordArgument = FOLDER,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PNG, SVG or PDF by its ending; none: a PNG beside the record."),
    ] = None,
) -> None:
    """Draw a record as the field draws it."""
    from hil.cli.calibrated import plot

    typer.echo(str(plot(record, output)))


@calibration.command("analyse")
def analyse_record(
    record: Annotated[
        Path,
        typer.Argument(
            metavar="RECORD",
            help="A record, or a folder of records: then its newest partial one without a result.",
        ),
    ] = FOLDER,
    again: Annotated[
        bool, typer.Option("--again", metavar=FLAG, help="Of a record that has its result, too.")
    ] = False,
    json: Json = False,
) -> None:
    """Derive the result of a record from its raw data, without a bench, as a new record beside it.

    For a calibration that was stopped at once, or killed, when all was measured. Where something was not
    measured it is said what is missing; nothing is overwritten. A record that has its result is refused
    without --again.
    """
    from hil.cli.calibrated import print_analysed

    print_analysed(record, again, json)
