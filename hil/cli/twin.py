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
    from_csv: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="From pulse responses instead of records; may be repeated."),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(metavar="uS", help="Of --from-csv, where no header gives it.")
    ] = None,
    read_voltage: Annotated[
        str | None, typer.Option(metavar="VOLTS", help='Of --from-csv, that currents were read at: "100 mV".')
    ] = None,
    ends: Annotated[
        str | None,
        typer.Option("--range", metavar="LOW:HIGH", help="Of --from-csv, for normalised data: 1uS:10uS."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="ROWSxCOLS", help="Of --from-csv, of the twin's array; 128x128.")
    ] = None,
    array: Annotated[str | None, typer.Option(metavar="NAME", help="Of records of several arrays.")] = None,
    expired: Annotated[
        bool, typer.Option("--expired", metavar=FLAG, help="Take expired records too.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", metavar=FLAG, help="Write over files there are.")] = False,
    json: Json = False,
) -> None:
    """Fit a simulated bench to the calibration records of an array, or to pulse responses in files.

    Writes a bench file that every command takes, the maps of all devices beside it (.npz), and a figure of
    what the fit leaves (.png).
    """
    from hil.calibrate.twin import Asked
    from hil.cli.twinning import Data, twin_of_data, twin_of_records

    data = Data(tuple(from_csv or ()), unit, read_voltage, ends, size)
    if from_csv:
        twin_of_data(data, tuple(records or ()), output, model.value, force=force, json=json)
    else:
        data.refuse_options()
        asked = Asked(model.value, array, expired)
        twin_of_records(tuple(records or ()), output, asked, force=force, json=json)
