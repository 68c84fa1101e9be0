"""A twin fitted to records, and its files: bench file, maps and figure, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from hil import plugins
from hil.calibrate.record import Record
from hil.calibrate.twin import Asked, FitsRecords, Twin
from hil.errors import ConfigError, StoreError
from hil.store.blobs import pack
from hil.store.folder import write_whole


def twin_of_records(records: Sequence[tuple[Path, Record]], passed_over: Sequence[str], asked: Asked) -> Twin:
    """Fit; what was passed over before is among the findings.

    Raises
    ------
    StoreError
        Records do not go together, or none can be used; its notes say what was passed over.
    """
    fit: FitsRecords = plugins.load("twins", "records")
    try:
        twin = fit(records, asked, datetime.now(UTC))
    except StoreError as error:
        for each in passed_over:
            error.add_note(each)
        raise
    return replace(twin, findings=(*twin.findings, *passed_over))


@dataclass(frozen=True, slots=True)
class TwinFiles:
    """The files of a twin."""

    bench: Path
    maps: Path
    figure: Path

    @classmethod
    def beside(cls, output: Path) -> TwinFiles:
        """Of the names that go with a bench file. Raises ConfigError if it can be none."""
        if output.suffix.lower() not in (".yaml", ".yml"):
            raise ConfigError(f"{output}: asked for {output.suffix!r}; .yaml is needed")
        if not output.parent.is_dir():
            raise ConfigError(f"{output}: there is no folder {output.parent}")
        return cls(output, output.with_suffix(".npz"), output.with_suffix(".png"))

    def require_free(self, remedy: str) -> None:
        """Refuse to write over anything. Raises ConfigError that says what can be done."""
        there = [str(path) for path in (self.bench, self.maps, self.figure) if path.exists()]
        if there:
            raise ConfigError(f"{', '.join(there)}: already there; {remedy}")

    def write(self, twin: Twin) -> Twin:
        """Maps first, the bench file that names their checksum last; the twin, knowing its path.

        Raises
        ------
        StoreError
            A file cannot be written.
        """
        twin = _by_its_records(twin, self.bench)
        blob = pack(twin.maps)
        device = dict(twin.bench["device"]) | {
            "maps": self.maps.name,
            "sha256": hashlib.sha256(blob).hexdigest(),
        }
        write_whole(self.maps, blob)
        if twin.figure is not None:
            twin.draw(self.figure)
        text = yaml.safe_dump({**twin.bench, "device": device}, sort_keys=False, width=110)
        write_whole(self.bench, f"# Made by hil twin from {twin.source}.\n{text}".encode())
        return replace(twin, path=self.bench)


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
