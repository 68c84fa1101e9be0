"""What came of a study: on the screen, as one JSON document, and as the files runs.csv and table.md."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hil.compare.outcome import Outcome
from hil.compare.results import FIGURES, total
from hil.compare.table import columns, heads, row, run_rows
from hil.compare.table import duration as bench_time
from hil.store.folder import write_whole
from hil.units import counted, duration, energy

_STYLES = {"met": "green", "not met": "red", "open": "yellow"}


def print_outcome(found: Outcome, console: Console, page: Path | None, real_seconds: float | None) -> None:
    """The table, the claims, what failed and why, what all of it took, and where it is."""
    shown = columns(found.cells, found.study.reach)
    axes = found.study.axes
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(heads(axes, shown)):
        table.add_column(heading, justify="left" if number < len(axes) else "right")
    for cell in found.cells:
        table.add_row(*(Text(text) for text in row(cell, shown)))
    console.print(table)
    if found.verdicts:
        console.print()
    for verdict in found.verdicts:
        mark = Text.assemble((f"{verdict.word:<8}", _STYLES[verdict.word]), verdict.claim.text)
        console.print(mark, soft_wrap=True)
        console.print(Text(f"        {verdict.figures}", "dim"), soft_wrap=True)
    for cell, result in found.failed:
        console.print(
            Text.assemble(("failed  ", "red"), f"{cell.cell}, seed {result.seed}: {result.error}"),
            soft_wrap=True,
        )
        if result.path is not None:
            console.print(Text(f"        {result.path}", "dim"), soft_wrap=True)
    console.print()
    for line in (*_remarks(found), _cost(found, real_seconds)):
        console.print(Text(line), soft_wrap=True)
    if page is not None:
        console.print(Text(f"table: {found.folder / 'table.md'}\nruns: {found.folder / 'runs.csv'}"))
        console.print(Text(f"page: {page}"), soft_wrap=True)


def outcome_document(found: Outcome, page: Path | None, real_seconds: float | None) -> dict[str, Any]:
    """Everything but the curves, which are in the runs. Figures are in SI units, accuracies from 0 to 1."""
    axes = found.study.axes
    return {
        "study": found.study.name,
        "title": found.study.title,
        "folder": str(found.folder),
        "page": None if page is None else str(page),
        "real_seconds": real_seconds,
        "cases": [
            {
                "labels": dict(zip((axis.name for axis in axes), cell.cell.labels, strict=True)),
                "runs": len(cell.results),
                "finished": len(cell.finished),
                "mean": {name: cell.mean(name) for name in FIGURES},
                "spread": {name: cell.spread(name) for name in FIGURES},
            }
            for cell in found.cells
        ],
        "claims": [
            {"text": verdict.claim.text, "verdict": verdict.word, "figures": verdict.figures}
            for verdict in found.verdicts
        ],
        "runs": run_rows(axes, found.cells),
    }


def write_tables(found: Outcome) -> None:
    """Write runs.csv, a row for each run, and table.md, a row for each case, into the study's folder.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    rows = run_rows(found.study.axes, found.cells)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(found.folder / "runs.csv", text.getvalue().encode())
    write_whole(found.folder / "table.md", _markdown(found).encode())


def _markdown(found: Outcome) -> str:
    shown = columns(found.cells, found.study.reach)
    head = heads(found.study.axes, shown)
    lines = [_line(head), "|---" * len(head) + "|"]
    lines += [_line(row(cell, shown)) for cell in found.cells]
    if found.verdicts:
        lines += ["", "| claim | verdict | figures |", "|---|---|---|"]
        lines += [_line((verdict.claim.text, verdict.word, verdict.figures)) for verdict in found.verdicts]
    lines += ["", *_remarks(found), _cost(found, None)]
    return "\n".join(lines) + "\n"


def _line(texts: Any) -> str:
    return "| " + " | ".join(str(text).replace("|", "\\|").replace("\n", " ") for text in texts) + " |"


def _remarks(found: Outcome) -> list[str]:
    """What has to be known of the figures: spread, missing runs, revisions."""
    results = [result for cell in found.cells for result in cell.results]
    seeds = len(found.cells[0].results) if found.cells else 0
    told = [f"changed for all: {', '.join(found.changed)}"] if found.changed else []
    told += [f"mean ± standard deviation over {seeds} seeds"] if seeds > 1 else []
    waiting = sum(not result.is_finished and result.status != "failed" for result in results)
    if waiting:
        told.append(
            f"{waiting} of {counted(len(results), 'run is', 'runs are')} not finished; "
            "run the study again for the rest"
        )
    revisions = sorted({result.revision or "unknown" for result in results if result.is_finished})
    if len(revisions) > 1:
        told.append(f"runs are of more than one revision of the code: {', '.join(revisions)}")
    return told


def _cost(found: Outcome, real_seconds: float | None) -> str:
    cost = total(found.cells)
    finished = sum(len(cell.finished) for cell in found.cells)
    real = "" if real_seconds is None else f"; real time {duration(real_seconds)}"
    spent = energy(cost.joules, cost.pulses + cost.reads)
    return (
        f"{counted(finished, 'finished run')} took {counted(cost.pulses, 'pulse')}, "
        f"{counted(cost.reads, 'reading')}, {bench_time(cost.seconds)} on the bench's own clock, "
        f"energy {spent}{real}"
    )
