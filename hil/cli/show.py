"""Runs on the screen and as JSON documents: one run, or a folder of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hil.cli.words import figures
from hil.store import Run
from hil.store.journal import Table as Rows
from hil.units import counted, percent

_LAST_ROWS = 5


def print_json(document: Any) -> None:
    """Print one document on stdout; what is not a number (NaN) becomes null."""
    typer.echo(json.dumps(_plain(document), indent=2, allow_nan=False))


def two_columns(rows: Iterable[tuple[str, str]]) -> Text:
    """Labels and what they stand for; as text, which pads no line and breaks none in a file."""
    listed = list(rows)
    width = max((len(label) for label, _ in listed), default=0)
    lines = (Text.assemble((f"{label:<{width}}  ", "bold"), text) for label, text in listed)
    return Text("\n").join(lines)


def instruments(identity: Mapping[str, str]) -> str:
    """Who takes part, as role and identity; the role "bench" goes without saying."""
    return "; ".join(what if role == "bench" else f"{role}: {what}" for role, what in identity.items())


def bench_in_short(name: str | None, identity: Mapping[str, str]) -> str:
    """A bench by its name, then who takes part without serial numbers, which the record has."""
    if "bench" in identity or not identity:
        return instruments(identity)  # it is named there
    models = (f"{role}: {what.partition(',')[0]}" for role, what in identity.items())
    return "; ".join([*([name] if name else []), *models])


def printable(text: str) -> str:
    """What instruments say is not trusted: nothing of it reaches the terminal as a command."""
    return "".join(character if character.isprintable() else "?" for character in text)


def print_run(run: Run) -> None:
    """Header, status, figures, the last rows, and what was worth a line."""
    header = run.header
    console = Console(highlight=False)
    head = [("run", str(run.path)), ("status", run.status), *_about(header)]
    console.print(two_columns([*head, ("to go on", run.going_on)] if run.going_on else head))
    summary = run.summary or _so_far(run)
    whole = [("in all", run.in_all)] if run.in_all else []
    console.print(Text(), two_columns([*figures(summary), *whole]), Text(), sep="\n")
    for title, rows in (("training", run.training), ("test", run.evaluations)):
        console.print(_last_rows(title, rows, ("step", "samples", "epoch", "loss", "accuracy")))
        if len(rows) > _LAST_ROWS:
            console.print(f"the last {_LAST_ROWS} of {len(rows):,} rows; --json gives all", style="dim")
    for step, kind, text in run.events:
        console.print(Text.assemble((f"step {step:,}: {kind}: ", "yellow"), text), soft_wrap=True)
    doubts = [intent for intent in run.intents if intent.in_doubt]
    if doubts and run.status != "running":
        pulses = sum(intent.pulses for intent in doubts)
        told = f"{counted(len(doubts), 'schedule')} ({counted(pulses, 'pulse')})"
        console.print(Text(f"{told} may or may not have been output", "yellow"))


def run_document(run: Run) -> dict[str, Any]:
    """Everything of a run but its arrays."""
    return {
        "path": str(run.path),
        "name": run.name,
        "status": run.status,
        "going_on": run.going_on or None,
        "in_all": asdict(run.cost_in_all),
        "accuracy": run.accuracy,
        "summary": run.summary,
        "costs": {kind: asdict(cost) for kind, cost in run.costs.items()},
        "training": _records(run.training),
        "evaluations": _records(run.evaluations),
        "update_noise": _records(run.update_noise),
        "events": [{"step": step, "kind": kind, "text": text} for step, kind, text in run.events],
        "in_doubt": sum(intent.in_doubt for intent in run.intents),
        "header": run.header,
    }


def print_runs(runs: Sequence[Run], root: Path) -> None:
    """One line for each run."""
    if not runs:
        typer.echo(f"no runs in {root}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", no_wrap=True)
    table.add_column("status")
    for heading in ("accuracy", "samples", "pulses"):
        table.add_column(heading, justify="right")
    for row in map(_row, runs):
        table.add_row(
            Path(row["path"]).name,
            row["status"],
            percent(row["accuracy"]),
            f"{row['samples']:,}",
            f"{row['pulses']:,}",
        )
    Console(highlight=False).print(table)


def runs_document(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One object for each run."""
    return [_row(run) for run in runs]


def _row(run: Run) -> dict[str, Any]:
    training = run.training
    return {
        "path": str(run.path),
        "name": run.name,
        "status": run.status,
        "accuracy": run.accuracy,
        "samples": int(training["samples"][-1]) if training.size else 0,
        "pulses": run.cost_known.pulses,
    }


def _about(header: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines of a header that a person looks for; a header of a foreign hand may lack any."""
    resolved = header.get("experiment", {}).get("resolved", {})
    methods = [
        f"{part} {resolved[part].get('name', '?')}" for part in ("gradient", "update") if part in resolved
    ]
    found = [
        ("begun", header.get("created")),
        ("seed", header.get("seed")),
        ("network", header.get("network", {}).get("summary")),
        ("method", ", ".join(methods)),
        ("bench", bench_in_short(_bench_name(header), header.get("identity", {}))),
        ("records", _records_used(header.get("calibrations"))),
        ("data", _data(header.get("data", {}))),
        ("code", header.get("git")),
    ]
    return [(label, str(text)) for label, text in found if text not in (None, "")]


def _bench_name(header: Mapping[str, Any]) -> str | None:
    return header.get("bench", {}).get("resolved", {}).get("name")


def _records_used(calibrations: Any) -> str | None:
    """Calibration records by what they are of, with their date; marked where they no longer held."""
    if not isinstance(calibrations, dict):
        return None
    told: list[str] = []
    for each in cast(dict[str, list[dict[str, Any]]], calibrations).get("records", []):
        state = "" if each.get("state") == "valid" else f" (uncalibrated: expired {each.get('expires')})"
        told.append(f"{each.get('routine')} of {each.get('array')}, {each.get('created')}{state}")
    return "; ".join(told) or None


def _data(data: Any) -> str | None:
    """What was learned: how many samples, and where they are from."""
    if "train" not in data:
        return data.get("source")
    return f"{data['train']:,} training and {data['test']:,} test samples of {data.get('source')}"


def _so_far(run: Run) -> dict[str, Any]:
    """What can be said of a run that has no summary: it goes on, or its writer died."""
    training, evaluations = run.training, run.evaluations
    so_far: dict[str, Any] = asdict(run.cost) | {"pulses": run.cost_known.pulses}
    if evaluations.size:
        so_far |= {"accuracy": float(evaluations["accuracy"][-1]), "loss": float(evaluations["loss"][-1])}
    if training.size:
        so_far |= {
            "samples": int(training["samples"][-1]),
            "steps": int(training["step"][-1]),
            "reason": run.status,
        }
    return so_far


def _last_rows(title: str, rows: Rows, names: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left", title_style="bold")
    for name in (title, *names):
        table.add_column(name, justify="left" if name == title else "right")
    for row in rows[-_LAST_ROWS:]:
        values = [percent(row[name]) if name == "accuracy" else _number(row[name].item()) for name in names]
        table.add_row("", *values)
    return table


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _records(rows: Rows) -> list[dict[str, Any]]:
    names = rows.dtype.names or ()
    return [dict(zip(names, row, strict=True)) for row in rows.tolist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
