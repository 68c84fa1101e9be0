"""`hil price`: the command and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.cli.options import FLAG, Bench, BenchOverrides, DataDir, Experiment, Json, Overrides


def price(
    experiment: Experiment = None,
    bench: Bench = None,
    twin: Annotated[
        Path | None,
        typer.Option(metavar="TWIN.yaml", help="Devices as measured; none: those of the bench file."),
    ] = None,
    overrides: Overrides = None,
    bench_overrides: BenchOverrides = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Rehearsals, each with its own seed.")] = 3,
    share: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Part of the steps to rehearse; none: what fits into 20 s each."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", metavar=FLAG, help="Rehearse all steps.")] = False,
    exchange: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time of one exchange with an instrument; none: from records."),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Calibration records; none: calibrations beside the bench file."),
    ] = None,
    night: Annotated[str, typer.Option(metavar="TIME", help="Warn of longer runs.")] = "12 h",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say what a run will take: time, transactions, pulses, wear, accuracy.

    It is rehearsed on simulated devices. The instruments are not opened, and nothing is recorded.
    """
    from hil.cli.pricing import run_price
    from hil.price.asked import Exchanges, extent, seconds
    from hil.price.price import NIGHT_S, Asked

    asked = Asked(
        experiment,
        bench,
        tuple(overrides or ()),
        tuple(bench_overrides or ()),
        twin,
        data_dir,
        seeds,
        extent(share, full=full),
        seconds("night", night) or NIGHT_S,
    )
    raise typer.Exit(run_price(asked, Exchanges(seconds("exchange", exchange), records), json))
