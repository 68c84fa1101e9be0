"""What a page says in words: the run's header and figures as text, whatever the header may lack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from hil.bench import Cost
from hil.store import Run
from hil.store.folder import JSON
from hil.units import Unit, counted, format_quantity, plural, raised

ABSENT = "not recorded"
LONG = 60
_HALVES = ("plus", "minus")  # sides of a pair that are arrays of their own


def quantity(value: float, unit: Unit, digits: int = 3) -> str:
    """Write an SI value as people do: 1.2e-6 S is "1.2 µS", 7200 s is "2 h"."""
    if unit == "s" and abs(value) >= 60:
        size, name = next((s, n) for s, n in ((86400, "d"), (3600, "h"), (60, "min")) if abs(value) >= s)
        return f"{value / size:.{digits}g} {name}"
    return format_quantity(value, unit, digits).replace(" u", " µ")


def energy(cost: Cost) -> str:
    """That of a cost; 0 for pulses or readings is that of a bench that tells none."""
    return "not told" if cost.joules == 0 and cost.pulses + cost.reads else quantity(cost.joules, "J")


def count(number: float) -> str:
    """Write a count so that it can be read: 12,345 or 1.23 times 10⁹."""
    if abs(number) < 1e7:
        return f"{number:,.0f}"
    digits, power = f"{number:.2e}".split("e")
    return f"{digits} × 10{raised(int(power))}"  # noqa: RUF001


def look(data: JSON, *path: str) -> JSON:
    """Give what stands at a path in nested mappings, or None."""
    for key in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def about(header: Mapping[str, JSON]) -> dict[str, str]:
    """Say what was done, in one line each: data, network, device, method, seed, start."""
    experiment, bench = look(header, "experiment", "resolved"), look(header, "bench", "resolved")
    gradient, update = _named(look(experiment, "gradient")), _named(look(experiment, "update"))
    return {
        "Data": _data(header) or ABSENT,
        "Network": _network(header) or ABSENT,
        "Bench": _named(bench) or ABSENT,
        **_records(header),
        "Device": _device(look(bench, "device")) or ABSENT,
        "Method": f"{gradient} × {update}" if gradient and update else ABSENT,  # noqa: RUF001
        "Seed": str(header.get("seed", ABSENT)),
        "Started": str(header.get("created", ABSENT)).replace("T", " "),
    }


def places(header: Mapping[str, JSON]) -> dict[str, list[str]]:
    """Layers in the network's order, or halves of one, each with its arrays; empty where not recorded."""
    found: dict[str, list[str]] = {}
    placed = look(header, "network", "placement")
    for name, blocks in placed.items() if isinstance(placed, dict) else ():
        for block in blocks if isinstance(blocks, list) else []:
            side = str(look(block, "side"))
            half = f"{name} {side}" if side in _HALVES else name
            found.setdefault(half, []).append(str(look(block, "array")))
    return found


def key_figures(run: Run) -> dict[str, tuple[str, str]]:
    """Label to (figure, remark): what the run came to and what it took."""
    evaluations, training, cost = run.evaluations, run.training, run.cost
    last = evaluations if evaluations.size else training
    remark = (
        f"test, {counted(evaluations['images'][-1], 'sample')}" if evaluations.size else "training window"
    )
    figures = {"Accuracy": (ABSENT, ""), "Loss": (ABSENT, "")}
    if last.size:
        figures["Accuracy"] = f"{100 * last['accuracy'][-1]:.2f} %", remark
        figures["Loss"] = f"{last['loss'][-1]:.4g}", remark
    figures["Samples learned"] = "0", ""
    if training.size:
        steps = int(training["step"][-1])
        figures["Samples learned"] = (
            count(training["samples"][-1]),
            f"{count(steps)} {plural(steps, 'step')}",
        )
    figures["Bench time"] = quantity(cost.seconds, "s"), "on the bench's own clock"
    figures["Pulses"] = (
        count(cost.pulses),
        f"{count(cost.half_selects)} {plural(cost.half_selects, 'half-select')}",
    )
    figures["Most pulsed device"] = _most_pulsed(run)
    figures["Energy"] = energy(cost), ""
    figures["Readings"] = (
        count(cost.reads),
        f"{count(cost.transactions)} {plural(cost.transactions, 'transaction')}",
    )
    return figures


