"""Waits are cut to what is left of a bound, which begins when the other side is not busy any more."""

from __future__ import annotations

import math

import pytest

from drivers.transport.patience import Patience


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_bound_waits_are_as_asked() -> None:
    patience = Patience(Clock())
    assert patience.left(7.0) == 7.0
    assert patience.allows(math.inf) is False
    assert patience.allows(1e9)


def test_all_that_is_done_inside_shares_the_bound_and_then_nothing_is_left() -> None:
    clock = Clock()
    patience = Patience(clock)
    with patience.within(1.5):
        assert patience.left(1.0) == 1.0
        clock.now += 1.0
        assert patience.left(1.0) == 0.5
        assert not patience.allows(0.5)
        with patience.within(10.0):
            assert patience.left(1.0) == 0.5
        clock.now += 0.5
        with pytest.raises(TimeoutError, match="no time is left"):
            patience.left(1.0)
    assert patience.left(1.0) == 1.0


def test_the_bound_begins_when_what_was_asked_last_must_be_over() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.expect(4.0)
    clock.now += 1.0  # Ctrl-C within a measurement of 4 s
    with patience.within(1.5):
        assert patience.left(10.0) == 4.5
