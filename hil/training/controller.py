"""The training plan: initial weights, epochs of steps, evaluations, snapshots, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np

from hil.chance import derive_key
from hil.config.experiment import InitialSettings, TrainingSettings
from hil.data import Dataset, batches
from hil.errors import BrokenOffError
from hil.network import Network, Tile, Wanted
from hil.network.tile import F32, read_answer
from hil.plan import Plan, together
from hil.schedule import Read, Schedule
from hil.training.contracts import Batch, Continuation, Gradient, Resumable, StepReport, Update
from hil.training.evaluation import Scores, evaluate
from hil.training.events import EvaluationRow, Journal, Snapshot
from hil.training.initial import Written, random_weights, write
from hil.training.software import assess, train_in_software
from hil.training.update_noise import NoiseMeter
from hil.training.weights import Holds, load_weights
from hil.training.window import Window
from hil.units import counted

Reason: TypeAlias = Literal["finished", "early-stop", "target", "stopped"]
T = TypeVar("T")

_FEW = 0.01
"""Part of a layer's devices that may miss their initial weights without a warning."""
_PURPOSE_ORDER, _PURPOSE_WEIGHTS, _PURPOSE_UPDATE, _PURPOSE_GRADIENT = 1, 2, 3, 5


@dataclass(frozen=True, slots=True)
class Training:
    """Everything a training plan needs but the bench. ``continues``: what lies behind it; then the
    devices keep what they hold, the steps that are over are passed by, and the update is `Resumable`.
    """

    network: Network
    data: Dataset
    gradient: Gradient
    update: Update[Any]
    settings: TrainingSettings
    initial: InitialSettings
    seed: int
    continues: Continuation | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Test accuracy (0 to 1) of weights from elsewhere: ``software`` on the host, then in the devices."""

    software: float
    devices: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended: why, after how many steps, samples and epochs, the last evaluation (None when
    stopped before any), and what the transfer of weights came to, if there was one.
    """

    reason: Reason
    steps: int
    samples: int
    epochs: int
    evaluation: EvaluationRow | None
    transfer: Transfer | None = None


@dataclass(slots=True)
class Whereabouts:
    """What a training is at, for who has to tell where an error ended it."""

    doing: str = "the beginning"
    number: int = 0
    step: int = 0
    """Training steps that are over."""

    def __str__(self) -> str:
        return f"{self.doing} {self.number:,}" if self.number else self.doing


def train(
    training: Training,
    journal: Journal,
    stop: Callable[[], bool] = lambda: False,
    at: Whereabouts | None = None,
) -> Plan[Outcome]:
    """Train a network in the devices.

    ``stop`` is asked between steps, and between rounds of initial programming; once it says True the arrays
    are read for the record and the plan ends in good order. ``at`` is kept up to date on the way.
    """
    at = Whereabouts() if at is None else at
    course = _Course(training, journal, stop, at)
    for warning in training.gradient.warnings(training.network):
        journal.event("warning", warning)
    if (yield from course.start()):
        outcome = yield from course.epochs()
        course.remark()
    else:
        outcome = Outcome("stopped", steps=0, samples=0, epochs=0, evaluation=None)
    yield from course.end()
    journal.event("end", f"{outcome.reason} after {counted(outcome.samples, 'sample')}")
    return outcome


