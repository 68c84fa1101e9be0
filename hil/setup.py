"""From files to objects: an experiment, a bench, the data, and the network on the bench's arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from hil import builtin, plugins
from hil.bench import ArrayInfo, Bench
from hil.calibrate.use import known_by_records
from hil.config.bench import BenchSettings
from hil.config.experiment import Experiment, experiment_model
from hil.config.kinds import OF_EXPERIMENTS
from hil.config.validate import Config, did_you_mean, overridden, validate
from hil.config.verify import Verify
from hil.config.yaml import Document, describe, load_yaml
from hil.data import Dataset, load_dataset
from hil.errors import ConfigError, DataError
from hil.faults import Faults
from hil.fits import forbidden
from hil.limits import LimitedBench
from hil.network import Layer, Loss, MatrixSize, Network, Neurons, Tile, place, wanted_arrays
from hil.network.activations import bounded
from hil.network.tile import Block, scale_s
from hil.opened import OpenedBench, lock_lines, placed, told_with_its_key
from hil.shapes import layer_shapes
from hil.training.weights import Holds, load_weights
from hil.units import format_quantity

Opens: TypeAlias = Callable[[BenchSettings, dict[str, tuple[int, int]], int], OpenedBench]
"""`open_bench`, or another way to a bench: settings, sizes that it may have, seed."""
_PURPOSE_NEURONS = 4


@dataclass(frozen=True, slots=True)
class Given:
    """A file as it was given: where it is, its text, the ``--set`` on top of it."""

    path: Path
    text: str
    overrides: tuple[str, ...] = ()

    def recorded(self, settings: Config) -> dict[str, Any]:
        """As runs and calibrations record it, with what it came to."""
        return {
            "file": self.path.name,
            "path": str(self.path.resolve()),
            "given": self.text,
            "set": list(self.overrides),
            "resolved": settings.model_dump(mode="json"),
        }


def load_experiment(path: Path | None = None, overrides: Sequence[str] = ()) -> tuple[Experiment, Given]:
    """Read an experiment file, or the built-in one, with ``key.path=value`` overrides put in.

    Raises
    ------
    ConfigError
        One line for each problem, with file, line and key.
    """
    path = builtin.EXPERIMENT if path is None else path
    document = load_yaml(path)
    if "driver" in document.data and not OF_EXPERIMENTS & document.data.keys():
        place = document.where(("driver",))
        raise ConfigError(
            f"{place}: driver: this is a bench file; give it as --bench {path} (in Python bench=)"
        )
    if "experiment" in document.data:
        place = document.where(("experiment",))
        raise ConfigError(f"{place}: experiment: this is a study; run it with hil compare {path}")
    model = experiment_model(plugins.load_all("gradients"), plugins.load_all("updates"))
    experiment = validate(model, _data_beside(document, path), overrides)
    return experiment, Given(path, path.read_text(encoding="utf-8"), tuple(map(str, overrides)))


def load_bench(path: Path | None = None, overrides: Sequence[str] = ()) -> tuple[BenchSettings, Given]:
    """Read a bench file, or the built-in one, by the settings of the driver it names.

    Raises
    ------
    ConfigError
        One line for each problem, with file, line and key.
    """
    path = builtin.BENCH if path is None else path
    document = load_yaml(path)
    if "driver" not in document.data and (found := sorted(OF_EXPERIMENTS & document.data.keys())):
        place = f"{document.where((found[0],))}: {found[0]}"
        raise ConfigError(
            f"{place}: this is an experiment file; --bench takes a bench file: hil train {path}"
        )
    document, wrong = overridden(document, overrides, "--bench-set")
    try:
        settings: type[BenchSettings] = _driver(document).settings
    except ConfigError as error:
        raise ConfigError("\n".join([*wrong, str(error)])) from error
    bench = validate(settings, document, problems=wrong)
    return bench, Given(path, path.read_text(encoding="utf-8"), tuple(map(str, overrides)))


def load_both(
    experiment: Path | None = None,
    bench: Path | None = None,
    overrides: Sequence[str] = (),
    bench_overrides: Sequence[str] = (),
) -> tuple[tuple[Experiment, Given], tuple[BenchSettings, Given]]:
    """An experiment and a bench, each with its file as it was given.

    Raises
    ------
    ConfigError
        One line for each problem of either.
    """
    try:
        loaded = load_experiment(experiment, overrides)
    except ConfigError as error:
        try:
            load_bench(bench, bench_overrides)
        except ConfigError as other:
            raise ConfigError(f"{error}\n{other}") from error
        raise
    return loaded, load_bench(bench, bench_overrides)


def open_bench(
    settings: BenchSettings | None = None,
    sizes: dict[str, tuple[int, int]] | None = None,
    seed: int = 1,
    *,
    calibrated: bool = False,
    given: Given | None = None,
) -> OpenedBench:
    """Open a bench within its limits, locked against other processes; no output changes. ``sizes`` and
    ``seed`` are for benches that are simulated; the default is that of an experiment that names none.
    ``calibrated``: correct it by the records that its file names; otherwise arrays and answers are as they
    are, as a calibration needs them. ``given``: the file, for records of what is measured on it.

    Raises
    ------
    ConfigError, BenchError
        When it is not there, in use by another process, or not what the settings say; when its devices last
        and its settings name no line to them; when a record cannot be used
        (:func:`hil.calibrate.use.known_by_records`).
    """
    settings = load_bench()[0] if settings is None else settings
    driver: plugins.Driver = plugins.load("drivers", settings.driver)
    locks = lock_lines(settings)
    try:
        with _placed_in(settings), told_with_its_key(settings):
            opened = driver.open(settings, sizes or {}, seed)
        try:
            _check_lines(settings, opened)
            known = known_by_records(settings, opened, datetime.now(UTC)) if calibrated else None
        except BaseException:
            opened.close()
            raise
        return OpenedBench(opened, settings, locks, known if known and known.used else None, given)
    except BaseException:
        locks.release()
        raise


def open_calibrated(settings: BenchSettings, sizes: dict[str, tuple[int, int]], seed: int) -> OpenedBench:
    """Open a bench to train on it: corrected by the calibration records that its file names."""
    return open_bench(settings, sizes, seed, calibrated=True)


def opens_chip(settings: BenchSettings, chip: int) -> Opens:
    """How runs of several seeds open a bench to train on it. Where records are of a simulated chip, which is
    its seed, all runs are on ``chip`` and differ in all else; else each has devices of its own seed.
    """
    if not settings.of_one_chip:
        return open_calibrated

    def opens(settings: BenchSettings, sizes: dict[str, tuple[int, int]], _: int) -> OpenedBench:
        return open_calibrated(settings, sizes, chip)

    return opens


def matrices(experiment: Experiment, data: Dataset) -> tuple[MatrixSize, ...]:
    """Sizes of the weight matrices that an experiment puts on arrays.

    Raises
    ------
    ConfigError
        As from :func:`hil.shapes.layer_shapes`.
    """
    return tuple(shape.matrix for shape in layer_shapes(experiment, data))


def build_network(experiment: Experiment, data: Dataset, bench: LimitedBench) -> Network:
    """Place the layers of an experiment on a bench's arrays.

    Raises
    ------
    ConfigError
        When they do not fit, or as from :func:`matrices`.
    """
    settings = experiment.network
    shapes = layer_shapes(experiment, data)
    rng = np.random.default_rng([experiment.seed, _PURPOSE_NEURONS])
    layers: list[Layer] = []
    bounded_inputs = bool(
        np.abs(data.train_x).max(initial=0) <= 1 and np.abs(data.test_x).max(initial=0) <= 1
    )
    placed = _place(experiment, [shape.matrix for shape in shapes], bench)
    for shape, blocks, layer in zip(shapes, placed, settings.layers, strict=True):
        size = shape.matrix
        sheet = bench.arrays[blocks[0].region.array].device
        scale = scale_s(sheet, layer.w_max, settings.weights)
        faults = _faults(blocks, bench.arrays)
        tile = Tile(size.name, size.n_in, size.n_out, blocks, scale, sheet, bounded_inputs, faults=faults)
        spread = settings.neurons
        neurons = Neurons.drawn(
            size.n_out, spread.gain_spread, spread.offset_spread, rng, spread.backward_spread
        )
        layers.append(Layer(tile, layer.activation, layer.bias, neurons, shape.convolution))
        bounded_inputs = bounded(layer.activation)
    return Network(tuple(layers), Loss(settings.loss, settings.layers[-1].activation))


def bench_for(
    experiment: Experiment, data: Dataset, settings: BenchSettings, opens: Opens = open_calibrated
) -> OpenedBench:
    """Open the bench of an experiment, its simulated arrays sized to the network unless the bench file says
    otherwise; it is closed again if it cannot take the experiment.

    Raises
    ------
    ConfigError, BenchError
        As from :func:`matrices` and :func:`open_bench`; when the network does not fit the arrays; when the
        bench's limits forbid its own read voltage or pulses, without which nothing can be trained.
    """
    sizes = matrices(experiment, data)
    _check_weights(experiment, sizes)
    opened = opens(settings, wanted_arrays(sizes, experiment.network.weights), experiment.seed)
    try:
        _place(experiment, sizes, opened)
        _check_limits(settings, opened)
        _check_raised(experiment, opened)
    except BaseException:
        opened.close()
        raise
    return opened


def load_data(experiment: Experiment, data_dir: Path | None = None) -> Dataset:
    """The data set of an experiment.

    Raises
    ------
    DataError
        As from :func:`hil.data.load_dataset`, with file, line and key of the experiment before it.
    """
    try:
        return load_dataset(experiment.data, data_dir, experiment.seed)
    except DataError as error:
        path = experiment.data.path
        key = ("data",) if path is None or str(path) not in str(error) else ("data", "path")
        raise DataError(f"{experiment.where(*key)}: {error}") from error


def check_batches(experiment: Experiment, data: Dataset) -> None:
    """Refuse batches of more samples than there are to train with; a default is as many as there are.

    Raises
    ------
    ConfigError
        With file, line and key.
    """
    most = len(data.train_y)
    training, software = experiment.training, experiment.initial.software
    for settings, keys in ((training, ("training",)), (software, ("initial", "software"))):
        if "batch" in settings.model_fields_set and settings.batch > most:
            place = experiment.where(*keys, "batch")
            raise ConfigError(
                f"{place}: asked for {settings.batch}; must be at most {most}, all training samples"
            )


@contextmanager
def _placed_in(settings: Config, *keys: str) -> Generator[None]:
    """Put file and line before later errors: of the key that a message begins with, else of ``keys``."""
    try:
        yield
    except ConfigError as error:
        raise type(error)(placed(settings, str(error), *keys)) from error


def _place(
    experiment: Experiment, sizes: Sequence[MatrixSize], bench: LimitedBench
) -> tuple[tuple[Block, ...], ...]:
    with _placed_in(experiment, "network", "layers"):
        return place(sizes, bench.arrays, experiment.network.weights)


def _faults(blocks: Sequence[Block], arrays: Mapping[str, ArrayInfo]) -> dict[str, Faults]:
    """What is known of faulty devices on the arrays of a tile."""
    names = dict.fromkeys(block.region.array for block in blocks)
    return {name: found for name in names if (found := arrays[name].faults) is not None}


def _check_lines(settings: BenchSettings, bench: Bench) -> None:
    """The lines that a bench names are how it is locked, and asked about before its devices are pulsed."""
    if bench.durable and not settings.resources:
        told = (
            f"driver: {settings.driver!r} opens devices that outlive this process, and its settings name no "
            "line to them: nothing would keep other processes off, and nobody be asked before they are "
            "pulsed; the driver's settings have to say what it connects to (BenchSettings.resources)"
        )
        raise ConfigError(placed(settings, told))


def _check_limits(settings: BenchSettings, bench: LimitedBench) -> None:
    """A bench is read at its nominal voltage and programmed with its own pulses: limits must allow them."""
    for info in bench.arrays.values():
        for problem in forbidden(bench.limits, info.name, info.device):
            raise ConfigError(placed(settings, problem))


def _check_raised(experiment: Experiment, bench: LimitedBench) -> None:
    """A closed loop that raises amplitudes must stay within the limits too."""
    loops: list[tuple[str, Verify]] = [] if experiment.initial.unread else [("initial", experiment.initial)]
    if isinstance(experiment.update, Verify):
        loops.append(("update", experiment.update))
    allowed = bench.limits.program_v
    strongest = {
        info.name: max(abs(info.device.potentiate.amplitude_v), abs(info.device.depress.amplitude_v))
        for info in bench.arrays.values()
    }
    array, nominal = max(strongest.items(), key=lambda item: item[1])
    for key, loop in loops:
        asked = nominal * loop.largest_amplitude
        if allowed is not None and loop.levels and not asked <= allowed:
            default = "" if "amplitude_most" in loop.model_fields_set else " (the default)"
            fits = math.floor(1000 * allowed / nominal) / 1000
            place = experiment.where(key, "amplitude_most")
            raise ConfigError(
                f"{place}: asked for {loop.amplitude_most:g}{default}, which is "
                f"{format_quantity(asked, 'V')} on {array}; this bench allows "
                f"{format_quantity(allowed, 'V')} (limits.program): write {key}.amplitude_most: {fits:g} "
                "or less"
            )


def _check_weights(experiment: Experiment, sizes: Sequence[MatrixSize]) -> None:
    path = experiment.initial.path
    if path is None:
        return
    layers = experiment.network.layers
    holds = [
        Holds(size.name, size.n_in, size.n_out, layer.w_max)
        for size, layer in zip(sizes, layers, strict=True)
    ]
    try:
        load_weights(path, holds)
    except ConfigError as error:
        raise ConfigError(f"{experiment.where('initial', 'path')}: {error}") from error


def _driver(document: Document) -> plugins.Driver:
    asked: Any = document.data.get("driver")
    installed = plugins.names("drivers")
    if not isinstance(asked, str):
        found = "missing" if asked is None else f"asked for {describe(asked)}"
        raise ConfigError(
            f"{document.where(('driver',))}: driver: {found}; name one of: {', '.join(installed)}"
        )
    if asked not in installed:
        raise ConfigError(
            f"{document.where(('driver',))}: driver: no driver {asked!r}; {did_you_mean(asked, installed)}"
        )
    return plugins.load("drivers", asked)


def _data_beside(document: Document, path: Path) -> Document:
    """A relative data.path or initial.path counts from the experiment file's folder, so that a file and its
    data travel together.
    """
    for key in ("data", "initial"):
        part: Any = document.data.get(key)
        where: Any = cast(dict[str, Any], part).get("path") if isinstance(part, dict) else None
        if isinstance(where, str) and not Path(where).is_absolute() and (path.parent / where).exists():
            part["path"] = str(path.parent / where)
    return document
