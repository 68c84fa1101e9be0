"""Quantities carry their unit in files ("100 ns", "50 uA") and are SI floats inside.

pydantic is imported only when a config model that uses one of the types is built, so importing this is cheap.
"""

import math
import re
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hil.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

Unit = Literal["V", "A", "s", "S", "ohm", "J", "Hz", "F", "W"]

_DIMENSIONS: dict[Unit, tuple[str, str]] = {  # what it is, and the spelling offered when a unit is missing
    "V": ("a voltage", "V"),
    "A": ("a current", "uA"),
    "s": ("a time", "ns"),
    "S": ("a conductance", "uS"),
    "ohm": ("a resistance", "kohm"),
    "J": ("an energy", "pJ"),
    "Hz": ("a frequency", "kHz"),
    "F": ("a capacitance", "pF"),
    "W": ("a power", "mW"),
}
_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_SPELLINGS: dict[str, tuple[Unit, Decimal]] = {
    **{p + unit: (unit, Decimal((0, (1,), power))) for unit in _DIMENSIONS for power, p in _PREFIXES.items()},
    "min": ("s", Decimal(60)),
    "h": ("s", Decimal(3600)),
    "d": ("s", Decimal(86400)),
}

# Both micro signs (U+00B5, U+03BC) and both omegas (U+03A9, U+2126) are on keyboards and in data sheets.
_ASCII = {0xB5: "u", 0x3BC: "u", 0x3A9: "ohm", 0x2126: "ohm"}
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*([^\W\d_]*)")
_MAX_LENGTH = 64
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_EXACT = Context(prec=2 * _MAX_LENGTH)  # no digit of an accepted text is ever rounded in decimal


def parse_quantity(text: str, unit: Unit) -> float:
    """Read one number with one unit, e.g. ``"100 ns"``, as the nearest float in the SI ``unit`` asked for.

    Refused with ConfigError: no unit, another dimension, an unknown unit, two units, NaN, infinity, a number
    too large or too small for a float. Letter case counts: mS is millisiemens, ms milliseconds.
    """
    dimension, usual = _DIMENSIONS[unit]
    asked = text.strip()
    shown = asked if asked.isprintable() and 0 < len(asked) <= _MAX_LENGTH else repr(asked[:_MAX_LENGTH])
    match = _QUANTITY.fullmatch(asked.translate(_ASCII)) if len(asked) <= _MAX_LENGTH else None
    if match is None:
        raise ConfigError(f'{shown} is not one number with one unit; write e.g. "100 {usual}"')
    number, spelling = match.groups()
    if not spelling:
        raise ConfigError(f"{shown} has no unit; write {_with_unit(number, unit)}")
    if spelling not in _SPELLINGS:
        near = " or ".join(f"'{known}'" for known in _SPELLINGS if known.lower() == spelling.lower())
        hint = f"; did you mean {near}?" if near else f'; write {dimension} e.g. as "100 {usual}"'
        raise ConfigError(f"{shown}: unknown unit '{spelling}'{hint}")
    found, factor = _SPELLINGS[spelling]
    exact = _EXACT.multiply(Decimal(number), factor)
    value = float(exact)
    if found != unit:
        raise ConfigError(
            f"{shown} is {_DIMENSIONS[found][0]}, {dimension} is needed{_hint(value, found, unit)}"
        )
    if math.isinf(value) or (value == 0 and exact != 0):
        raise ConfigError(f"{shown} is too {'large' if exact.adjusted() > 0 else 'small'} for a number")
    return value


