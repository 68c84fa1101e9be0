"""Write docs/instruments/virtual.md: what each virtual instrument takes, from its own settings model.

A test holds the page against this. Run: python -m tools.virtual_settings > docs/instruments/virtual.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any, get_type_hints

from drivers.sim.virtual.crosspoint_settings import VirtualInstrumentSettings
from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.faults import Fault
from hil.config.validate import Config

HEAD = """\
# Virtual instruments: their settings

What may stand below `virtual.smu`, `virtual.pulser` and `virtual.matrix` of a
[crosspoint bench's file](../crosspoint-bench.md#without-hardware).
Written by `python -m tools.virtual_settings`; change the descriptions in the code.
"""
SHARED = (
    ("An instrument and its line", VirtualInstrumentSettings),
    ("A fault of its line: an entry of `faults`", Fault),
    ("An injected error: an entry of `settings.errors`", InjectedError),
)


def page() -> str:
    """The whole page: what all share, then ``settings`` by driver, drivers with one model together."""
    return "\n".join([HEAD, *(line for part in _parts() for line in part)])


def _parts() -> Iterator[list[str]]:
    for title, model in SHARED:
        yield [f"## {title}", "", *_table(model), ""]
    drivers: dict[type[Config], list[str]] = {}
    for point in sorted(entry_points(group="hil.virtual_instruments"), key=lambda point: point.name):
        if point.value.startswith("drivers."):
            model: type[Config] = get_type_hints(point.load().__init__)["settings"]
            drivers.setdefault(model, []).append(point.name)
    for model, names in drivers.items():
        yield [f"## {', '.join(names)}", "", *_table(model), ""]


def _table(model: type[Config]) -> list[str]:
    properties: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    rows = ["| key | default | |", "|---|---|---|"]
    for key, field in properties.items():
        default = f"`{json.dumps(field['default'])}`" if "default" in field else "needed"
        rows.append(f"| `{key}` | {default} | {field['description']}{_choices(field)} |")
    return rows


def _choices(field: dict[str, Any]) -> str:
    if "pattern" in field and "examples" not in field:  # quantities have one that says nothing
        return " (`" + field["pattern"].replace("|", "\\|") + "`)"
    return ": " + ", ".join(f"`{each}`" for each in field["enum"]) if "enum" in field else ""


if __name__ == "__main__":
    sys.stdout.write(page())
