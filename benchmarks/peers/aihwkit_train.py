"""aihwkit's side of the training benchmark: 784-256-10 on analog tiles, one thread, one JSON object out.

Runs in an environment that has aihwkit and nothing of ours: ``PYTHON aihwkit_train.py train DATA.npz`` or
``update``.
"""

import argparse
import json
import os
import time

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import aihwkit
import numpy as np
import torch
from aihwkit.nn import AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import ConstantStepDevice, SingleRPUConfig
from aihwkit.simulator.presets import ReRamESPreset, ReRamSBPreset
from aihwkit.simulator.tiles.analog import AnalogTile
from torch.nn.functional import cross_entropy

PRESETS = {"ReRamES": ReRamESPreset, "ReRamSB": ReRamSBPreset}
INPUTS, HIDDEN, CLASSES = 784, 256, 10
COUNTED_SAMPLES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train", help="training: samples per second, and what the network has learned"
    )
    train.add_argument(
        "data", help="npz with train_x, test_x (float32 [n, 784] in 0..1), train_y, test_y (int64 [n])"
    )
    train.add_argument("--batch", type=int, default=1)
    train.add_argument("--epochs", type=int, default=1)
    train.add_argument("--rate", type=float, default=0.003)
    update = commands.add_parser(
        "update", help="the bare update of a 784 x 256 tile: device-pulses per second"
    )
    update.add_argument("--length", type=int, default=1, help="pulses that every device gets in one update")
    update.add_argument("--seconds", type=float, default=2.0, help="CPU time to measure for")
    for command in (train, update):
        command.add_argument("--preset", choices=PRESETS, default="ReRamES")
        command.add_argument(
            "--write-noise",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="the error with which a held weight shows until it is written again, as in the preset",
        )
        command.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    result = measure_training(options) if options.command == "train" else measure_update(options)
    result |= {
        "case": options.command,
        "preset": options.preset,
        "write_noise": options.write_noise,
        "version": aihwkit.__version__,
    }
    print(json.dumps(result | {"torch": torch.__version__, "threads": torch.get_num_threads()}))


def configuration(options: argparse.Namespace, number: int = 0) -> SingleRPUConfig:
    """The preset (converters, output noise, c2c, d2d as it comes), one undivided tile that holds its bias."""
    config = PRESETS[options.preset]()
    config.device.construction_seed = options.seed + number
    if not options.write_noise:
        config.device.write_noise_std = 0.0
    config.mapping.max_input_size = 0
    config.mapping.max_output_size = 0
    config.mapping.digital_bias = False
    return config


def measure_training(options: argparse.Namespace) -> dict[str, object]:
    data = np.load(options.data, allow_pickle=False)
    x, y, test_x, test_y = (torch.from_numpy(data[key]) for key in ("train_x", "train_y", "test_x", "test_y"))
    model = AnalogSequential(
        AnalogLinear(INPUTS, HIDDEN, bias=True, rpu_config=configuration(options)),
        torch.nn.Tanh(),
        AnalogLinear(HIDDEN, CLASSES, bias=True, rpu_config=configuration(options, 1)),
    )
    optimiser = AnalogSGD(model.parameters(), lr=options.rate)
    optimiser.regroup_param_groups(model)

    def step(chosen: torch.Tensor) -> None:
        optimiser.zero_grad()
        cross_entropy(model(x[chosen]), y[chosen]).backward()
        optimiser.step()

    shuffle = np.random.default_rng(options.seed)
    order = torch.from_numpy(np.concatenate([shuffle.permutation(len(x)) for _ in range(options.epochs)]))
    before = accuracy(model, test_x, test_y)
    wall, cpu = time.perf_counter(), time.process_time()
    for chosen in order.split(options.batch):
        step(chosen)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = accuracy(model, test_x, test_y)
    return {
        "batch": options.batch,
        "rate": options.rate,
        "samples": len(order),
        "samples_per_s_wall": len(order) / wall,
        "samples_per_s_cpu": len(order) / cpu,
        "accuracy_before": before,
        "accuracy": after,
        "pulses_per_sample": pulses_per_sample(model, x, y, options),
    }


