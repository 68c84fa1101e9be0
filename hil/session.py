"""One training run from beginning to end: build, run, record, summarise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil import setup
from hil.bench import CostMeter
from hil.config.experiment import Experiment
from hil.errors import ConfigError, LimitError, ScheduleError
from hil.hindsight import no_better_than_guessing, unexamined
from hil.limits import LimitedBench
from hil.network import Network
from hil.opened import OpenedBench
from hil.pause import Pause
from hil.plan import run
from hil.store import Run, RunWriter, mark_continued, open_run
from hil.training.contracts import Demanding
from hil.training.controller import Outcome, Training, Whereabouts, train
from hil.training.events import EvaluationRow, Journal, Snapshot, TrainingRow, UpdateNoiseRow
from hil.units import counted
from hil.versions import versions

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to start: everything was checked, nothing has been output."""

    experiment: Experiment
    bench: OpenedBench
    network: Network
    training: Training
    header: dict[str, Any]


def prepare(
    experiment: Path | None = None,
    bench: Path | None = None,
    overrides: Sequence[str] = (),
    bench_overrides: Sequence[str] = (),
    data_dir: Path | None = None,
    chip: int | None = None,
) -> Prepared:
    """Read and check the files, load the data, open the bench and place the network.

    ``chip``: as in `hil.setup.opens_chip`; None: the experiment's seed.

    Raises
    ------
    ConfigError, DataError, BenchError
        With file, line and key, before any output.
    """
    (spec, spec_given), (settings, settings_given) = setup.load_both(
        experiment, bench, overrides, bench_overrides
    )
    data = setup.load_data(spec, data_dir)
    setup.check_batches(spec, data)
    opens = setup.opens_chip(settings, spec.seed if chip is None else chip)
    opened = setup.bench_for(spec, data, settings, opens)
    try:
        network = setup.build_network(spec, data, opened)
        ask_methods(spec, network, opened)
    except BaseException:
        opened.close()
        raise
    training = Training(network, data, spec.gradient, spec.update, spec.training, spec.initial, spec.seed)
    header = {
        "name": spec.name,
        "seed": spec.seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "experiment": spec_given.recorded(spec),
        "bench": settings_given.recorded(settings),
        "data": {
            "name": data.name,
            "source": data.source,
            "sha256": data.sha256,
            "train": len(data.train_y),
            "test": len(data.test_y),
        },
        "arrays": {name: list(info.shape) for name, info in opened.arrays.items()},
        "network": {
            "summary": repr(network),
            "layers": [repr(layer) for layer in network.layers],
            "weights": network.weights,
            "placement": _placement(network),
        },
        "identity": dict(opened.identity),
        **_calibrations(opened, network),
        "versions": versions("numpy", "numba", "scipy", "pydantic"),
        "git": _git_revision(),
        "command": list(sys.argv),
    }
    return Prepared(spec, opened, network, training, header)


def _placement(network: Network) -> dict[str, list[dict[str, Any]]]:
    """Each layer's blocks: array and side, and first line and number of inputs and outputs."""
    return {
        layer.tile.name: [
            {
                "array": block.region.array,
                "side": block.side,
                "inputs": [block.first_in, block.n_in],
                "outputs": [block.first_out, block.n_out],
            }
            for block in layer.tile.blocks
        ]
        for layer in network.layers
    }


def _calibrations(bench: OpenedBench, network: Network) -> dict[str, Any]:
    """The records that a run uses, what a user must know of them, and each layer's devices that do not work,
    by kind; nothing where the bench file names no records.
    """
    found = bench.calibrations
    if found is None:
        return {}
    layers = {layer.tile.name: layer.tile.faulty for layer in network.layers}
    records = [asdict(each) for each in found.used]
    told = {"records": records, "warnings": list(found.warnings), "faulty": layers}
    return {"calibrations": told | ({"of": found.of} if found.of else {})}


def _tell_calibrations(prepared: Prepared, journal: Journal) -> None:
    """What the records told, and what could not be kept away from."""
    found = prepared.bench.calibrations
    if found is None:
        return
    if found.of:
        journal.event("calibration", f"as {found.of} by its records, whose twin this is")
    for each in found.used:
        journal.event("calibration", f"{each.routine} of {each.array}, {each.created}: {each.told}")
    for warning in found.warnings:
        journal.event("warning", warning)
    for tile in (layer.tile for layer in prepared.network.layers):
        kinds = tile.faulty
        if not kinds:
            continue
        told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
        devices = counted(tile.devices, "device does", "devices do")
        text = f"{tile.name}: {sum(kinds.values()):,} of {devices} not work ({told})"
        spoiled = "; what is shorted spoils every sum that it is in: give the array more spare lines"
        shorted = kinds.get("shorted", 0)
        end = spoiled if shorted else ""
        journal.event("warning" if shorted else "calibration", f"{text} and are never pulsed{end}")


def _tell_hindsight(prepared: Prepared, outcome: Outcome, journal: Journal) -> None:
    """Of a run that is no better than guessing on devices that nobody examined, that this may be why. Arrays
    that are made for the run have no records.
    """
    bench, training, file = prepared.bench, prepared.training, prepared.header["bench"]
    cross_entropy = training.network.loss.name == "cross-entropy"
    guessing = no_better_than_guessing(outcome, training.data, cross_entropy=cross_entropy)
    arrays = unexamined(bench.arrays)
    if not guessing or not arrays or not (bench.durable or file["resolved"].get("arrays")):
        return
    journal.event(
        "warning",
        f"{guessing}. Devices that do not work may be why, and no record tells which of "
        f"{', '.join(arrays)} do: hil calibrate {file['file']} --routine devices finds out, and "
        "calibrations: FOLDER in that file keeps layers and pulses away from them",
    )


