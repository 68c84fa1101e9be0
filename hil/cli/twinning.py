"""What `hil twin` does: records read, a twin fitted, its files written whole or not at all, and what to know
of it said.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hil import plugins, setup
from hil.calibrate.contracts import Estimate
from hil.calibrate.gather import gather
from hil.calibrate.twin import Asked, Described, FitsData, Twin
from hil.calibrate.twins import TwinFiles
from hil.calibrate.twins import twin_of_records as fit_records
from hil.calibrate.words import about, said
from hil.cli.fitting import command_that_fits
from hil.cli.screen import CompilerOnce
from hil.cli.show import print_json, two_columns
from hil.errors import ConfigError
from hil.jit import watching_compiler
from hil.units import Unit, parse_quantity

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
    files = _free(output, force=force)
    if not paths:
        raise ConfigError("what shall the twin be fitted to? give records, or a folder of them: calibrations")
    with _compiler(json):
        tell(files.write(fit_records(*gather(paths), asked)), files, json=json)


def _free(output: Path, *, force: bool) -> TwinFiles:
    files = TwinFiles.beside(output)
    if not force:
        files.require_free("--force writes over, -o names another")
    return files


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
    files = _free(output, force=force)
    fit: FitsData = plugins.load("twins", "data")
    with _compiler(json):
        tell(files.write(fit(data.files, described)), files, json=json)


def _compiler(json: bool) -> AbstractContextManager[None]:
    return watching_compiler(CompilerOnce(Console(stderr=json, highlight=False)))


def _quantity(option: str, text: str, unit: Unit) -> float:
    try:
        value = parse_quantity(text, unit)
    except ConfigError as error:
        raise ConfigError(f"--{option}: {error}") from error
    if not value > 0:
        raise ConfigError(f"--{option} {text}: more than 0 is needed")
    return value


def tell(twin: Twin, files: TwinFiles, *, json: bool) -> None:
    """What was fitted, how well, and where it is."""
    written = {"bench": files.bench, "maps": files.maps}
    written |= {"figure": files.figure} if twin.figure is not None else {}
    with setup.open_bench(setup.load_bench(files.bench)[0]) as bench:
        train = command_that_fits(files.bench, bench.arrays)
        devices = sum(info.rows * info.cols for info in bench.arrays.values())
    if json:
        print_json({
            **{name: str(path) for name, path in written.items()},
            "source": twin.source,
            "estimates": {name: asdict(each) for name, each in twin.estimates.items()},
            "goodness": {name: asdict(each) for name, each in twin.goodness.items()},
            "findings": list(twin.findings),
            "train": train,
        })  # fmt: skip
        return
    console = Console(highlight=False)
    console.print(Text(f"twin of {twin.source}", "bold"))
    if twin.estimates:
        console.print(_table(twin.estimates))
    console.print(Text("goodness of fit", "bold"), _table(twin.goodness), sep="\n")
    for each in twin.findings:
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