@torch.no_grad()
def accuracy(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    model.eval()
    right = int((model(x).argmax(1) == y).sum()) / len(y)
    model.train()
    return right


def pulses_per_sample(
    model: torch.nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    options: argparse.Namespace,
) -> float:
    """Device-pulses of one sample's update at this stage of training, counted on shadow tiles.

    aihwkit counts pulses on GPUs only. Pulse trains do not depend on the device model, and all pulses that a
    device gets from one sample have one sign: a weight of constant, noise-free step moves by dw_min a pulse.
    """
    contexts = [layer.analog_module.analog_ctx for layer in model if isinstance(layer, AnalogLinear)]
    shadows = [
        shadow(options.preset, layer.out_features, layer.in_features, bias=True)
        for layer in model
        if isinstance(layer, AnalogLinear)
    ]
    pulses = 0
    for k in range(COUNTED_SAMPLES):
        for context in contexts:
            context.reset()
        (cross_entropy(model(x[k : k + 1]), y[k : k + 1]) / options.batch).backward()
        for context, tile in zip(contexts, shadows, strict=True):
            pulses += count_pulses(
                tile, context.analog_input[-1], context.analog_grad_output[-1], options.rate
            )
    return pulses / COUNTED_SAMPLES


def shadow(preset: str, outputs: int, inputs: int, *, bias: bool, length: int | None = None) -> AnalogTile:
    """A tile pulsed like the preset's, on which every pulse moves the weight by exactly dw_min."""
    config = PRESETS[preset]()
    config.device = ConstantStepDevice(
        dw_min=config.device.dw_min,
        up_down=0.0,
        w_max=1e3,
        w_min=-1e3,
        dw_min_dtod=0.0,
        dw_min_std=0.0,
        up_down_dtod=0.0,
        w_max_dtod=0.0,
        w_min_dtod=0.0,
    )
    config.mapping.digital_bias = False
    if length is not None:
        fix_length(config, length)
    return AnalogTile(outputs, inputs, config, bias=bias)


def fix_length(config: SingleRPUConfig, length: int) -> None:
    """Pulse trains of this length whatever the input: no adaptation of length or amplitude."""
    config.update.desired_bl = length
    config.update.update_bl_management = False
    config.update.update_management = False


def count_pulses(tile: AnalogTile, x: torch.Tensor, d: torch.Tensor, rate: float) -> int:
    """Device-pulses of one update of a shadow tile."""
    tile.tile.set_weights(torch.zeros_like(tile.tile.get_weights()))
    tile.set_learning_rate(rate)
    tile.update(x, d)
    return round(
        (tile.tile.get_weights().double() / tile.rpu_config.device.dw_min).round().abs().sum().item()
    )


def measure_update(options: argparse.Namespace) -> dict[str, object]:
    """Every device gets ``length`` pulses an update; first it is counted that it does.

    |x| = |d| = 1 with all probabilities at 1, so every coincidence happens.
    """
    x, d = torch.ones(1, INPUTS), torch.ones(1, HIDDEN)
    config = configuration(options)
    fix_length(config, options.length)
    rate = 4 * config.device.dw_min * options.length
    counted = shadow(options.preset, HIDDEN, INPUTS, bias=False, length=options.length)
    pulses = count_pulses(counted, x, d, rate)
    if pulses != INPUTS * HIDDEN * options.length:
        raise SystemExit(f"{pulses} pulses counted, {INPUTS * HIDDEN * options.length} expected")
    tile = AnalogTile(HIDDEN, INPUTS, config).tile
    tile.set_learning_rate(rate)
    updates, signs = 0, (d, -d)  # up and down in turn, so that the devices stay off their bounds
    for warm_up in range(10):
        tile.update(x, signs[warm_up % 2], False)
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < options.seconds:
        tile.update(x, signs[updates % 2], False)
        updates += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "length": options.length,
        "devices": INPUTS * HIDDEN,
        "updates": updates,
        "steps": one_pulse(config, rate / options.length),
        "pulses_per_s_wall": updates * pulses / wall,
        "pulses_per_s_cpu": updates * pulses / cpu,
    }


def one_pulse(config: SingleRPUConfig, rate: float) -> list[float]:
    """Mean and spread of one pulse's step up, then down, from weight 0, in units of w_max - w_min."""
    fix_length(config, 1)
    steps: list[float] = []
    for d in (-torch.ones(1, HIDDEN), torch.ones(1, HIDDEN)):
        tile = AnalogTile(HIDDEN, INPUTS, config).tile
        tile.set_weights(torch.zeros(HIDDEN, INPUTS))
        tile.set_learning_rate(rate)
        tile.update(torch.ones(1, INPUTS), d, False)
        change = tile.get_weights().double() / (config.device.w_max - config.device.w_min)
        steps += [change.mean().item(), change.std().item()]
    return steps


if __name__ == "__main__":
    main()
