"""What a study came to: what the report and the command line show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hil.compare.claims import Verdict
from hil.compare.results import CellResult, Result
from hil.compare.study import Study


@dataclass(frozen=True)
class Outcome:
    """What a study came to: a result for each cell, a verdict for each claim.

    ``given`` is the file's text, ``changed`` what was set on the command line on top of it.
    """

    study: Study
    given: str
    changed: tuple[str, ...]
    folder: Path
    cells: tuple[CellResult, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> list[tuple[CellResult, Result]]:
        """Every run that failed, with its cell."""
        return [(cell, result) for cell in self.cells for result in cell.results if result.status == "failed"]
