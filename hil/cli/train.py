"""`hil train`: say what will run, show how it goes, leave in good order, say what came of it."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from hil.bench import DeviceSheet
from hil.cli.pricing import declined
from hil.cli.progress import Display
from hil.cli.screen import display_on
from hil.cli.show import bench_in_short, print_json, two_columns
from hil.cli.signals import AT_ONCE, Stop
from hil.cli.words import figures
from hil.config.experiment import TrainingSettings
from hil.config.validate import Config
from hil.interrupt import unwrapped_interrupts
from hil.jit import watching_compiler
from hil.price.price import Asked as Priced
from hil.remainder import Remainder
from hil.session import Prepared, execute, prepare
from hil.store import Run
from hil.units import counted, format_quantity

_ARRAYS_NAMED = 6


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, on the command line or from Python."""

    experiment: Path | None
    bench: Path | None
    overrides: tuple[str, ...]
    bench_overrides: tuple[str, ...]
    data_dir: Path | None
    runs: Path
    report: bool
    again: Remainder | None = None
    """The run that is to go on; the files are its own then."""

    def prepare(self) -> Prepared:
        """Everything checked, the bench open, nothing output."""
        if self.again is not None:
            return self.again.prepare(self.data_dir)
        return prepare(self.experiment, self.bench, self.overrides, self.bench_overrides, self.data_dir)


def run_training(asked: Asked, json: bool, quiet: bool, yes: bool) -> int:
    """Train as asked and return the exit code; where instruments take part, ask first unless ``yes``.

    Raises
    ------
    HilError
        What kept the run from starting, or ended it; then its notes name the run's folder.
    """
    stream = sys.stderr if json else sys.stdout
    if not yes and (code := declined(_question(asked), stream)):
        return code
    begun = time.monotonic()
    with Stop() as stop, display_on(stream, quiet) as display:
        try:
            with unwrapped_interrupts():
                run = train_shown(asked, display, stop)
                real_seconds = time.monotonic() - begun
                report = _report(run, display, stop) if asked.report else None
                display.headline(Text())
                display.say(_result(run, report, real_seconds))
        except KeyboardInterrupt as error:
            for line in (AT_ONCE, *getattr(error, "__notes__", ())):
                display.say(Text(line, "yellow"))
            return stop.exit_code
    if json:
        print_json(
            {
                "run": str(run.path),
                "report": None if report is None else str(report),
                "status": run.status,
                "real_seconds": real_seconds,
                "summary": run.summary,
            }
        )
    return stop.exit_code


def _question(asked: Asked) -> Priced:
    return Priced(
        asked.experiment, asked.bench, asked.overrides, asked.bench_overrides, data_dir=asked.data_dir
    )


def train_shown(asked: Asked, display: Display, stop: Stop | None = None) -> Run:
    """Train as asked, and have a display show it; without ``stop`` signals are left alone."""
    with watching_compiler(display):
        display.phase("reading files and data")
        prepared = asked.prepare()
        display.headline(headline(prepared))
        training = prepared.experiment.training
        display.begin(training.epochs * len(prepared.training.data.train_y), training.epochs, _over(prepared))
        display.phase("programming the initial weights" if asked.again is None else "reading the arrays")
        if stop is None:
            return execute(prepared, asked.runs, display)
        stop.be_patient(display.stopping)
        return execute(prepared, asked.runs, display, stop)


def _report(run: Run, display: Display, stop: Stop) -> Path:
    display.phase("writing the report")
    with stop.held():  # extension modules that are interrupted as they start can crash the way out
        import_module("hil.figures.canvas")
        from hil.report import write_report

    return write_report(run)


def headline(prepared: Prepared) -> RenderableType:
    """What will run, in a few lines: network, method, bench, data and training."""
    experiment, data = prepared.experiment, prepared.training.data
    arrays = list(prepared.bench.arrays.values())
    shapes = ", ".join(f"{array.name} {array.rows} x {array.cols}" for array in arrays[:_ARRAYS_NAMED])
    more = f" and {len(arrays) - _ARRAYS_NAMED} more" if len(arrays) > _ARRAYS_NAMED else ""
    samples = f"{len(data.train_y):,} training and {counted(len(data.test_y), 'test sample')}"
    rows = [
        ("experiment", f"{experiment.name}, seed {experiment.seed}"),
        ("network", _network(prepared)),
        ("gradient", _plugin(experiment.gradient)),
        ("update", _plugin(experiment.update)),
        ("bench", bench_in_short(prepared.header["bench"]["resolved"]["name"], prepared.bench.identity)),
        ("arrays", shapes + more),
        *(("devices", sheet) for sheet in dict.fromkeys(_sheet(array.device) for array in arrays)),
        ("data", f"{data.name}: {samples}, {counted(data.inputs, 'input')}, {data.classes} classes"),
        ("training", _course(experiment.training)),
        *(("goes on", line) for line in _behind(prepared)),
    ]
    return Group(two_columns(rows), Text())


def _over(prepared: Prepared) -> int:
    """Samples that lie behind a run that goes on."""
    behind, size = prepared.training.continues, len(prepared.training.data.train_y)
    batch = prepared.experiment.training.batch
    epochs, steps = divmod(0 if behind is None else behind.step, math.ceil(size / batch))
    return epochs * size + steps * batch


def _behind(prepared: Prepared) -> list[str]:
    before = prepared.header.get("continues")
    return [] if before is None else [f"after step {before['step']:,} of {before['run']}"]


def _course(training: TrainingSettings) -> str:
    if training.epochs == 0:
        return "none, only the initial weights"
    epochs = counted(training.epochs, "epoch")
    decay = f", times {training.rate_decay:g} after each epoch" if training.rate_decay != 1 else ""
    samples = f"{counted(training.batch, 'sample')} a step"
    return f"{epochs}, {samples}, rate {training.rate:g}{decay}"


def _sheet(sheet: DeviceSheet) -> str:
    low, high, up, down = (
        format_quantity(siemens, "S", digits=3)
        for siemens in (sheet.g_min_s, sheet.g_max_s, sheet.step_up_s, sheet.step_down_s)
    )
    volts = format_quantity(sheet.read_voltage_v, "V", digits=3)
    return f"{low} to {high}, pulses of +{up} and -{down}, read at {volts}"


def _network(prepared: Prepared) -> str:
    network = prepared.network
    layers = " - ".join([network.layers[0].taken, *(layer.text for layer in network.layers)])
    return f"{layers}; {network.weights:,} weights, {network.loss.name}"


def _plugin(settings: Config) -> str:
    """A method's name, and those of its settings that are not as they are by default."""
    chosen = settings.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    name: str = settings.model_dump()["name"]
    return name + "".join(f", {key} {value}" for key, value in chosen.items())


def _result(run: Run, report: Path | None, real_seconds: float) -> RenderableType:
    lines = [("run", run.path), *([] if report is None else [("report", report)])]
    paths = (Text(f"{label}: {path}", no_wrap=True, overflow="ignore") for label, path in lines)
    return Group(two_columns(figures(run.summary, real_seconds)), Text(), *paths)
