"""Before a question about a run or a calibration: whether the instruments that it is about are there."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from hil.check import check_instruments
from hil.config.bench import BenchSettings
from hil.errors import BenchError, ConfigError


def require_present(settings: BenchSettings, console: Console) -> None:
    """Ask the instruments who they are, as `hil check` does; say what of them is worth a warning.

    A driver that offers no check is passed over: opening its bench tells.

    Raises
    ------
    BenchError
        One does not answer, or is not as the file says; nothing was output, and all are let go of.
    """
    try:
        with console.status("asking the instruments who they are ..."):
            findings = check_instruments(settings)
    except ConfigError:  # what is wrong with an instrument is in its finding: the driver offers no check
        return
    wrong = [each for each in findings if each.seen is None or each.seen.problems]
    if wrong:
        raise BenchError("\n".join(problem for each in wrong for problem in each.problems))
    for each in findings:
        for told in (*each.problems, *each.warnings):
            console.print(Text(f"warning: {told}", "yellow"))
