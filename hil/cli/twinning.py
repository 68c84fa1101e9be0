"""What `hil twin` does: records read, a twin fitted, its files written whole or not at all, and what to know
of it said.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hil import plugins, setup
from hil.calibrate.contracts import Estimate
from hil.calibrate.gather import gather
from hil.calibrate.twin import Asked, Described, FitsData, FitsRecords, Twin
from hil.calibrate.words import about, said
from hil.cli.fitting import command_that_fits
from hil.cli.show import print_json, two_columns
from hil.errors import ConfigError, StoreError
from hil.store.blobs import pack
from hil.store.folder import write_whole
from hil.units import Unit, parse_quantity

_DPI = 200
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def twin_of_records(paths: Sequence[Path], output: Path, asked: Asked, *, force: bool, json: bool) -> None:
    """Fit a twin to records and write it.

    Raises
    ------
    StoreError
        Records cannot be read or do not go together; a file cannot be written.
    ConfigError
        Nothing to fit is given, or an output is there already.
    """
    files = _Files.beside(output)
    files.require_free(force)
    if not paths:
        raise ConfigError("what shall the twin be fitted to? give records, or a folder of them: calibrations")
    records, damaged = gather(paths)
    fit: FitsRecords = plugins.load("twins", "records")
    try:
        twin = fit(records, asked, datetime.now(UTC))
    except StoreError as error:
        for each in damaged:
            error.add_note(each)
        raise
    twin = _by_its_records(twin, output)
    files.write(twin)
    tell(twin, files, damaged, json=json)


def _by_its_records(twin: Twin, output: Path) -> Twin:
    """With the folder of the records that it is trained on by, counted from its file; without them where they
    are in several folders.
    """
    if not twin.calibrations:
        return twin
    folders = {path.parent.resolve() for path in twin.records}
    if len(folders) != 1:
        told = f"its records are in {len(folders)} folders, where a bench file names one: trained on without"
        return replace(twin, findings=(*twin.findings, told))
    (folder,) = folders
    try:
        named = Path(os.path.relpath(folder, output.parent.resolve())).as_posix()
    except ValueError:  # another drive
        named = folder.as_posix()
    told = f"training goes by the records in {named}, as on their bench: placement and corrections"
    bench = {**twin.bench, "calibrations": {"folder": named, **twin.calibrations}}
    return replace(twin, bench=bench, findings=(*twin.findings, told))


@dataclass(frozen=True, slots=True)
class Data:
    """Files of pulse responses, and what was said of them as it was said."""

    files: tuple[Path, ...]
    unit: str | None
    read_voltage: str | None
    ends: str | None
    size: str | None

    def refuse_options(self) -> None:
        """Refuse what is said of data where there are none."""
        for name in ("unit", "read_voltage", "ends", "size"):
            if getattr(self, name) is not None:
                option = {"ends": "range"}.get(name, name.replace("_", "-"))
                raise ConfigError(f"--{option} {getattr(self, name)}: belongs to --from-csv")

    def described(self, model: str) -> Described:
        """As numbers."""
        volts = None if self.read_voltage is None else _quantity("read-voltage", self.read_voltage, "V")
        size = _SIZE.fullmatch(self.size or "128x128")
        if size is None:
            raise ConfigError(f"--size {self.size}: not of the form ROWSxCOLS; write e.g. 128x128")
        return Described(model, self.unit, volts, self._ends(), (int(size[1]), int(size[2])))

    def _ends(self) -> tuple[float, float] | None:
        if self.ends is None:
            return None
        low, colon, high = self.ends.partition(":")
        if not colon:
            raise ConfigError(f"--range {self.ends}: not of the form LOW:HIGH; write e.g. 1uS:10uS")
        found = _quantity("range", low, "S"), _quantity("range", high, "S")
        if not found[0] < found[1]:
            raise ConfigError(f"--range {self.ends}: the first must be below the second")
        return found


def twin_of_data(
    data: Data, records: Sequence[Path], output: Path, model: str, *, force: bool, json: bool
) -> None:
    """Fit a twin to files of pulse responses and write it.

    Raises
    ------
    DataError
        A file cannot be read as such data; with file and line.
    ConfigError
        Records are given too, an option is wrong, or an output is there already.
    """
    if records:
        raise ConfigError(f"{records[0]}: give records, or files of data (--from-csv), not both")
    described = data.described(model)
    files = _Files.beside(output)
    files.require_free(force)
    fit: FitsData = plugins.load("twins", "data")
    twin = fit(data.files, described)
    files.write(twin)
    tell(twin, files, (), json=json)


def _quantity(option: str, text: str, unit: Unit) -> float:
    try:
        value = parse_quantity(text, unit)
    except ConfigError as error:
        raise ConfigError(f"--{option}: {error}") from error
    if not value > 0:
        raise ConfigError(f"--{option} {text}: more than 0 is needed")
    return value


class _Files:
    """The files of a twin."""

    def __init__(self, bench: Path, maps: Path, figure: Path) -> None:
        self.bench, self.maps, self.figure = bench, maps, figure

    @classmethod
    def beside(cls, output: Path) -> _Files:
        """Of the names that go with a bench file."""
        if output.suffix.lower() not in (".yaml", ".yml"):
            raise ConfigError(f"--output {output}: asked for {output.suffix!r}; .yaml is needed")
        if not output.parent.is_dir():
            raise ConfigError(f"--output {output}: there is no folder {output.parent}")
        return cls(output, output.with_suffix(".npz"), output.with_suffix(".png"))

    @property
    def all(self) -> tuple[Path, ...]:
        """All of them."""
        return self.bench, self.maps, self.figure

    def require_free(self, force: bool) -> None:
        """Refuse to write over anything that was not given up."""
        there = [str(path) for path in self.all if path.exists()]
        if there and not force:
            raise ConfigError(f"{', '.join(there)}: already there; --force writes over, -o names another")

    def write(self, twin: Twin) -> None:
        """Maps first, the bench file that names their checksum last."""
        blob = pack(twin.maps)
        device = dict(twin.bench["device"]) | {
            "maps": self.maps.name,
            "sha256": hashlib.sha256(blob).hexdigest(),
        }
        write_whole(self.maps, blob)
        if twin.draw is not None:
            self._draw(twin)
        text = yaml.safe_dump({**twin.bench, "device": device}, sort_keys=False, width=110)
        write_whole(self.bench, f"# Made by hil twin from {twin.source}.\n{text}".encode())

    def _draw(self, twin: Twin) -> None:
        from hil.figures.canvas import styled

        with styled():
            figure = twin.draw() if twin.draw is not None else None
            try:
                if figure is not None:
                    figure.savefig(self.figure, dpi=_DPI)  # pyright: ignore[reportUnknownMemberType]
            except OSError as error:
                raise StoreError(f"{self.figure}: cannot be written: {error.strerror}") from error


def tell(twin: Twin, files: _Files, damaged: Sequence[str], *, json: bool) -> None:
    """What was fitted, how well, and where it is."""
    written = {"bench": files.bench, "maps": files.maps}
    written |= {"figure": files.figure} if twin.draw is not None else {}
    findings = [*twin.findings, *damaged]
    with setup.open_bench(setup.load_bench(files.bench)[0]) as bench:
        train = command_that_fits(files.bench, bench.arrays)
        devices = sum(info.rows * info.cols for info in bench.arrays.values())
    if json:
        print_json({
            **{name: str(path) for name, path in written.items()},
            "source": twin.source,
            "estimates": {name: asdict(each) for name, each in twin.estimates.items()},
            "goodness": {name: asdict(each) for name, each in twin.goodness.items()},
            "findings": findings,
            "train": train,
        })  # fmt: skip
        return
    console = Console(highlight=False)
    console.print(Text(f"twin of {twin.source}", "bold"))
    if twin.estimates:
        console.print(_table(twin.estimates))
    console.print(Text("goodness of fit", "bold"), _table(twin.goodness), sep="\n")
    for each in findings:
        console.print(Text(each))
    console.print(two_columns([(name, str(path)) for name, path in written.items()]))
    what = "an experiment" if train is None else "digits with them, or an experiment of your own"
    console.print(Text(f"it has {devices:,} devices; train {what}:"))
    own = f"hil train EXPERIMENT.yaml --bench {shlex.quote(str(files.bench))}"
    console.print(Text(own if train is None else train), soft_wrap=True)


def _table(estimates: Mapping[str, Estimate]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, right in (("", False), ("value", True), ("95 % interval", False), ("", False)):
        table.add_column(heading, justify="right" if right else "left", no_wrap=bool(heading))
    for name, each in estimates.items():
        value, interval = said(each)
        table.add_row(name, value, interval, about(each))
    return table
