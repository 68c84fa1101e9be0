"""What `hil check` asks the instruments of a crosspoint bench, role by role; entry point ``hil.checks``.

Nothing is output or switched: an output that is on stays on, and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast, final, runtime_checkable

from drivers.crosspoint.opening import check_lines, check_pulses, check_reading
from drivers.crosspoint.roles import Role
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.examine import refusals, round_trip_s
from drivers.transport.session import open_session
from hil.check import Calm, Seen
from hil.instruments import Instrument, Pulser, Smu, Standing, Stands, SwitchMatrix
from hil.schedule import Pulse
from hil.units import format_quantity

_WHAT_TO_DO = (
    "no run of this bench is under way, so find out who left it so; hil safe switches it off, and so does a "
    "run before its first relay switches"
)


@runtime_checkable
class _Queued(Protocol):
    """A driver that empties its instrument's error queue when it attaches: (code, message, …) of each."""

    errors_found: Sequence[tuple[Any, ...]]


@final
class CrosspointCheck:
    """Examines a crosspoint bench's instruments."""

    def examine(self, settings: CrosspointBenchSettings, role: str) -> Seen:
        """See `hil.check.Examiner`."""
        known = cast(Role, role)
        wanted = settings.instruments[known]
        with open_session(wanted.resource, wanted.transport, role=role) as session:
            instrument: Instrument = wanted.make(known, session)
            instrument.attach()
            limits, problems = _asked(settings, known, instrument)
            identity, stands = instrument.identify(), _standing(instrument)
            return Seen(
                identity,
                limits,
                stands.words,
                _queue(instrument),
                round_trip_s(instrument),
                problems,
                (f"{stands.words}: {_WHAT_TO_DO}",) if stands.live else (),
            )

    def make_safe(self, settings: CrosspointBenchSettings, role: str) -> Calm:
        """See `hil.check.Calmer`."""
        known = cast(Role, role)
        wanted = settings.instruments[known]
        with open_session(wanted.resource, wanted.transport, role=role) as session:
            instrument: Instrument = wanted.make(known, session)
            instrument.attach()
            return Calm(instrument.make_safe(), _queue(instrument))


def _standing(instrument: Instrument) -> Standing:
    if isinstance(instrument, Stands):
        return instrument.standing()
    return Standing(False, "answers; its driver cannot ask for more")


def _queue(instrument: object) -> tuple[str, ...]:
    found = instrument.errors_found if isinstance(instrument, _Queued) else ()
    return tuple(" ".join(map(str, error)) for error in found)


def _asked(
    settings: CrosspointBenchSettings, role: Role, instrument: Instrument
) -> tuple[str, tuple[str, ...]]:
    """What the file asks of an instrument, in words, and what of it is refused; nothing is sent."""
    if role == "matrix":
        matrix = cast(SwitchMatrix, instrument)
        rows, cols = matrix.shape
        return f"{rows} rows x {cols} columns", refusals(lambda: check_lines(settings, matrix))
    read = settings.read
    if role == "smu":
        smu = cast(Smu, instrument)
        problems = refusals(lambda: check_reading(settings, smu))
        asked = (
            format_quantity(read.voltage, "V", digits=3),
            format_quantity(read.compliance, "A", digits=3),
            format_quantity(read.integration, "s", digits=3),
        )
        return _verdict(", ".join(asked), problems)
    pulser = cast(Pulser, instrument)
    device = settings.typical
    problems = refusals(lambda: check_pulses(settings, pulser))
    return _verdict("; ".join(_pulse_words(pulse) for pulse in (device.potentiate, device.depress)), problems)


def _pulse_words(pulse: Pulse) -> str:
    volts, width = (
        format_quantity(pulse.amplitude_v, "V", digits=3),
        format_quantity(pulse.width_s, "s", digits=3),
    )
    return f"{volts} for {width}"


def _verdict(asked: str, problems: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    return f"{'refuses' if problems else 'allows'} {asked}", problems


check = CrosspointCheck()
