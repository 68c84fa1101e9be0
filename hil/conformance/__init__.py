"""One suite for every bench, ours or a third party's: it finds where one breaks :class:`hil.bench.Bench`.

def test_our_bench_conforms():
    check_bench(lambda: open_our_bench())
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getdoc

from hil.conformance import conduct, devices, reading
from hil.conformance.probe import Factory, NotApplicable, Probe, Settings, Violation
from hil.errors import ConfigError, HilError

__all__ = ["CHECKS", "ConformanceError", "ConformanceReport", "Finding", "check_bench"]

_FUNCTIONS: tuple[Callable[[Probe], None], ...] = (
    reading.info,
    reading.answers,
    reading.empty,
    reading.read_is_multiply,
    reading.transpose,
    reading.superposition,
    reading.linear,
    reading.order_of_reading,
    reading.variants,
    reading.never_clips,
    devices.potentiation,
    devices.depression,
    devices.zero_counts,
    devices.pulses_add_up,
    devices.order_of_programming,
    devices.outside_untouched,
    devices.nudge_size,
    devices.nudge_undone,
    devices.merged,
    conduct.cost_pulses,
    conduct.cost_reads,
    conduct.cost_seconds,
    conduct.wait,
    conduct.refuses_unknown_array,
    conduct.refuses_lines_outside,
    conduct.refuses_nan,
    conduct.refused_whole,
    conduct.make_safe,
)

CHECKS: Mapping[str, str] = {function.__name__: getdoc(function) or "" for function in _FUNCTIONS}
"""What must hold, by the name of its check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found on one array: ``problem`` or ``skipped`` says why it did not simply pass."""

    check: str
    array: str
    problem: str = ""
    skipped: str = ""

    def __str__(self) -> str:
        state = "FAILED" if self.problem else "skipped" if self.skipped else "ok"
        why = f"\n    {self.problem or self.skipped}" if self.problem or self.skipped else ""
        return f"{state:7} {self.check} on {self.array!r}: {CHECKS[self.check]}{why}"


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Findings with a problem."""
        return tuple(finding for finding in self.findings if finding.problem)

    @property
    def skipped(self) -> tuple[Finding, ...]:
        """Checks that do not apply to the bench, or that the caller left out."""
        return tuple(finding for finding in self.findings if finding.skipped)

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


class ConformanceError(AssertionError):
    """A bench breaks its contract; the message lists every failed check, ``report`` holds all findings."""

    def __init__(self, report: ConformanceReport) -> None:
        failed = report.failed
        lines = "\n".join(str(finding) for finding in failed)
        super().__init__(f"{len(failed)} of {len(report.findings)} checks failed\n{lines}")
        self.report = report


def check_bench(
    factory: Factory,
    *,
    rtol: float = 1e-5,
    repeats: int = 8,
    most_pulses: int = 100,
    overdrive: float = 10.0,
    skip: Mapping[str, str] | None = None,
    seed: int = 0,
) -> ConformanceReport:
    """Run every check on every array, each on a fresh bench.

    Devices on at most 5 rows and 4 columns of an array are pulsed, up to a few hundred times each in one
    check: on real devices this is wear, and ``overdrive`` may be more than they stand. Put the bench's own
    limits around it.

    Parameters
    ----------
    factory
        Opens a fresh bench as a context, closed on leaving.
    rtol
        Deviation allowed beside noise, of the largest value compared: rounding, and the steps of converters.
    repeats
        How often each reading is repeated; noise is what the repeats show. Six standard errors are allowed.
    most_pulses
        The most pulses for one device in one operation.
    overdrive
        How many times the sheet's read voltage a bench is tried with, to see that it does not clip; 1 leaves
        that out.
    skip
        Checks that cannot hold, with the reason ("linear": "a selector in every cell"); reported as skipped.
    seed
        Of the patterns that are driven and programmed.

    Raises
    ------
    ConformanceError
        At least one check failed; all were run.
    ConfigError
        ``skip`` names an unknown check, or repeats are fewer than 2.
    """
    left_out = dict(skip or {})
    unknown = sorted(left_out.keys() - CHECKS.keys())
    if unknown or repeats < 2:
        raise ConfigError(f"check_bench: unknown checks {unknown}, {repeats} repeats; 2 or more are needed")
    settings = Settings(rtol, repeats, most_pulses, overdrive, seed)
    with factory() as bench:
        arrays = list(bench.arrays)
    findings = tuple(
        _find(function, array, factory, settings, left_out) for function in _FUNCTIONS for array in arrays
    )
    report = ConformanceReport(findings)
    if report.failed:
        raise ConformanceError(report)
    return report


def _find(
    function: Callable[[Probe], None],
    array: str,
    factory: Factory,
    settings: Settings,
    left_out: Mapping[str, str],
) -> Finding:
    name = function.__name__
    if name in left_out:
        return Finding(name, array, skipped=left_out[name] or "left out by the caller")
    try:
        with factory() as bench:
            function(Probe(bench, bench.arrays[array], factory, settings))
    except Violation as violation:
        return Finding(name, array, problem=str(violation))
    except NotApplicable as reason:
        return Finding(name, array, skipped=str(reason))
    except HilError as error:
        return Finding(name, array, problem=f"refused or failed: {type(error).__name__}: {error}")
    except Exception as error:  # a fault of the bench: the other checks must still run
        return Finding(name, array, problem=f"raised {type(error).__name__}: {error}")
    return Finding(name, array)
