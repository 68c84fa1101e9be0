"""aihwkit's side of the memory benchmark: bytes a weight of an analog tile, made and trained for one step."""

import json
import sys
from pathlib import Path

import torch
from aihwkit.nn import AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.presets import ReRamESPreset


def main() -> None:
    size = int(sys.argv[1])
    step(8)
    before = resident()
    kept = step(size)
    print(json.dumps({"bytes_a_device": (resident() - before) / size**2, "kept": len(kept)}))


def step(size: int) -> tuple[AnalogLinear, AnalogSGD]:
    """One training step of one layer."""
    layer = AnalogLinear(size, size, bias=False, rpu_config=ReRamESPreset())
    optimizer = AnalogSGD(layer.parameters(), lr=0.01)
    optimizer.regroup_param_groups(layer)
    layer(torch.rand(1, size)).sum().backward()
    optimizer.step()
    return layer, optimizer


def resident() -> int:
    """Memory of this process that is in use, bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
