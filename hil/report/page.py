"""Puts a run on one page: everything inside the file, nothing loaded, nothing executed, all text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.report.facts import about, cost_rows, flat, key_figures, look, places, transferred
from hil.report.markup import Markup, columns, facts, table
from hil.store import Run
from hil.store.folder import JSON, write_whole

MOST_ARRAYS = 8
MOST_EVENTS = 200

Maps = Mapping[str, NDArray[np.float64]]


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write the report of a run as one HTML file and return its path.

    A run that was stopped early or is going on gives a page too; it says what is missing.

    Parameters
    ----------
    run
        From :func:`hil.store.open_run`.
    path
        Where to; report.html in the run's folder by default.

    Raises
    ------
    StoreError
        The run is damaged, or the page cannot be written.
    """
    from hil.figures.canvas import styled

    path = run.path / "report.html" if path is None else path
    with styled():
        page = _Page().build(run)
    write_whole(path, page.encode())
    return path


class _Page:
    """The parts of a run's page, in their order."""

    def __init__(self) -> None:
        self._page = Markup()

    def build(self, run: Run) -> str:
        self._head(run)
        self._learning(run)
        self._costs(run)
        self._arrays(run)
        self._noise(run)
        self._events(run)
        self._settings(run.header)
        self._python(run)
        return self._page.document(f"{run.name}: run report")

    def _head(self, run: Run) -> None:
        status = run.status
        self._page.add(
            f'<h1>{escape(run.name)}<span class="status {escape(status)}">{escape(status)}</span></h1>',
            f'<p class="lead">{escape(run.path.name)}</p>',
        )
        reason = look(run.summary, "error") or look(run.summary, "reason")
        if isinstance(reason, str) and reason != status:
            self._page.add(f"<p>Ended with: {escape(reason)}</p>")
        if run.going_on:
            self._page.add(f"<p>To go on: {escape(run.going_on)}.</p>")
        if moved := transferred(run.summary):
            self._page.add(f"<p><b>Transferred:</b> {escape(moved)}</p>")
        figures = ((label, *told) for label, told in key_figures(run).items())
        self._page.add(facts(figures), table(about(run.header).items()))
        if run.in_all:
            self._page.add(f"<p>In all, {escape(run.in_all)}.</p>")
        doubt = sum(intent.in_doubt for intent in run.intents)
        if doubt:
            self._page.add(
                f"<p><b>{doubt} schedule(s) in doubt:</b> it is not known whether their pulses were given. "
                "Read the devices before building on them.</p>"
            )

    def _learning(self, run: Run) -> None:
        from hil.report.curves import from_exact, learning

        self._page.add("<h2>Learning</h2>")
        caption = (
            "Loss (a) and accuracy (b) against training samples: mean over windows of samples, each "
            "before it was learned, and over the test samples."
        )
        told = ", mean of hidden layers"
        gap = from_exact(run.training)
        if gap is not None and gap.size == 1:
            caption += (
                f" 1 - cosine between the used and the exact error was {gap[0]:.2g}, measured once{told}."
            )
        elif gap is not None:
            caption += (
                " (c) 1 - cosine of the angle between the error that the method used and the exact one"
                f"{told}: 0.01 is an angle of 8 degrees, 1 a right angle."
            )
        elif np.isfinite(run.training["cosine"]).any():
            caption += f" The error that the method used is the exact one wherever it was measured{told}."
        self._page.figure(learning(run), caption, "No training window and no evaluation was recorded.")
        if not run.evaluations.size:
            self._page.missing("The network was never evaluated on test samples.")

    def _costs(self, run: Run) -> None:
        from hil.report.curves import cost_by_operation, cost_over_time

        self._page.add("<h2>What it took</h2>")
        costs = run.costs
        self._page.figure(
            cost_by_operation(costs),
            "Time on the bench's own clock (a) and energy (b), by kind of operation.",
            "No costs were recorded.",
        )
        if costs:
            head = ("Operation", "Time", "Energy", "Pulses", "Half-selects", "Readings", "Transactions")
            self._page.add(columns(head, cost_rows(costs)))
        self._page.figure(
            cost_over_time(run),
            "Pulses and single readings since the start (a); accuracy for the time (b) and the energy (c) "
            "spent.",
            "No training window was recorded, so cost over time is not known.",
        )

    def _arrays(self, run: Run) -> None:
        from hil.report.maps import conductances, distribution_and_wear

        self._page.add("<h2>Arrays</h2>")
        first, last, doses = _end_maps(run, "initial"), _end_maps(run, "final"), run.doses
        names = list(dict.fromkeys([*first, *last, *doses]))
        if not names:
            self._page.missing("No array was read for the record, and no doses were recorded.")
        for absent, maps in (("before training", first), ("after training", last)):
            if names and not maps:
                self._page.missing(f"The arrays were not read {absent}.")
        layers = places(run.header)
        drawn = _drawn(names, layers)
        if len(drawn) < len(names):
            absent = "; ".join(_placed(name, layers) for name in names if name not in drawn)
            self._page.missing(f"{len(drawn)} of {len(names)} arrays are drawn. Left out: {absent}.")
        for name in drawn:
            before, after, dose = first.get(name), last.get(name), doses.get(name)
            shape = next(part.shape for part in (before, after, dose) if part is not None)
            heading = f"{_placed(name, layers)}, {shape[0]} × {shape[1]}"  # noqa: RUF001
            self._page.add(f"<h3>{escape(heading)}</h3>")
            self._page.figure(
                conductances(before, after),
                f"Conductances G of {name} before (a) and after training (b) on one scale, and their "
                "change (c). Grey: not read, or the reading is only a bound. Crosses: beyond the scale, "
                "which a few far devices, such as shorted ones, do not set. The scale of the change spans "
                "99.6 % of the others.",
                f"The conductances of {name} were not recorded.",
            )
            self._page.figure(
                distribution_and_wear(before, after, dose),
                f"{name}: distribution of conductances (a), the outermost bins hold what lies beyond; pulses "
                "each device has seen (b), white where none; share of the array's devices with at least as "
                "many (c).",
                f"Neither conductances nor doses of {name} were recorded.",
            )

    def _noise(self, run: Run) -> None:
        from hil.report.curves import update_noise

        self._page.add("<h2>Update noise</h2>")
        self._page.figure(
            update_noise(run),
            "Mean of |ΔW measured - ΔW wanted| over the synapses that were to change, in weight units "
            "(a) and relative to the mean wanted change (b; Lee et al. 2021, arXiv 2111.07113). The noise of "
            "both readings is in it. Each layer has 20 points at most: where it was measured more often, "
            "totals over measurements in a row are divided.",
            "Update noise was not measured.",
        )

    def _events(self, run: Run) -> None:
        self._page.add("<h2>Events</h2>")
        events = run.events
        if not events:
            self._page.missing("None.")
            return
        rows = [[f"{step:,}", kind, text] for step, kind, text in events[:MOST_EVENTS]]
        self._page.add(columns(("Step", "Kind", "Text"), rows, "events"))
        if len(events) > MOST_EVENTS:
            self._page.missing(f"{len(events) - MOST_EVENTS:,} more are in the journal.")

    def _settings(self, header: Mapping[str, JSON]) -> None:
        for part in ("experiment", "bench"):
            self._page.add(f"<h2>{part.capitalize()}</h2>")
            resolved, given = look(header, part, "resolved"), look(header, part, "given")
            if resolved:
                self._page.add(table(flat(resolved), "settings"))
            else:
                self._page.missing("Its settings were not recorded.")
            if isinstance(given, str) and given.strip():
                self._page.add(f"<h3>As given</h3><pre>{escape(given.strip())}</pre>")
        rest = [
            (path, text)
            for path, text in flat(header)
            if not path.startswith(
                ("experiment.resolved", "experiment.given", "bench.resolved", "bench.given")
            )
        ]
        self._page.add("<h2>Provenance</h2>", table(rest, "settings"))

    def _python(self, run: Run) -> None:
        code = (
            "import hil\n\n"
            f"run = hil.open_run({run.path.name!r})\n"
            'run.training["loss"]      # windows of training\n'
            "run.evaluations           # on test samples\n"
            "run.cost_history          # cost up to each window\n"
            'run.snapshot("final")     # array name to siemens [rows, cols]\n'
        )
        self._page.add("<h2>Open it in Python</h2>", f"<pre>{escape(code)}</pre>")


def _drawn(names: Sequence[str], layers: Mapping[str, Sequence[str]]) -> list[str]:
    """The arrays to draw, in their order: one of the first layer, the last, each between, then others."""
    first = [arrays[0] for arrays in layers.values() if arrays[0] in names] or names
    chosen = list(dict.fromkeys([*first[:1], *first[-1:], *first, *names]))[:MOST_ARRAYS]
    return [name for name in names if name in chosen]


def _placed(name: str, layers: Mapping[str, Sequence[str]]) -> str:
    """An array by what is on it: "layer1 on main"; its name alone where both are one or nothing is known."""
    here = [layer for layer, arrays in layers.items() if name in arrays]
    on = ", ".join(here)
    return f"{on} on {name}" if on and on.replace(" ", "_") != name else name


def _end_maps(run: Run, moment: str) -> Maps:
    return run.snapshot(moment) if moment in run.moments else {}
