"""Numbers as people say them: times, rates, shares, and the figures of a run as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hil.units import counted, duration, energy, percent


def rate(per_second: float) -> str:
    """Samples in a second, in as many digits as are steady."""
    if not per_second > 0:
        return "-"
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"


def figures(summary: Mapping[str, Any], real_seconds: float | None = None) -> list[tuple[str, str]]:
    """The summary of a run, as label and text; what a run that failed does not know is left out."""
    rows: list[tuple[str, str]] = []
    if (accuracy := summary.get("accuracy")) is not None:
        stale = summary.get("evaluated_at") not in (None, summary.get("samples"))
        when = f", evaluated at {counted(summary['evaluated_at'], 'sample')}" if stale else ""
        rows += [("test accuracy", percent(accuracy) + when), ("test loss", f"{summary['loss']:.4f}")]
    if (moved := summary.get("transfer")) is not None:
        software, devices = moved["software"], moved["devices"]
        told = f"{percent(software)} in software, {percent(devices)} in the devices"
        rows.append(("transfer", f"{told} ({100 * (devices - software):+.2f} points)"))
    if "samples" in summary:
        told = f"{counted(summary['samples'], 'sample')} in {counted(summary['steps'], 'step')}"
        if summary.get("epochs") == 0 and summary["reason"] == "finished":
            told = "nothing, the initial weights alone (training.epochs is 0)"
        rows.append(("trained", f"{told}: {summary['reason']}"))
    if "pulses" in summary:
        rows.append(("pulses", f"{summary['pulses']:,}"))
        if summary.get("wear_device") is not None:
            rows.append(
                ("most pulsed device", f"{summary['wear_device']}: {counted(summary['wear'], 'pulse')}")
            )
        rows += [
            ("readings", f"{summary['reads']:,}"),
            ("time on the bench", duration(summary["seconds"])),
            ("energy", energy(summary["joules"], summary["pulses"] + summary["reads"])),
        ]
    if "error" in summary:
        rows.append(("ended by", summary["error"]))
    if "ended_at" in summary:
        rows.append(("ended at", summary["ended_at"]))
    if real_seconds is not None:
        rows.append(("real time", duration(real_seconds)))
    return rows
