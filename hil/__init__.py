"""Hardware-in-the-loop training of neural networks inside real synapse arrays.

Everything a notebook needs is here and imported when first used, so that ``import hil`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hil import errors
    from hil.bench import ArrayInfo, Bench, Cost, DeviceSheet
    from hil.calibrate.contracts import Estimate
    from hil.calibrate.record import Record
    from hil.calibrate.twin import Twin
    from hil.characterise import measure, records
    from hil.conformance import check_bench
    from hil.data import Dataset, DataSpec, load_dataset
    from hil.errors import (
        BenchError,
        ConfigError,
        DataError,
        HilError,
        LimitError,
        ScheduleError,
        StoreError,
    )
    from hil.face import load_bench, open_bench, read, resume, train
    from hil.forecast import price_of, twin
    from hil.limits import LimitedBench, Limits
    from hil.plan import Plan, run, together
    from hil.price.price import Price
    from hil.report import write_report
    from hil.schedule import Multiply, Nudge, Program, Pulse, Read, Region, Wait
    from hil.store import Run, list_runs, open_run

    __version__: str

__all__ = [
    "ArrayInfo",
    "Bench",
    "BenchError",
    "ConfigError",
    "Cost",
    "DataError",
    "DataSpec",
    "Dataset",
    "DeviceSheet",
    "Estimate",
    "HilError",
    "LimitError",
    "LimitedBench",
    "Limits",
    "Multiply",
    "Nudge",
    "Plan",
    "Price",
    "Program",
    "Pulse",
    "Read",
    "Record",
    "Region",
    "Run",
    "ScheduleError",
    "StoreError",
    "Twin",
    "Wait",
    "__version__",
    "check_bench",
    "errors",
    "list_runs",
    "load_bench",
    "load_dataset",
    "measure",
    "open_bench",
    "open_run",
    "price_of",
    "read",
    "records",
    "resume",
    "run",
    "together",
    "train",
    "twin",
    "write_report",
]

_PLACES = {
    "bench": "ArrayInfo Bench Cost DeviceSheet",
    "calibrate.contracts": "Estimate",
    "calibrate.record": "Record",
    "calibrate.twin": "Twin",
    "characterise": "measure records",
    "conformance": "check_bench",
    "data": "DataSpec Dataset load_dataset",
    "errors": "BenchError ConfigError DataError HilError LimitError ScheduleError StoreError",
    "face": "load_bench open_bench read resume train",
    "forecast": "price_of twin",
    "limits": "LimitedBench Limits",
    "plan": "Plan run together",
    "price.price": "Price",
    "report": "write_report",
    "schedule": "Multiply Nudge Program Pulse Read Region Wait",
    "store": "Run list_runs open_run",
}
_COMMANDS = {"calibrate": "measure", "calibration": "records", "price": "price_of", "report": "write_report"}
"""Commands whose name is that of a package of ours, and what they are here."""
_HOME = {name: module for module, names in _PLACES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("synapse-hil")
    from importlib import import_module

    if name == "errors":
        return import_module("hil.errors")
    if name not in _HOME:
        told = f"; hil {name} is hil.{_COMMANDS[name]} in Python" if name in _COMMANDS else ""
        raise AttributeError(f"module 'hil' has no attribute {name!r}{told}")
    return getattr(import_module(f"hil.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