def ask_methods(spec: Experiment, network: Network, bench: LimitedBench) -> None:
    """Let gradient and update refuse the network or the bench.

    Raises
    ------
    ConfigError
        With file and line before the key.
    """
    for method in (spec.gradient, spec.update):
        if isinstance(method, Demanding):
            try:
                method.check(network, bench.arrays)
            except ConfigError as error:
                key, _, problem = str(error).partition(": ")
                raise ConfigError(f"{spec.where(*key.split('.'))}: {problem}") from error


def execute(
    prepared: Prepared,
    root: Path = RUNS,
    progress: Journal | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train, record everything under ``root``, and return the run as it can be read.

    What ends a run carries notes of what the run was at (initial weights, round; training step) and of where
    it is recorded up to there, Ctrl-C included; the doses are recorded whatever ends it.
    """
    at = Whereabouts()
    with prepared.bench, RunWriter.create(root, prepared.header) as writer:
        writer.now = lambda: at.step
        prepared.bench.record_in(writer.path)
        journal: Journal = writer if progress is None else Tee((writer, progress))
        try:
            if "continues" in prepared.header:
                _go_on_from(prepared.header["continues"], writer.path, journal)
            _tell_calibrations(prepared, journal)
            for doubt in prepared.bench.doubts:
                journal.event("warning", doubt)
            pause = Pause(prepared.bench, prepared.bench.reconnect_s, at.__str__, journal.event, stop)
            outcome = run(train(prepared.training, journal, stop, at), prepared.bench, writer, pause)
            status = "stopped" if outcome.reason == "stopped" else "finished"
            if prepared.bench.lost_record:
                writer.event("warning", prepared.bench.lost_record)
            _tell_hindsight(prepared, outcome, journal)
            writer.finish(status, summary(prepared, outcome, writer), prepared.bench.doses)
        except BaseException as error:
            notes = tuple(getattr(error, "__notes__", ()))
            error.add_note(f"ended at: {at}")
            if isinstance(error, LimitError | ScheduleError):
                writer.refused()
            if writer.in_doubt is not None:
                pulses, arrays = writer.in_doubt
                error.add_note(
                    f"in doubt: {counted(pulses, 'pulse')} to {' and '.join(arrays)} may or may not have "
                    "been given; they are not sent again, and the devices have to be read"
                )
            if prepared.bench.lost_record:
                error.add_note(prepared.bench.lost_record)
            error.add_note(f"recorded up to here: {writer.path}")
            ended = {**spent(prepared.bench, writer.costs), "ended_at": str(at)}
            writer.fail(error, ended, prepared.bench.doses, notes)
            raise
    return open_run(writer.path)


def _go_on_from(before: Mapping[str, Any], here: Path, journal: Journal) -> None:
    """Mark the run that this one continues, so that none other does, and tell where it goes on."""
    mark_continued(Path(before["folder"]), here)
    doubt = before["in_doubt"]
    known = "" if not doubt else f"; {counted(doubt, 'pulse')} of it are in doubt and not given again"
    journal.event("continued", f"goes on after step {before['step']:,} of {before['run']}{known}")
    for change in before["changed"]:
        journal.event("warning", f"of the bench file, {change}")


def summary(prepared: Prepared, outcome: Outcome, writer: RunWriter) -> dict[str, Any]:
    """The figures that a run comes to, in SI units."""
    last, transfer = outcome.evaluation, outcome.transfer
    moved = {} if transfer is None else {"transfer": asdict(transfer)}
    return {
        "reason": outcome.reason,
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "samples": outcome.samples,
        "accuracy": None if last is None else last.accuracy,
        "evaluated_at": None if last is None else last.samples,
        "loss": None if last is None else last.loss,
        **moved,
        **spent(prepared.bench, writer.costs),
    }


def spent(bench: LimitedBench, costs: CostMeter) -> dict[str, Any]:
    """What a run took and wore out so far, in SI units.

    A schedule that failed is in the wear and not in the costs: its pulses may have been given, and nobody
    answered what they took.
    """
    cost, wear = costs.total, bench.wear
    return {
        "pulses": cost.pulses,
        "half_selects": cost.half_selects,
        "reads": cost.reads,
        "transactions": cost.transactions,
        "seconds": cost.seconds,
        "joules": cost.joules,
        "wear": 0 if wear is None else wear.pulses,
        "wear_device": None if wear is None else f"{wear.array}[{wear.row}, {wear.col}]",
    }


@dataclass(frozen=True, slots=True)
class Tee:
    """Several journals that all take the same rows."""

    journals: tuple[Journal, ...]

    def training(self, row: TrainingRow) -> None:
        """A window of steps is over."""
        for journal in self.journals:
            journal.training(row)

    def evaluation(self, row: EvaluationRow) -> None:
        """The network was evaluated."""
        for journal in self.journals:
            journal.evaluation(row)

    def update_noise(self, row: UpdateNoiseRow) -> None:
        """The update noise of a layer was measured."""
        for journal in self.journals:
            journal.update_noise(row)

    def snapshot(self, snapshot: Snapshot) -> None:
        """A region was read for the record."""
        for journal in self.journals:
            journal.snapshot(snapshot)

    def event(self, kind: str, text: str) -> None:
        """Something worth a line."""
        for journal in self.journals:
            journal.event(kind, text)


def _git_revision() -> str | None:
    """Revision of the working copy this code runs from, or None; a tree with changes is marked with +."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
