"""Every error this project raises on purpose, in one tree.

A message says what was asked, what happened or is allowed, what was made safe, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.bench import Progress


class HilError(Exception):
    """Root of the tree: catch this to catch everything the project raises on purpose."""


class ConfigError(HilError):
    """A bench, experiment or data file is wrong. Raised before anything is connected or started."""


class DataError(ConfigError):
    """A data set is missing, short, corrupt or mislabelled."""


class LimitError(HilError):
    """A schedule asks for more than the bench, the run or a device's dose budget allows.
    Nothing was output.
    """


class ScheduleError(HilError):
    """A schedule does not fit the arrays it names: shape, index, sign or unit of an operation. Nothing was
    output.
    """


class StoreError(HilError):
    """A run folder cannot be written or read, or is not one of ours."""


class BenchError(HilError):
    """The bench failed while executing a schedule; it was made safe before this was raised.

    ``progress`` says how far the schedule came, where that is known for certain.
    """

    progress: Progress | None = None


class InstrumentError(BenchError):
    """An instrument reported an error of its own.

    ``code`` is the number in the instrument's error queue, or None where it gives none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class TimeoutError_(BenchError):  # noqa: N801, N818 - the trailing underscore keeps it apart from the builtin
    """No answer within the time allowed.
    The session is desynchronised until it is reopened and identified.
    """


class DesyncError(BenchError):
    """Answers no longer match questions, or an answer cannot be parsed."""


class DisconnectedError(BenchError):
    """The line to an instrument is closed, refused or broken. What was sent last may or may not have been
    done.
    """


class BrokenOffError(BenchError):
    """Raised inside plans alone: a schedule broke off, some of it may have been done, and the bench is back.

    A plan that lets it pass ends with the error behind it.
    """


class InUseError(DisconnectedError):
    """Another process or another host has the instrument. Nothing was sent to it."""


class IdentityError(BenchError):
    """Another instrument answers than the bench names: model, serial, firmware or language. Nothing was
    output.
    """


class SettingError(InstrumentError):
    """An instrument holds another setting than it was given: read back before output, which stayed off."""


class OwnerError(BenchError):
    """A session was used from a thread that does not own it, or inside another exchange. Nothing was sent."""


class ComplianceError(BenchError):
    """A source reached its compliance where the run's policy says stop."""


class InterlockError(BenchError):
    """The instrument's interlock is open: outputs cannot be, and were not, switched on."""
