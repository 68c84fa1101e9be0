"""`hil check`: whether the instruments of a bench are there and as its file says, and what to do if not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hil import setup
from hil.check import FileFinding, Finding, check_file, check_instruments
from hil.cli.failure import exit_code
from hil.cli.show import print_json, printable
from hil.config.bench import BenchSettings
from hil.errors import BenchError
from hil.units import format_quantity

_WIDTH_OF_FILES = 120
_ROWS = (
    "resource",
    "instrument",
    "serial",
    "firmware",
    "language",
    "limits",
    "state",
    "errors",
    "round trip",
)


def run_check(bench: Path, overrides: Sequence[str], *, json: bool) -> int:
    """Check the file and all instruments, say what was found, and return the exit code: 0 if all is well.

    Raises
    ------
    ConfigError
        The file is wrong, or its driver cannot check.
    """
    settings, _ = setup.load_bench(bench, overrides)
    file, findings = check_file(settings), check_instruments(settings)
    if json:
        instruments = [_plain(finding) for finding in findings]
        said = {"problems": list(file.problems), "warnings": list(file.doubts)}
        print_json({"bench": str(bench), "name": settings.name, **said, "instruments": instruments})
    else:
        _print(bench, settings, file, findings)
    wrong = file.problems or any(finding.problems for finding in findings)
    return exit_code(BenchError()) if wrong else 0


def _plain(finding: Finding) -> dict[str, Any]:
    resource, seen = finding.resource, finding.seen
    return {
        "role": resource.role,
        "resource": resource.name,
        "ok": not finding.problems,
        **({} if seen is None else asdict(seen)),
        "problems": list(finding.problems),
        "warnings": list(finding.warnings),
    }


def _print(bench: Path, settings: BenchSettings, file: FileFinding, findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
    if findings:
        console.print(_table(findings))
    wrong = [*file.problems, *(problem for finding in findings for problem in finding.problems)]
    doubts = [*file.doubts, *(warning for finding in findings for warning in finding.warnings)]
    for colour, lines in (("red", wrong), ("yellow", [f"warning: {doubt}" for doubt in doubts])):
        for line in lines:
            console.print(printable(line), style=colour, soft_wrap=True, markup=False)
    well = sum(not finding.problems for finding in findings)
    end = (
        f"{well} of {len(findings)} as the file says"
        if findings
        else f"driver {settings.driver} connects to no instrument; there is none to check"
    )
    console.print(f"{bench}: {end}", soft_wrap=True, markup=False)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", style="bold", no_wrap=True)
    for finding in findings:
        table.add_column(finding.resource.role, overflow="fold")
    cells = [_cells(finding) for finding in findings]
    for name in _ROWS:
        if any(name in each for each in cells):
            table.add_row(name, *(printable(each.get(name, "-")) for each in cells))
    return table


def _cells(finding: Finding) -> dict[str, str]:
    seen = finding.seen
    if seen is None:
        return {"resource": finding.resource.name}
    who = seen.identity
    trip = format_quantity(seen.round_trip_s, "s", digits=2)
    values = (
        *(finding.resource.name, f"{who.maker} {who.model}", who.serial, who.firmware, who.language),
        *(seen.limits, seen.state, "; ".join(seen.errors) or "none", trip),
    )
    return dict(zip(_ROWS, values, strict=True))
