"""How a programming pulse that is not the nominal one moves a device: as so many nominal pulses, by threshold
and power laws.
"""

from __future__ import annotations

from typing import NamedTuple

from drivers.sim.settings import ResponseSettings
from hil.errors import ScheduleError
from hil.schedule import Pulse
from hil.units import format_quantity

_MOST = 1000.0


class Factors(NamedTuple):
    """What one potentiating and one depressing pulse are worth, in nominal pulses."""

    up: float
    down: float


NOMINAL = Factors(1.0, 1.0)


class Response:
    """Amplitude and width of pulses against those of the nominal ones.

    The rate of change is that of VTEAM (Kvatinsky et al., IEEE TCAS-II 62, 786 (2015),
    10.1109/TCSII.2015.2433536): (|V| / Vt - 1)^p above a threshold Vt, none below; with a duration w^q a
    pulse is worth ((|V| - Vt) / (|V0| - Vt))^p (w / w0)^q nominal ones of V0 and w0. The nominal pulse is
    worth exactly 1.

    Parameters
    ----------
    settings
        Threshold and exponents.
    potentiate, depress
        The nominal pulses.
    """

    def __init__(self, settings: ResponseSettings, potentiate: Pulse, depress: Pulse) -> None:
        self._settings = settings
        self._up, self._down = potentiate, depress

    def factors(self, potentiate: Pulse, depress: Pulse) -> Factors:
        """What pulses are worth, both polarities.

        Raises
        ------
        ScheduleError
            A pulse has the sign of neither, or is worth more than the model can say (1000 nominal ones).
        """
        if potentiate is self._up and depress is self._down:
            return NOMINAL
        s = self._settings
        p, q = s.amplitude_exponent, s.width_exponent
        return Factors(
            _worth("potentiating", potentiate, self._up, s.threshold.up, p.up, q.up),
            _worth("depressing", depress, self._down, s.threshold.down, p.down, q.down),
        )


def _worth(way: str, pulse: Pulse, nominal: Pulse, threshold: float, p: float, q: float) -> float:
    if pulse.amplitude_v == nominal.amplitude_v and pulse.width_s == nominal.width_s:
        return 1.0
    relative = pulse.amplitude_v / nominal.amplitude_v
    asked, usual = (format_quantity(x.amplitude_v, "V") for x in (pulse, nominal))
    if relative < 0:
        raise ScheduleError(
            f"{way} pulse: asked for {asked}; the nominal one is {usual}, and a pulse of the other sign does "
            "not do what it is asked for"
        )
    if relative <= threshold:
        return 0.0
    worth = ((relative - threshold) / (1 - threshold)) ** p * (pulse.width_s / nominal.width_s) ** q
    if not worth <= _MOST:
        width, usually = (format_quantity(x.width_s, "s") for x in (pulse, nominal))
        raise ScheduleError(
            f"{way} pulse: {asked} for {width} is worth {worth:.3g} nominal pulses ({usual} for {usually}); "
            f"the model of the device holds up to {_MOST:g}"
        )
    return worth
