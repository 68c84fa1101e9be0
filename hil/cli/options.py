"""Options that commands of several files share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FLAG = ""  # typer would show a flag as taking a <bool>
Json = Annotated[
    bool, typer.Option("--json", metavar=FLAG, help="One JSON document on stdout, nothing else.")
]
Experiment = Annotated[
    Path | None, typer.Argument(metavar="EXPERIMENT.yaml", help="Experiment file; none: the built-in.")
]
Bench = Annotated[Path | None, typer.Option(metavar="BENCH.yaml", help="Bench file; none: simulated arrays.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the experiment.")
]
BenchOverrides = Annotated[
    list[str] | None, typer.Option("--bench-set", metavar="KEY=VALUE", help="Change a key of the bench.")
]
DataDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of data files.")]
Report = Annotated[bool, typer.Option("--report/--no-report", metavar=FLAG, help="Write the HTML report.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar=FLAG, help="No progress: warnings and the result.")
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", metavar=FLAG, help="Do not ask before a run on instruments.")
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, or a folder of runs: then its newest.")
]
RUNS = Path("runs")
