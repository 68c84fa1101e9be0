"""Which driver serves a role of a bench, by entry point, and what may be said of it in a bench file."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from dataclasses import Field as DataclassField
from importlib.metadata import entry_points
from typing import Any, Literal, TypeAlias, get_type_hints

from pydantic import Field, ValidationError, create_model

from drivers.instruments.flex import Module
from drivers.instruments.keithley_2600 import Keithley2600
from drivers.transport.session import Session
from drivers.transport.settings import TransportSettings
from hil.config.validate import Config, MisfitError, did_you_mean
from hil.instruments import Instrument

Role: TypeAlias = Literal["smu", "pulser", "matrix"]
ROLES: tuple[Role, ...] = ("smu", "pulser", "matrix")
_GROUPS: dict[str, str] = {"smu": "hil.smus", "pulser": "hil.pulsers", "matrix": "hil.matrices"}
_GIVEN = frozenset({"session", "serial"})


class InstrumentSettings(Config):
    """One instrument and the line to it."""

    driver: str = Field(description="name of an installed instrument driver; see `hil list instruments`")
    resource: str = Field(
        description="TCPIP::HOST::5025::SOCKET, TCPIP::HOST::INSTR, GPIB0::26::INSTR, USB0::…::INSTR, "
        "ASRL/dev/ttyUSB0::INSTR or serial:/dev/ttyUSB0"
    )
    serial: str | None = Field(default=None, description="its serial number; another one is refused")
    options: dict[str, Any] = Field(
        default={}, description="what the driver takes beside these: channel, slot, forbidden crosspoints, …"
    )
    transport: TransportSettings = Field(default=TransportSettings(), description="time-outs, serial line")

    def check(self, role: Role) -> None:
        """Refuse a driver that is not installed for the role, or an option that it has not (MisfitError)."""
        installed = names(role)
        if self.driver not in installed:
            hint = did_you_mean(self.driver, installed)
            raise MisfitError(f"no {role} driver named {self.driver!r} is installed; {hint}", role, "driver")
        self.validated(role)

    def validated(self, role: Role) -> dict[str, Any]:
        """The options as the driver takes them. Raises MisfitError for the first that it does not."""
        model = _options(driver_class(role, self.driver))
        try:
            return dict(model.model_validate_json(json.dumps(self.options)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = first["loc"][0]
            if first["type"] == "extra_forbidden":
                known = list(model.model_fields)
                told = f"{self.driver} has no option {key!r}; " + (
                    did_you_mean(str(key), known) if known else "it has none"
                )
            else:
                told = f"asked for {first['input']!r}; {first['msg']}"
            raise MisfitError(told, role, "options", key) from error

    def modular(self, role: Role) -> bool:
        """Whether it is one module of a mainframe, whose modules share a line."""
        return issubclass(driver_class(role, self.driver), Module)

    @property
    def node(self) -> int | None:
        """Of a matrix: its number on the TSP-Link of the source-measure unit, whose line it shares then."""
        node = self.options.get("node")
        return node if isinstance(node, int) else None

    def leads(self, role: Role) -> bool:
        """Whether it can lead a TSP-Link."""
        return issubclass(driver_class(role, self.driver), Keithley2600)

    def make(self, role: Role, session: Session) -> Any:
        """The driver on a session; nothing is sent."""
        made: Any = driver_class(role, self.driver)
        return made(session, serial=self.serial, **self.validated(role))


def names(role: Role) -> list[str]:
    """Names of the drivers installed for a role; nothing is imported."""
    return sorted(point.name for point in entry_points(group=_GROUPS[role]))


def driver_class(role: Role, name: str) -> type[Instrument]:
    """The class that an entry point names."""
    (point,) = entry_points(group=_GROUPS[role], name=name)
    return point.load()


def _options(driver: type[Instrument]) -> type[Config]:
    """A model of the driver's own fields: its constructor's, but the session and the serial number."""
    hints = get_type_hints(driver)
    own: dict[str, Any] = {
        each.name: (hints[each.name], _default(each))
        for each in fields(driver)  # pyright: ignore[reportArgumentType]
        if each.init and each.name not in _GIVEN
    }
    return create_model("Options", __base__=Config, **own)


def _default(field: DataclassField[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return ... if field.default_factory is MISSING else field.default_factory()