class _Course:
    """One training on its way: counters, the update's states, and the best evaluation so far."""

    def __init__(
        self, training: Training, journal: Journal, stop: Callable[[], bool], at: Whereabouts
    ) -> None:
        self._t = training
        self._journal = journal
        self._stop = stop
        self._at = at
        self._states: list[Any] = []
        self._noise = NoiseMeter(training.settings.update_noise_every, journal)
        self._gradient_seed = int(derive_key(training.seed, _PURPOSE_GRADIENT))
        self._step = 0
        self._samples = 0
        self._evaluation: EvaluationRow | None = None
        self._software: Scores | None = None
        self._transfer: Transfer | None = None
        self._best = -1.0
        self._since_best = 0
        self._over = Continuation(0) if training.continues is None else training.continues
        for accuracy in self._over.accuracies:
            self._rises(accuracy)

    def start(self) -> Plan[bool]:
        """Write the initial weights, read them for the record, and let the update look at its tiles; False
        when asked to stop while they were written.
        """
        t = self._t
        self._at.step = self._over.step
        if t.continues is None and not (yield from self._weights_written()):
            return False
        self._at.doing, self._at.number = "reading the arrays before the first step", 0
        yield from self._resumed(lambda: self._snapshot("initial"))
        seeds = [int(derive_key(t.seed, _PURPOSE_UPDATE, number)) for number in range(len(t.network.layers))]
        self._states = yield from self._resumed(
            lambda: together(
                [
                    t.update.start(layer.tile, seed)
                    for layer, seed in zip(t.network.layers, seeds, strict=True)
                ]
            )
        )
        if t.continues is not None:
            update = cast(Resumable[Any], t.update)
            self._states = [update.at_step(state, t.continues.step) for state in self._states]
        return True

    def _weights_written(self) -> Plan[bool]:
        t = self._t
        rng = np.random.default_rng([t.seed, _PURPOSE_WEIGHTS])
        for layer, weights in zip(t.network.layers, self._wanted(rng), strict=False):
            self._at.doing, self._at.number = f"initial weights of {layer.tile.name}, round", 1
            written = yield from self._written(layer.tile, weights)
            if self._stop():
                return False
            self._tell(layer.tile.name, written)
        return True

    def _written(self, tile: Tile, weights: F32) -> Plan[Written]:
        """Initial weights; what is read before it is pulsed can be begun anew after a lost line."""
        t = self._t

        def writing() -> Plan[Written]:
            return write(tile, weights, t.initial, self._round_is_over)

        return (yield from (writing() if t.initial.unread else self._resumed(writing)))

    def _wanted(self, rng: np.random.Generator) -> Sequence[F32]:
        """The weights [in, out] of each layer that are to be written; none to keep what there is."""
        t = self._t
        if t.initial.kind == "keep":
            return ()
        if t.initial.kind == "file" and t.initial.path is not None:
            given = load_weights(t.initial.path, [Holds.of(layer.tile) for layer in t.network.layers])
            software = assess(t.network, given, t.data)
        else:
            drawn = tuple(random_weights(layer.tile, t.initial.gain, rng) for layer in t.network.layers)
            if t.initial.kind != "transfer":
                return drawn
            self._at.doing, self._at.number = "training in software", 0
            software = train_in_software(t.network, t.data, drawn, t.initial.software, rng, self._stop)
        self._software = software.scores
        return software.weights

    def _round_is_over(self) -> bool:
        self._at.number += 1
        return self._stop()

    def _tell(self, name: str, written: Written) -> None:
        """Record what initial programming came to, and warn of devices that stayed off."""
        if written.rounds == 0 and written.unreached == 0:
            return
        if self._t.initial.unread:
            devices = counted(written.devices, "device was", "devices were")
            text = f"{name}: {devices} given {counted(written.pulses, 'pulse')}, unread"
            self._journal.event("initial", text)
            return
        share = written.unreached / written.devices
        stuck = f", {written.given_up:,} of them do not move" if written.given_up else ""
        told = (
            f"{name}: {written.unreached:,} of {counted(written.devices, 'device')} ({share:.1%}) missed "
            f"their initial weight after {counted(written.rounds, 'round')} and "
            f"{counted(written.pulses, 'pulse')}{stuck}"
        )
        if share < _FEW:
            self._journal.event("initial", f"{told}; {written.untouched:,} held it from the start")
        else:
            within = f"initial.tolerance (now {self._t.initial.within:.0%} of the largest weight)"
            do = f"To miss fewer: more initial.rounds, or a wider {within}"
            self._journal.event("warning", f"{told}. Training starts from what they hold. {do}")

    def epochs(self) -> Plan[Outcome]:
        """All epochs, or as many as it takes."""
        t = self._t
        rng = np.random.default_rng([t.seed, _PURPOSE_ORDER])
        rate = t.settings.rate
        if self._software is not None or t.settings.epochs == 0:
            reason = yield from self._evaluate(0)
            self._tell_transfer()
            if reason is not None:
                return self._ended(reason, 0)
        for epoch in range(1, t.settings.epochs + 1):
            reason = yield from self._epoch(epoch, rate, rng)
            if reason is not None:
                return self._ended(reason, epoch)
            rate *= t.settings.rate_decay
        return self._ended("finished", t.settings.epochs)

    def end(self) -> Plan[None]:
        """Read the arrays for the record."""
        self._at.doing, self._at.number = "reading the arrays at the end", 0
        yield from self._resumed(lambda: self._snapshot("final"))

    def _ended(self, reason: Reason, epochs: int) -> Outcome:
        return Outcome(reason, self._step, self._samples, epochs, self._evaluation, self._transfer)

    def _tell_transfer(self) -> None:
        """Record what is left of the software's accuracy once its weights are in the devices."""
        if self._software is None or self._evaluation is None:
            return
        before, after = self._software.accuracy, self._evaluation.accuracy
        self._transfer = Transfer(before, after)
        self._journal.event(
            "transfer",
            f"accuracy {before:.2%} in software, {after:.2%} in the devices ({100 * (after - before):+.2f} "
            f"points), on {self._evaluation.images:,} test samples",
        )

    def remark(self) -> None:
        """Tell what the update has to say of its tiles."""
        for layer, state in zip(self._t.network.layers, self._states, strict=True):
            for remark in self._t.update.remarks(state):
                self._journal.event("warning", f"{layer.tile.name}: {remark}")

    def _epoch(self, epoch: int, rate: float, rng: np.random.Generator) -> Plan[Reason | None]:
        settings, data = self._t.settings, self._t.data
        size = len(data.train_y)
        evaluate_at = _evenly(settings.evaluations, size)
        next_evaluation = next(evaluate_at)
        seen = 0
        window = Window()
        at = self._at
        for index in batches(size, settings.batch, rng):
            if self._stop():
                self._flush(window, epoch)
                return "stopped"
            if self._step >= self._over.step:
                at.doing, at.number = "training step", self._step + 1
                batch = Batch(data.train_x[index], data.train_y[index], rate, self._step, self._gradient_seed)
                try:
                    report = yield from self._attempted(batch)
                except BaseException:  # the bench failed or the run was ended: what was learned is on record
                    self._flush(window, epoch)
                    raise
                if report is not None:
                    window.add(index.size, report)
            self._step += 1
            at.step = max(self._step, self._over.step)
            self._samples += index.size
            seen += index.size
            if window.samples >= settings.report_every:
                window = self._flush(window, epoch)
            if seen >= next_evaluation:
                next_evaluation = next(evaluate_at, size + 1)
                if self._step < self._over.step or self._step == self._over.evaluated:
                    continue
                window = self._flush(window, epoch)
                reason = yield from self._evaluate(epoch)
                if reason is not None:
                    return reason
        return None

    def _attempted(self, batch: Batch) -> Plan[StepReport | None]:
        """One step; None if it broke off: its pulses are in doubt, none is given again, and all is read."""
        try:
            report = yield from self._t.gradient.step(self._t.network, batch, self._change)
            if self._noise.pending:
                yield from self._noise.finish()
        except BrokenOffError:
            self._noise.forget()
            self._journal.event("in doubt", f"{self._at} broke off and is not repeated; the arrays are read")
            yield from self._resumed(lambda: self._snapshot(f"after-step-{self._at.number}"))
            return None
        return report

    def _resumed(self, part: Callable[[], Plan[T]]) -> Plan[T]:
        """A part that changes nothing, or reads before it does: begun anew whenever it broke off."""
        while True:
            try:
                return (yield from part())
            except BrokenOffError:
                self._journal.event("again", f"{self._at}: begun anew")

    def _flush(self, window: Window, epoch: int) -> Window:
        if window.samples:
            self._journal.training(window.row(self._step, self._samples, epoch))
        return Window()

    def _evaluate(self, epoch: int) -> Plan[Reason | None]:
        t = self._t
        self._at.doing, self._at.number = "evaluation after training step", self._step
        scores = yield from self._resumed(lambda: evaluate(t.network, t.data.test_x, t.data.test_y))
        row = EvaluationRow(
            self._step, self._samples, epoch, scores.loss, scores.accuracy, scores.images, scores.clipped
        )
        self._evaluation = row
        self._journal.evaluation(row)
        if t.settings.target_accuracy is not None and row.accuracy >= t.settings.target_accuracy:
            return "target"
        early = t.settings.early_stop
        self._rises(row.accuracy)
        return "early-stop" if early is not None and self._since_best >= early.patience else None

    def _rises(self, accuracy: float) -> None:
        """Count evaluations since the best one."""
        early = self._t.settings.early_stop
        if accuracy > self._best + (early.min_rise if early else 0.0):
            self._best, self._since_best = accuracy, 0
        else:
            self._since_best += 1

    def _change(self, wanted: Sequence[tuple[int, Wanted]]) -> Plan[None]:
        """Pulse layers by their wanted changes, all in one transaction,
        and keep the states that come back.
        """
        layers, states, update = self._t.network.layers, self._states, self._t.update
        if self._noise.due(self._step):
            yield from self._noise.before(
                [(number, layers[number].tile, want) for number, want in wanted], self._step
            )
        if len(wanted) == 1:
            number, want = wanted[0]
            states[number] = yield from update.apply(layers[number].tile, want, states[number])
            return
        after = yield from together([update.apply(layers[n].tile, want, states[n]) for n, want in wanted])
        for (number, _), state in zip(wanted, after, strict=True):
            states[number] = state

    def _snapshot(self, moment: str) -> Plan[None]:
        """Read every tile for the record."""
        blocks = [
            (layer.tile.sheet, block) for layer in self._t.network.layers for block in layer.tile.blocks
        ]
        schedule: Schedule = tuple(
            Read(b.region, sheet.read_voltage_v, sheet.integration_s) for sheet, b in blocks
        )
        execution = yield schedule
        for (_, block), answer in zip(blocks, execution.answers, strict=True):
            found = read_answer(answer)
            self._journal.snapshot(
                Snapshot(moment, self._at.step, block.region, found.amperes, found.clipped, found.voltage_v)
            )


def _evenly(times: int, size: int) -> Iterator[int]:
    """Sample counts within an epoch after which to evaluate; the last is the epoch's end."""
    return (size * k // times for k in range(1, times + 1))
