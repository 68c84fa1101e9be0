"""Puts a study on one page: claims, table, figures, what failed, and the study as it was given."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from hil.compare.outcome import Outcome
from hil.compare.results import CellResult, total
from hil.compare.table import columns, heads, row
from hil.report import markup
from hil.report.facts import count, energy, quantity
from hil.report.markup import Markup
from hil.store.folder import write_whole
from hil.units import counted


def write_study(found: Outcome, path: Path | None = None) -> Path:
    """Write the page of a study as one HTML file and return its path; report.html in its folder by default.

    A study that is not complete gives a page too; it says what is missing.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    from hil.figures.canvas import styled

    path = found.folder / "report.html" if path is None else path
    page = Markup()
    with styled():
        _head(page, found)
        _claims(page, found)
        _table(page, found)
        _figures(page, found)
        _failed(page, found)
        _given(page, found)
    write_whole(path, page.document(f"{found.study.title or found.study.name}: study").encode())
    return path


def _head(page: Markup, found: Outcome) -> None:
    results = [result for cell in found.cells for result in cell.results]
    finished = sum(result.is_finished for result in results)
    page.add(f"<h1>{escape(found.study.title or found.study.name)}</h1>")
    page.add(f'<p class="lead">{escape(found.study.name)}</p>')
    page.add(*(f"<p>{escape(part)}</p>" for part in found.study.about.split("\n\n") if part))
    cost = total(found.cells)
    seeds = sorted({result.seed for result in results})
    failed = len(found.failed)
    waiting = len(results) - finished - failed
    remark = "; ".join(f"{n} {word}" for n, word in ((failed, "failed"), (waiting, "not finished")) if n)
    held = [verdict.word for verdict in found.verdicts]
    met = f"{held.count('met')} of {len(held)} met" if held else "none"
    still = f"{held.count('open')} open" if "open" in held else ""
    page.add(
        markup.facts(
            [
                ("Runs", f"{finished} of {len(results)}", remark),
                ("Cases", str(len(found.cells)), f"{counted(len(seeds), 'seed')} each"),
                ("Claims", met, still),
                ("Best", *_best(found.cells)),
                ("Pulses", count(cost.pulses), "all finished runs"),
                ("Readings", count(cost.reads), ""),
                ("Bench time", quantity(cost.seconds, "s"), "on the benches' own clocks"),
                ("Energy", energy(cost), ""),
            ]
        )
    )
    if found.changed:
        page.missing(f"Changed for all on the command line: {', '.join(found.changed)}.")
    revisions = sorted({result.revision or "unknown" for result in results if result.is_finished})
    if len(revisions) > 1:
        page.missing(f"Runs are of more than one revision of the code: {', '.join(revisions)}.")


def _best(cells: Sequence[CellResult]) -> tuple[str, str]:
    known = [cell for cell in cells if cell.by_seed("accuracy")]
    best = max(known, key=lambda cell: cell.mean("accuracy"), default=None)
    return ("-", "") if best is None else (f"{100 * best.mean('accuracy'):.2f} %", str(best.cell))


def _claims(page: Markup, found: Outcome) -> None:
    if not found.verdicts:
        return
    page.add("<h2>Claims</h2>")
    rows = [(verdict.word, verdict.claim.text, verdict.figures) for verdict in found.verdicts]
    page.add(markup.columns(("Verdict", "Claim", "Figures"), rows, "claims"))
    for verdict in found.verdicts:
        if len(verdict.evidence) > 1:
            head = ("Case", "compared with", "value", "± s.d.", "seeds", "holds")
            page.add(f"<details><summary>{escape(verdict.claim.text)}</summary>")
            rows = [pair.row(verdict.claim) for pair in verdict.evidence]
            page.add(markup.columns(head, rows), "</details>")


def _table(page: Markup, found: Outcome) -> None:
    shown = columns(found.cells, found.study.reach)
    page.add("<h2>Table</h2>")
    rows = [row(cell, shown) for cell in found.cells]
    page.add(markup.columns(heads(found.study.axes, shown), rows))
    if any(len(cell.results) > 1 for cell in found.cells):
        page.missing("Mean ± standard deviation over seeds (n - 1). Each run in SI units: runs.csv.")


def _figures(page: Markup, found: Outcome) -> None:
    from hil.report.study_curves import MOST_PANELS, Layout, along, learning

    axes, cells = found.study.axes, found.cells
    layout = Layout.along(axes, found.study.x)
    page.add("<h2>Learning</h2>")
    page.figure(
        learning(cells, layout),
        "Accuracy on test samples against training samples: mean over seeds, band of one standard deviation.",
        "No run was evaluated yet.",
    )
    left_out = len(layout.over_samples().split(cells)) - MOST_PANELS
    if left_out > 0:
        page.missing(f"{left_out} more panels are left out; the runs hold them.")
    page.add("<h2>Final accuracy</h2>")
    means = "Dashes: single runs; marks: means with one standard deviation over seeds."
    page.figure(along(cells, layout, "accuracy", "Test accuracy (%)"), means, "No run was evaluated yet.")
    if found.study.reach is not None:
        goal = f"{100 * found.study.reach:g} %"
        page.add(f"<h2>What it took to reach {escape(goal)}</h2>")
        for figure, label, unit in (
            ("reach_pulses", "Pulses", ""),
            ("reach_seconds", "Bench time", "s"),
            ("reach_samples", "Training samples", ""),
        ):
            page.figure(
                along(cells, layout, figure, label, unit, "not reached"),
                f"{label} until the first evaluation with {goal} or more, evaluations included. {means} "
                "An open mark above the dotted line: no run of the case reached it. Where some did, those "
                "that did not are left out.",
                f"No run reached {goal}.",
            )
    page.add("<h2>Update noise</h2>")
    page.figure(
        along(cells, layout, "update_noise", "Update noise / wanted change"),
        "Sum of |ΔW measured - ΔW wanted| over the sum of |ΔW wanted| of all steps and layers that were "
        f"measured (Lee et al. 2021, arXiv 2111.07113). {means}",
        "Update noise was not measured (training.update_noise_every).",
    )


def _failed(page: Markup, found: Outcome) -> None:
    if not found.failed:
        return
    page.add("<h2>Failed runs</h2>")
    rows = [
        (
            str(cell.cell),
            str(result.seed),
            "" if result.path is None else result.path.name,
            result.error or "",
        )
        for cell, result in found.failed
    ]
    page.add(markup.columns(("Case", "Seed", "Run", "Why"), rows, "events"))


def _given(page: Markup, found: Outcome) -> None:
    page.add("<h2>Study as given</h2>", f"<pre>{escape(found.given.strip())}</pre>")
    names = [r.path.name for cell in found.cells for r in cell.finished if r.path is not None]
    page.add(f"<h2>Runs</h2><p>In {escape(str(found.folder))}, each with hil show and hil report:</p>")
    listed = escape("\n".join(names))
    page.add(f"<details><summary>{counted(len(names), 'run')}</summary><pre>{listed}</pre></details>")