def format_quantity(value: float, unit: Unit, digits: int | None = 4) -> str:
    """Write an SI value with an engineering prefix: 1e-7 s is "100 ns".

    ``digits`` significant digits are kept; None writes the fewest that `parse_quantity` reads back as the
    same float (17 are always enough). Seconds are never given in ks. NaN and infinity are written as they
    are, because messages that refuse them use this.
    """
    value = float(value)
    if not math.isfinite(value):
        return f"{value} {unit}"
    number = Decimal(repr(value) if digits is None else f"{value:.{digits - 1}e}")
    if number.is_zero():
        return f"0 {unit}"
    power = max(-18, min(0 if unit == "s" else 12, 3 * (number.adjusted() // 3)))
    mantissa = _EXACT.normalize(_EXACT.scaleb(number, -power))
    if -3 <= mantissa.adjusted() < 6:
        return f"{mantissa:f} {_PREFIXES[power]}{unit}"
    return f"{_EXACT.normalize(number):e} {unit}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things: "1 pulse", "2,000 pulses"; ``many`` where it is not ``one`` and an s."""
    return f"{number:,} {plural(number, one, many)}"


def raised(power: int) -> str:
    """Write an exponent: ⁻³."""
    return str(power).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))


def plural(number: int, one: str, many: str | None = None) -> str:
    """The word for so many things."""
    return one if number == 1 else f"{one}s" if many is None else many


def duration(seconds: float) -> str:
    """A time in its two largest units: "3 d 4 h", "12 min 5 s", "30 d", "4.2 s", "350 us"."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    whole = round(seconds)
    for large, small, name, below in (
        (_DAY, _HOUR, "d", "h"),
        (_HOUR, _MINUTE, "h", "min"),
        (_MINUTE, 1, "min", "s"),
    ):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {name}" + (f" {rest} {below}" if rest else "")
    return format_quantity(seconds, "s", digits=2 if seconds < 10 else 3)


def percent(share: float | None) -> str:
    """A share of 1 in per cent; "-" for none."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.2f} %"


def rounded(value: float, digits: int = 2) -> str:
    """A plain number to so many digits, written out: "130", where a format of "g" has "1.3e+02"."""
    return f"{float(f'{value:.{digits}g}'):g}"


def energy(joules: float, asked: float) -> str:
    """An energy; 0 for anything that was ``asked`` of devices is that of a bench that tells none."""
    return "not told" if joules == 0 and asked else format_quantity(joules, "J", digits=3)


@dataclass(frozen=True)
class Quantity:
    """Pydantic annotation for an SI float that files and JSON write as text with a unit.

    A model built from Python takes SI floats (or text); one read from a file or JSON takes text only, so a
    bare number there is refused. Written back to JSON it is text that reads as the same float.
    """

    unit: Unit
    positive: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """Validate as a finite strict float behind the reader, and serialise to text in JSON."""
        from pydantic_core import core_schema

        number = core_schema.float_schema(strict=True, allow_inf_nan=False, gt=0 if self.positive else None)
        text = core_schema.plain_serializer_function_ser_schema(
            self._write, return_schema=core_schema.str_schema(), when_used="json"
        )
        return core_schema.with_info_before_validator_function(self._read, number, serialization=text)

    def __get_pydantic_json_schema__(
        self, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> dict[str, Any]:
        """Describe the text: a number and a unit of this dimension."""
        units = [known for known, (unit, _) in _SPELLINGS.items() if unit == self.unit]
        units += [
            known.replace("ohm", omega) for known in units if "ohm" in known for omega in "\u03a9\u2126"
        ]
        units += [micro + known[1:] for known in units if known[0] == "u" for micro in "\u00b5\u03bc"]
        pattern = rf"^\s*{_NUMBER}\s*({'|'.join(units)})\s*$"
        return {"type": "string", "pattern": pattern, "examples": [f"100 {_DIMENSIONS[self.unit][1]}"]}

    def _write(self, value: float) -> str:
        return format_quantity(value, self.unit, digits=None)

    def _read(self, value: object, info: "ValidationInfo") -> object:
        from pydantic_core import PydanticCustomError

        try:
            if isinstance(value, str):
                return parse_quantity(value, self.unit)
            if info.mode == "json":
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise ConfigError(f'must be a number with a unit, e.g. "100 {_DIMENSIONS[self.unit][1]}"')
                return parse_quantity(repr(value), self.unit)
        except ConfigError as error:
            raise PydanticCustomError("quantity", "{reason}", {"reason": str(error)}) from None
        return value


def _with_unit(number: str, unit: Unit) -> str:
    """What a bare number may have been meant as: in the SI unit, and in the one that is usual in files."""
    usual, value = _DIMENSIONS[unit][1], float(number)
    if usual == unit or not math.isfinite(value):
        return f'e.g. "{number} {usual}"'
    return f'"{format_quantity(value, unit, digits=None)}" if {unit} is meant, else e.g. "{number} {usual}"'


def _hint(value: float, found: Unit, wanted: Unit) -> str:
    if {found, wanted} == {"s", "S"}:
        return " (s is the second, S the siemens)"
    if {found, wanted} == {"ohm", "S"} and value != 0 and math.isfinite(1 / value):
        return f'; that is "{format_quantity(1 / value, wanted)}"'
    return ""


Volts = Annotated[float, Quantity("V")]
Amperes = Annotated[float, Quantity("A")]
Seconds = Annotated[float, Quantity("s")]
Siemens = Annotated[float, Quantity("S")]
Ohms = Annotated[float, Quantity("ohm")]
Joules = Annotated[float, Quantity("J")]
Hertz = Annotated[float, Quantity("Hz")]
Farads = Annotated[float, Quantity("F")]
Watts = Annotated[float, Quantity("W")]

PositiveVolts = Annotated[float, Quantity("V", positive=True)]
PositiveAmperes = Annotated[float, Quantity("A", positive=True)]
PositiveSeconds = Annotated[float, Quantity("s", positive=True)]
PositiveSiemens = Annotated[float, Quantity("S", positive=True)]
PositiveOhms = Annotated[float, Quantity("ohm", positive=True)]
PositiveJoules = Annotated[float, Quantity("J", positive=True)]
PositiveHertz = Annotated[float, Quantity("Hz", positive=True)]
PositiveFarads = Annotated[float, Quantity("F", positive=True)]
PositiveWatts = Annotated[float, Quantity("W", positive=True)]
