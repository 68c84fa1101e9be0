"""The conformance suite finds the fault that is there and no other, and finds none in an honest bench."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest

from hil.bench import Bench
from hil.conformance import CHECKS, ConformanceError, check_bench
from hil.errors import ConfigError
from hil.limits import LimitedBench, Limits
from tests.contract import faulty
from tests.contract.reference import ReferenceBench, reference

# Where a fault shows in more than its own check, that is listed too: what fails is exactly this.
FAULTS: dict[type[ReferenceBench], set[str]] = {
    faulty.ClipsVoltage: {"never_clips"},
    faulty.SaturatesUnflagged: {"never_clips"},
    faulty.IgnoresRowOrder: {"order_of_reading"},
    faulty.ProgramsInRisingOrder: {"order_of_programming"},
    faulty.ProgramsWholeRows: {"outside_untouched"},
    faulty.IgnoresDepress: {"depression"},
    faulty.PulsesTheWrongWay: {"nudge_undone", "order_of_programming", "potentiation", "depression"},
    faulty.PulsesOnZero: {"order_of_programming", "zero_counts"},
    faulty.OnePulseForMany: {"pulses_add_up"},
    faulty.LiesAboutPulses: {"cost_pulses"},
    faulty.LiesAboutReads: {"cost_reads"},
    faulty.LiesAboutReadingTime: {"cost_seconds"},
    faulty.LiesAboutPulseTime: {"cost_seconds"},
    faulty.DoesNotWait: {"wait"},
    faulty.SwapsAnswers: {"empty", "merged", "answers"},
    faulty.ReadsFirst: {"merged"},
    faulty.TransposesWrongly: {"transpose"},
    faulty.AddsAnOffset: {
        "merged",
        "never_clips",
        "nudge_size",
        "read_is_multiply",
        "superposition",
        "linear",
    },
    faulty.IgnoresVariants: {"variants"},
    faulty.LeavesTheNudgeIn: {"nudge_undone"},
    faulty.NamesTheNominalNudge: {"nudge_size"},
    faulty.AcceptsNan: {"refuses_nan"},
    faulty.WrapsLines: {"refused_whole", "refuses_lines_outside"},
    faulty.TakesAnyArray: {"refuses_unknown_array"},
    faulty.ExecutesHalf: {"refused_whole"},
    faulty.RaisesWhenMadeSafeTwice: {"make_safe"},
    faulty.ErasesWhenMadeSafe: {"make_safe"},
    faulty.FlagsOfWrongShape: {"merged", "answers"},
    faulty.FailsOnNothing: {"empty"},
    faulty.HasNoIdentity: {"info"},
}


@pytest.mark.parametrize("broken", FAULTS, ids=lambda kind: kind.__name__)
def test_each_planted_fault_is_named_by_its_checks(broken: type[ReferenceBench]) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_bench(lambda: nullcontext(broken()))
    failed = caught.value.report.failed
    assert {finding.check for finding in failed} == FAULTS[broken]
    for finding in failed:
        assert f"{finding.check} on {finding.array!r}: {CHECKS[finding.check]}" in str(caught.value)


def test_every_check_is_proved_by_a_fault() -> None:
    assert set().union(*FAULTS.values()) == set(CHECKS)


def test_an_ideal_bench_conforms() -> None:
    report = check_bench(reference)
    assert not report.failed
    assert not report.skipped
    assert len(report.findings) == 2 * len(CHECKS)


@pytest.mark.parametrize("seed", range(10))
def test_a_noisy_bench_conforms(seed: int) -> None:
    check_bench(lambda: nullcontext(ReferenceBench(0.02, 0.5, seed=seed)), seed=seed)


def test_a_bench_that_refuses_high_voltages_conforms() -> None:
    check_bench(lambda: reference(read_v=0.3))


def test_a_bench_behind_limits_conforms() -> None:
    def limited() -> AbstractContextManager[Bench]:
        limits = Limits(
            read_v=0.3, program_v=1, width_min_s=1e-6, width_max_s=1e-6, pulses_per_op=100, dose=5000
        )
        return nullcontext(LimitedBench(ReferenceBench(), limits))

    check_bench(limited)


def test_a_check_left_out_is_reported_with_its_reason() -> None:
    report = check_bench(
        lambda: nullcontext(faulty.AddsAnOffset()), skip=dict.fromkeys(FAULTS[faulty.AddsAnOffset], "x")
    )
    assert {finding.check for finding in report.skipped} == FAULTS[faulty.AddsAnOffset]


def test_leaving_out_an_unknown_check_is_refused() -> None:
    with pytest.raises(ConfigError, match="no_such_check"):
        check_bench(reference, skip={"no_such_check": "why"})


def test_a_device_that_cannot_be_nudged_or_transposed_is_not_asked_to() -> None:
    def plain() -> AbstractContextManager[Bench]:
        return nullcontext(faulty.HasNoExtras())

    skipped = {finding.check for finding in check_bench(plain).skipped}
    assert skipped == {"transpose", "nudge_size", "nudge_undone"}
