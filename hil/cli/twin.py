"""`hil twin`: the command and its options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hil.cli.options import FLAG, Json


class ModelName(StrEnum):
    """How devices answer pulses."""

    AUTO = "auto"
    EXPONENTIAL = "exponential"
    TABLE = "table"


def twin(
    records: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RECORD", help="Calibration records, or folders of them."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.yaml", help="Bench file to write.")
    ] = Path("twin.yaml"),
    model: Annotated[
        ModelName, typer.Option(help="How devices answer pulses; auto: by goodness of fit.")
    ] = ModelName.AUTO,
    array: Annotated[str | None, typer.Option(metavar="NAME", help="Of records of several arrays.")] = None,
    expired: Annotated[
        bool, typer.Option("--expired", metavar=FLAG, help="Take expired records too.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", metavar=FLAG, help="Write over files there are.")] = False,
    json: Json = False,
) -> None:
    """Fit a simulated bench to the calibration records of an array: its measured twin.

    Writes a bench file that every command takes, the maps of all devices beside it (.npz), and a figure of
    what the fit leaves (.png).
    """
    from hil.calibrate.twin import Asked
    from hil.cli.twinning import twin_of_records

    twin_of_records(tuple(records or ()), output, Asked(model.value, array, expired), force=force, json=json)
