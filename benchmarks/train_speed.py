"""Training speed: our simulated bench beside aihwkit, interleaved, one process a case, one pinned core.

    python benchmarks/train_speed.py --aihwkit PYTHON

PYTHON is the interpreter of an environment with aihwkit; without it only ours is measured. How to make one,
what is compared and what is not equal stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PEER_PRESETS = {"ReRamES": "aihwkit_ReRamES", "ReRamSB": "aihwkit_ReRamSB"}


@dataclass(frozen=True)
class Case:
    """One row of the table: what both sides are told, which figure counts, and what only ours is told."""

    name: str
    arguments: tuple[str, ...]
    figure: str
    ours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Results of one case in one round; ``theirs`` is None without aihwkit."""

    ours: dict[str, Any]
    theirs: dict[str, Any] | None


def main() -> int:
    """Measure, print the table and the machine, write the JSON."""
    options = _options()
    core = options.core if options.core is not None else max(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        data = _write_digits(Path(folder) / "digits.npz")
        cases = tuple(_cases(options, data))
        results: dict[str, list[Pair]] = {case.name: [] for case in cases}
        for number in range(options.rounds):
            for case in cases:
                results[case.name].append(_measure(case, options, core))
                print(f"round {number + 1}/{options.rounds}: {case.name}", file=sys.stderr, flush=True)
        profiles = [_profile(case, options, core) for case in cases[:2]] if options.profile else []
    print(_table(cases, results))
    print(f"\n{_conditions(options, core, results)}")
    for case, profile in zip(cases, profiles, strict=False):
        print(f"\n{_profile_text(case, profile)}")
    if options.json is not None:
        kept = {name: [vars(pair) for pair in pairs] for name, pairs in results.items()}
        document = {"conditions": _conditions(options, core, results), "cases": kept, "profiles": profiles}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--aihwkit", metavar="PYTHON", help="interpreter of an environment with aihwkit")
    parser.add_argument("--preset", choices=PEER_PRESETS, default="ReRamES", help="aihwkit's device preset")
    parser.add_argument(
        "--write-noise", action="store_true", help="leave aihwkit its write noise; ours has none"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="times that every case is measured on each side"
    )
    parser.add_argument("--epochs", type=int, default=1, help="of 5,000 images, in one measurement")
    parser.add_argument("--rate", type=float, default=0.003, help="learning rate for each sample")
    parser.add_argument("--core", type=int, help="core to pin to; default the last allowed one")
    parser.add_argument("--profile", action="store_true", help="say where our time goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single result")
    return parser.parse_args()


def _write_digits(path: Path) -> Path:
    """The 5,000 + 1,000 images that come with the package, as both sides read them."""
    import hil

    digits = hil.load_dataset(hil.DataSpec(name="mnist-5k"))
    np.savez(path, train_x=digits.train_x, train_y=digits.train_y, test_x=digits.test_x, test_y=digits.test_y)
    return path


def _cases(options: argparse.Namespace, data: Path) -> Iterator[Case]:
    for batch in (1, 10):
        # The cost is the mean over the batch on both sides: the rate a sample stays the same.
        rate = f"{options.rate * batch:g}"
        told = ("train", str(data), "--batch", str(batch), "--rate", rate, "--epochs", str(options.epochs))
        yield Case(f"train, batch {batch}", told, "samples_per_s")
    for length in (1, 31):
        name = f"update, {length} pulse{'s' * (length > 1)} a device"
        told = ("update", "--length", str(length))
        yield Case(name, told, "pulses_per_s")
        yield Case(f"{name}, kernel alone", told, "pulses_per_s", ("--kernel",))


def _measure(case: Case, options: argparse.Namespace, core: int) -> Pair:
    ours = _run([sys.executable, str(HERE / "peers/hil_train.py"), *_ours(case, options)], core)
    if options.aihwkit is None:
        return Pair(ours, None)
    noise = "--write-noise" if options.write_noise else "--no-write-noise"
    command = [options.aihwkit, str(HERE / "peers/aihwkit_train.py"), *case.arguments, noise]
    return Pair(ours, _run([*command, "--preset", options.preset], core))


def _ours(case: Case, options: argparse.Namespace) -> tuple[str, ...]:
    return *case.arguments, *case.ours, "--preset", PEER_PRESETS[options.preset]


def _profile(case: Case, options: argparse.Namespace, core: int) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "peers/hil_train.py"), *_ours(case, options), "--profile"]
    return _run(command, core)["profile"]


