"""What a run can say of itself when it is over: that it is no better than guessing, and what may be why."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hil.bench import ArrayInfo
from hil.data import Dataset
from hil.training.controller import Outcome

_FAR = 2.0
"""Losses of so many times that of guessing are far above it."""


def no_better_than_guessing(outcome: Outcome, data: Dataset, *, cross_entropy: bool) -> str:
    """What of the last evaluation is no better than guessing, after an epoch or more; "" if nothing is.

    Accuracy is at chance up to two standard deviations above the share of the most common class. A loss, of
    which only ``cross_entropy`` is known for guessing (ln of the classes), is far above it from twice that.
    """
    last = outcome.evaluation
    if last is None or outcome.samples < len(data.train_y):
        return ""
    guessing = float(np.log(data.classes))
    if cross_entropy and not last.loss <= _FAR * guessing:
        return f"test loss {last.loss:.3g}, where guessing has {guessing:.3g}"
    chance = float(np.bincount(data.test_y, minlength=data.classes).max() / len(data.test_y))
    if last.accuracy <= chance + 2 * np.sqrt(chance * (1 - chance) / last.images):
        return f"test accuracy {100 * last.accuracy:.1f} %, where guessing has {100 * chance:.1f} %"
    return ""


def unexamined(arrays: Mapping[str, ArrayInfo]) -> list[str]:
    """Arrays of whose devices no record tells which do not work."""
    return [name for name, info in arrays.items() if info.faults is None]