def transferred(summary: JSON) -> str:
    """The accuracy of weights that were trained in software, there and in the devices; "" for other runs."""
    software, devices, after = (
        look(summary, *path) for path in (("transfer", "software"), ("transfer", "devices"), ("accuracy",))
    )
    if not (isinstance(software, float) and isinstance(devices, float)):
        return ""
    told = f"{100 * software:.2f} % in software, {100 * devices:.2f} % in the devices"
    told += f" ({100 * (devices - software):+.2f} points)"
    if look(summary, "steps") and isinstance(after, float):
        told += f"; {100 * after:.2f} % after training in the devices"
    return f"{told}. Accuracy on test samples."


def cost_rows(costs: Mapping[str, Cost]) -> list[list[str]]:
    """Rows of the table of costs: operation, time, energy, pulses, half-selects, readings, transactions."""
    rows = [*costs.items(), ("All", sum(costs.values(), Cost()))]
    return [
        [
            name,
            quantity(cost.seconds, "s"),
            energy(cost),
            *(count(number) for number in (cost.pulses, cost.half_selects, cost.reads, cost.transactions)),
        ]
        for name, cost in rows
    ]


def flat(data: JSON, path: str = "") -> Iterator[tuple[str, str]]:
    """Give every setting under its dotted path, in the order of the file."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list) and (len(str(data)) > LONG or any(map(_nested, data))):
        for number, value in enumerate(data):
            yield from flat(value, f"{path}.{number}")
    elif isinstance(data, list):
        yield path, ", ".join(map(str, data)) or "none"
    elif data is None or isinstance(data, bool):
        yield path, "none" if data is None else "yes" if data else "no"
    else:
        yield path, str(data)


def _nested(value: JSON) -> bool:
    return isinstance(value, Mapping | list)


def _data(header: Mapping[str, JSON]) -> str | None:
    """Name of the data, with that of the file where it is one of the user's own."""
    name, path = _named(look(header, "data")), look(header, "experiment", "resolved", "data", "path")
    return f"{name}, {PurePath(path).name}" if name and isinstance(path, str) else name


def _named(value: JSON) -> str | None:
    if isinstance(value, str):
        return value
    name = look(value, "name")
    return name if isinstance(name, str) else None


def _device(device: JSON) -> str | None:
    model, kind = _named(device), look(device, "model")
    name = model or look(device, "preset") or look(device, "table")
    return ", ".join(str(part) for part in (name, kind) if part) or None


def _records(header: Mapping[str, JSON]) -> dict[str, str]:
    """The calibration records that were used; marked where they no longer held."""
    records = look(header, "calibrations", "records")
    told = [
        f"{look(each, 'routine')} of {look(each, 'array')}, {look(each, 'created')}"
        + (f" (uncalibrated: expired {look(each, 'expires')})" if look(each, "state") != "valid" else "")
        for each in (records if isinstance(records, list) else [])
    ]
    return {"Calibrated by": "; ".join(told)} if told else {}


def _network(header: Mapping[str, JSON]) -> str | None:
    layers = look(header, "network", "layers")
    if isinstance(layers, list):
        found = [re.search(r"\((\d+) -> (\d+)(?: (\w+))?", str(layer)) for layer in layers]
        sizes = [match for match in found if match]
        if sizes and len(sizes) == len(layers):
            kinds = dict.fromkeys(match[3] for match in sizes if match[3])
            return f"{sizes[0][1]}-{'-'.join(match[2] for match in sizes)} ({', '.join(kinds)})"
    summary = re.match(r"Network\((.*?),", str(look(header, "network", "summary")))
    return summary[1] if summary else None


def _most_pulsed(run: Run) -> tuple[str, str]:
    worst = max(
        (
            (int(dose.max()), name, divmod(int(dose.argmax()), dose.shape[1]))
            for name, dose in run.doses.items()
            if dose.size
        ),
        default=None,
        key=lambda found: found[0],
    )
    if worst is None:
        return ABSENT, "doses are written when a run ends"
    pulses, name, (row, col) = worst
    return f"{count(pulses)} {plural(pulses, 'pulse')}", f"{name}, row {row}, col {col}"
