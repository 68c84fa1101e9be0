"""What every check works with: a fresh bench, some lines of an array, repeated readings, their comparison."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, Bench, Execution
from hil.errors import LimitError, ScheduleError
from hil.schedule import (
    Index,
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeKind,
    Op,
    Program,
    Read,
    ReadAnswer,
    Region,
    Variants,
)

Samples: TypeAlias = NDArray[np.float64]
"""Repeated readings of one thing, [repeats, ...]; NaN where the bench flagged a value as only a bound."""

Factory: TypeAlias = Callable[[], AbstractContextManager[Bench]]

SIGMAS = 6.0
"""How many standard errors are put down to noise; many, as the error is estimated from few readings."""


class Violation(Exception):  # noqa: N818 - what a check found, not an error of the suite
    """The bench does not keep the contract."""


class NotApplicable(Exception):  # noqa: N818
    """The bench does not offer what the check is about."""


@dataclass(frozen=True, slots=True)
class Settings:
    """See `hil.conformance.check_bench`."""

    rtol: float
    repeats: int
    most_pulses: int
    overdrive: float
    seed: int


@dataclass
class Probe:
    """One array of a bench, asked through a few of its lines, so chosen that some device lies outside."""

    bench: Bench
    info: ArrayInfo
    factory: Factory
    settings: Settings
    rng: np.random.Generator = field(init=False)
    region: Region = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.settings.seed)
        rows, cols = _some_lines(self.info.rows, 5), _some_lines(self.info.cols, 4)
        self.region = Region(self.info.name, rows, cols)

    @contextmanager
    def another(self) -> Generator[Probe]:
        """Open another fresh bench and bring the same devices to the same conductances."""
        with self.factory() as bench:
            probe = Probe(bench, bench.arrays[self.info.name], self.factory, self.settings)
            probe.prepare()
            yield probe

    def ask(self, *ops: Op) -> Execution:
        """Run the operations in one schedule."""
        return self.bench.execute(ops)

    @property
    def read_v(self) -> float:
        """Volts of a reading."""
        return self.info.device.read_voltage_v

    @property
    def step(self) -> float:
        """Siemens of one pulse in the middle of the range, the smaller of up and down."""
        sheet = self.info.device
        middle = np.array([(sheet.g_min_s + sheet.g_max_s) / 2])
        return float(min(self.curve(middle, "up")[0], self.curve(middle, "down")[0])) or sheet.step_up_s

    def curve(self, g: NDArray[np.float64], way: Literal["up", "down"]) -> NDArray[np.float64]:
        """Expected size of one pulse's step at conductances ``g``, siemens, positive both ways."""
        return self.info.device.curve.steps(g)[way == "down"]

    @property
    def pulses(self) -> int:
        """How many pulses move a device by about a tenth of its range."""
        sheet = self.info.device
        return int(
            np.clip(round(0.1 * (sheet.g_max_s - sheet.g_min_s) / self.step), 1, self.settings.most_pulses)
        )

    @property
    def transposes(self) -> bool:
        """Whether columns can be driven, natively or not."""
        return self.info.transpose or "transpose" in self.info.emulated

    def prepare(self) -> None:
        """Bring the devices to different conductances around the middle of their range, by pulses."""
        sheet, most = self.info.device, self.settings.most_pulses
        span = sheet.g_max_s - sheet.g_min_s
        target = sheet.g_min_s + span * self.rng.uniform(0.35, 0.65, self.region.shape)
        for _ in range(3):
            g = self.read().mean(axis=0)
            way = target - g
            size = np.where(way > 0, self.curve((g + target) / 2, "up"), self.curve((g + target) / 2, "down"))
            pulses = way / np.maximum(size, span * 1e-4)
            left = np.rint(np.nan_to_num(pulses)).astype(np.int64)
            while np.any(left):
                now = np.clip(left, -most, most)
                self.ask(self.program(now))
                left -= now

    def program(self, counts: NDArray[np.int64], region: Region | None = None) -> Program:
        """Ask for pulses of the sheet's shape; counts [rows, cols]."""
        sheet = self.info.device
        return Program(region or self.region, counts.astype(np.int16), sheet.potentiate, sheet.depress)

    def nudge(self, kind: NudgeKind, size: float, points: Index, volts: NDArray[np.float64]) -> Nudge:
        """Ask for nudges with the sheet's pulses."""
        sheet = self.info.device
        return Nudge(
            self.region, points, kind, size, volts, sheet.integration_s, sheet.potentiate, sheet.depress
        )

    def nudge_size(self, kind: NudgeKind) -> float:
        """Size that changes a device by up to a tenth of its value or range; pulses back count as well."""
        sheet = self.info.device
        pulses = max(1, min(self.pulses, self.settings.most_pulses // 2))
        return {"gate": 0.1, "current": 0.05 * (sheet.g_max_s - sheet.g_min_s), "pulse": pulses}[kind]

    def driven(self, n: int, lines: int) -> NDArray[np.float64]:
        """Random vectors within the read voltage, [n, lines]."""
        return self.read_v * self.rng.uniform(0.2, 1, (n, lines))

    def read(self, region: Region | None = None, factor: float = 1.0) -> Samples:
        """Conductances [repeats, rows, cols], read at ``factor`` times the sheet's voltage."""
        op = Read(region or self.region, factor * self.read_v, self.info.device.integration_s)
        answers = self.ask(*[op] * self.settings.repeats).answers
        return _samples(answers) / (factor * self.read_v)

    def multiply(
        self,
        volts: NDArray[np.float64],
        *,
        transpose: bool = False,
        variants: Variants | None = None,
        region: Region | None = None,
    ) -> Samples:
        """Amperes [repeats, n, others], or [repeats, k, n, others] with variants."""
        integration = self.info.device.integration_s
        op = Multiply(region or self.region, volts, integration, transpose, variants)
        return _samples(self.ask(*[op] * self.settings.repeats).answers)

    def agree(self, what: str, found: Samples, expected: Samples, slack: float = 0.0) -> None:
        """Demand that two sets of repeated readings have one mean, within noise, ``rtol`` and ``slack``."""
        if found.shape[1:] != expected.shape[1:]:
            raise Violation(f"{what}: shape {found.shape[1:]} where {expected.shape[1:]} was expected")
        noise = max(spread(found), spread(expected)) * np.sqrt(1 / len(found) + 1 / len(expected))
        a, b = found.mean(axis=0), expected.mean(axis=0)
        known = np.isfinite(a) & np.isfinite(b)
        if a.size and not np.any(known):
            raise Violation(f"{what}: every value is flagged as clipped")
        if a.size:
            scale = max(np.abs(a[known]).max(), np.abs(b[known]).max())
            allowed = SIGMAS * noise + self.settings.rtol * scale + slack
            apart = np.where(known, np.abs(a - b), 0)
            worst = np.unravel_index(int(apart.argmax()), apart.shape)
            if not apart[worst] <= allowed:
                raise Violation(
                    f"{what}: {a[worst]:.6g} at {[int(i) for i in worst]} where {b[worst]:.6g} was expected; "
                    f"{allowed:.2g} apart is allowed"
                )

    def refuses(self, what: str, *ops: Op) -> None:
        """Demand a ScheduleError or LimitError, and conductances as before."""
        before = self.read()
        try:
            self.ask(*ops)
        except (ScheduleError, LimitError):
            self.agree(f"conductances after {what} was refused", self.read(), before)
        else:
            raise Violation(f"{what} was not refused")


def spread(samples: Samples) -> float:
    """Estimate the standard deviation of one reading: the largest of any element; 0 from a single sample."""
    if len(samples) < 2 or samples.size == 0:
        return 0.0
    return float(np.nan_to_num(samples.std(axis=0, ddof=1)).max())


def _samples(answers: tuple[object, ...]) -> Samples:
    values: list[NDArray[np.float64]] = []
    for answer in answers:
        if not isinstance(answer, ReadAnswer | MultiplyAnswer):
            raise Violation(f"a reading was answered by {answer!r}")
        values.append(np.where(answer.clipped, np.nan, answer.amperes))
    return np.stack(values)


def _some_lines(lines: int, most: int) -> Index:
    """Up to ``most`` lines with gaps between them where there is room, and one line at least left out."""
    count = min(most, max(1, lines - 1))
    return np.linspace(0, lines - 1 if count < lines - 1 else lines - 2, count).astype(np.int64).clip(0)
