"""Whether a bench's own limits allow what the bench itself needs: its read voltage and its two pulses."""

from __future__ import annotations

from collections.abc import Iterator

from hil.bench import DeviceSheet
from hil.limits import Limits
from hil.units import Unit, format_quantity


def forbidden(limits: Limits, name: str, sheet: DeviceSheet) -> Iterator[str]:
    """What of a sheet the limits forbid, so that nothing could be trained; each begins with its key.

    ``name`` says whose sheet it is.
    """
    yield from _over("read", limits.read_v, sheet.read_voltage_v, f"{name} is read at")
    for way, pulse in (("potentiating", sheet.potentiate), ("depressing", sheet.depress)):
        what = f"the {way} pulse of {name} is"
        yield from _over("program", limits.program_v, abs(pulse.amplitude_v), what)
        yield from _over("shortest", limits.width_min_s, pulse.width_s, what)
        yield from _over("longest", limits.width_max_s, pulse.width_s, what)


def _over(key: str, limit: float | None, needed: float, what: str) -> Iterator[str]:
    if limit is None or (needed >= limit if key == "shortest" else needed <= limit):
        return
    unit: Unit = "V" if key in ("read", "program") else "s"
    yield (
        f"limits.{key}: asked for {format_quantity(limit, unit)}; {what} {format_quantity(needed, unit)}, "
        "so that nothing could be trained; change one of the two"
    )