def _run(command: Sequence[str], core: int) -> dict[str, Any]:
    environment = os.environ | dict.fromkeys(THREADS, "1")
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def _table(cases: Sequence[Case], results: dict[str, list[Pair]]) -> str:
    lines = [
        "| case | ours, CPU s | ours, wall s | aihwkit, CPU s | aihwkit, wall s | ratio of CPU (min to max) "
        "| pulses a sample | accuracy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        pairs = results[case.name]
        ours, theirs = [pair.ours for pair in pairs], [pair.theirs for pair in pairs if pair.theirs]
        cpu, wall = f"{case.figure}_cpu", f"{case.figure}_wall"
        cells = [case.name, _rate(ours, cpu), _rate(ours, wall), _rate(theirs, cpu), _rate(theirs, wall)]
        cells.append(_ratios([p.ours[cpu] / p.theirs[cpu] for p in pairs if p.theirs]))
        cells += [_both(ours, theirs, "pulses_per_sample", ".0f"), _both(ours, theirs, "accuracy", ".1%")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rate(results: Sequence[dict[str, Any]], key: str) -> str:
    if not results:
        return "-"
    value = statistics.median(result[key] for result in results)
    return f"{value / 1e6:,.1f} M" if value >= 1e6 else f"{value:,.0f}"


def _ratios(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def _both(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], key: str, form: str) -> str:
    sides = [
        format(statistics.median(r[key] for r in side), form)
        for side in (ours, theirs)
        if side and key in side[0]
    ]
    return " / ".join(sides) or "-"


def _conditions(options: argparse.Namespace, core: int, results: dict[str, list[Pair]]) -> str:
    last = list(results.values())[-1][-1]
    steps = {"ours": last.ours["steps"], "aihwkit": last.theirs["steps"] if last.theirs else None}
    told = [
        f"{name}: up {1e3 * s[0]:.2f} ± {1e3 * s[1]:.2f}, down {1e3 * s[2]:.2f} ± {1e3 * s[3]:.2f}"
        for name, s in steps.items()
        if s
    ]
    peer = f", aihwkit {last.theirs['version']} (torch {last.theirs['torch']})" if last.theirs else ""
    return (
        f"Samples or device-pulses per second; medians of {options.rounds} interleaved rounds.\n"
        f"Device {options.preset}, write noise {'left on' if options.write_noise else 'off'} at aihwkit, "
        f"rate {options.rate:g} a sample, {options.epochs} epoch(s) of 5,000 images.\n"
        f"One pulse at mid-range, thousandths of the range, mean ± spread over devices and cycles: "
        f"{'; '.join(told)}.\n"
        f"{_cpu_model()}, core {core} of {os.cpu_count()}, {platform.system()}, "
        f"Python {platform.python_version()}, synapse-hil {last.ours['version']}{peer}."
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU"
    )


def _profile_text(case: Case, profile: dict[str, Any]) -> str:
    step, kernels = 1e6 * profile["step_s"], 1e6 * profile["kernels_step_s"]
    lines = [
        f"{case.name}: {step:.0f} us a step under the profiler (it slows Python), {kernels:.0f} us in kernels"
    ]
    for title, part in (("kernel", "kernels"), ("Python", "python")):
        lines.append(f"  {title:<44} {'seconds':>8} {'calls':>8} {'us a step':>10}")
        for name, (seconds, calls) in list(profile[part].items())[:12]:
            lines.append(f"  {name:<44} {seconds:>8.3f} {calls:>8} {1e6 * seconds / profile['steps']:>10.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
