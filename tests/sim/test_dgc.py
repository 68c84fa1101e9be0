"""Gradients by nudges on simulated arrays, against those that central differences in float64 give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drivers.sim.settings import SimSettings
from hil.errors import ConfigError
from hil.limits import LimitedBench, Limits
from hil.network import Loss, Neurons, Weights
from hil.network.activations import ActivationName, LossName
from hil.plan import run
from hil.schedule import Nudge, NudgeKind
from hil.training.contracts import Batch
from protocols.gradients.dgc import Dgc
from protocols.gradients.sweep import Devices, Sides
from tests.sim import test_convolution
from tests.sim.test_convolution import Case
from tests.sim.test_gradients import LAYOUTS, Lab, float_gradients

TANH: tuple[ActivationName, ...] = ("tanh", "tanh", "softmax")


def cosine(a: Any, b: Any) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def noisy(noise: float, **keys: Any) -> Lab:
    """The same weights on devices that are read with noise."""
    return Lab(settings=SimSettings.model_validate({"device": "ideal", "read": {"noise": noise}, **keys}))


@pytest.mark.parametrize("kind", ["current", "gate", "pulse"])
@pytest.mark.parametrize("sides", ["one", "two"])
@pytest.mark.parametrize("devices", ["plus", "minus", "both"])
def test_small_nudges_give_the_exact_gradient(kind: NudgeKind, sides: Sides, devices: Devices) -> None:
    lab = Lab()
    weights = lab.weights()
    report = lab.step(Dgc(nudge=kind, sides=sides, size=0.01, devices=devices), 6)
    gradients, cost = float_gradients(weights, TANH, lab.batch)
    assert report.cost == pytest.approx(cost, rel=1e-4)
    for number, gradient in enumerate(gradients):
        assert cosine(lab.wanted[number], -0.5 * gradient) > 0.999
        within = 0.002 if sides == "two" else 0.03
        assert lab.wanted[number] == pytest.approx(-0.5 * gradient, rel=within, abs=within / 10)


@pytest.mark.parametrize("hidden", ["sigmoid", "relu"])
@pytest.mark.parametrize(("held", "arrays"), LAYOUTS)
def test_wherever_the_weights_lie_the_gradient_is_the_same(
    hidden: ActivationName, held: Weights, arrays: dict[str, tuple[int, int]] | None
) -> None:
    lab = Lab(activations=(hidden, hidden, "softmax"), held=held, arrays=arrays)
    weights = lab.weights()
    lab.step(Dgc(size=0.01, sides="two", baseline_every=7), 4)
    gradients, _ = float_gradients(weights, (hidden, hidden, "softmax"), lab.batch)
    for number, gradient in enumerate(gradients):
        assert cosine(lab.wanted[number], -0.5 * gradient) > 0.999


@pytest.mark.parametrize(
    ("loss", "last"),
    [
        ("mse", "tanh"), ("mse", "sigmoid"), ("mse", "softmax"), ("mse", "linear"),
        ("cross-entropy", "sigmoid"), ("cross-entropy", "softmax"),
    ],
)  # fmt: skip
def test_the_cost_is_that_of_the_network_with_its_own_neurons(loss: LossName, last: ActivationName) -> None:
    """Against the network's own cost, driven again with each weight of the last layer changed by pulses."""
    lab = Lab(activations=("tanh", "tanh", "softmax"))
    rng = np.random.default_rng(5)
    layers = tuple(
        replace(layer, activation=name, neurons=Neurons.drawn(layer.tile.n_out, 0.3, 0.3, rng))
        for layer, name in zip(lab.network.layers, ("tanh", "tanh", last), strict=True)
    )
    lab.network = replace(lab.network, layers=layers, loss=Loss(loss, last))
    lab.step(Dgc(size=0.02, sides="two"), 3)

    def cost() -> float:
        traces = run(lab.network.forward(lab.batch.x), lab.bench)
        return lab.network.output_error(traces, lab.batch.labels).cost

    for number in (0, 2):
        tile = layers[number].tile
        for i, j in ((1, 2), (tile.n_in - 1, 0), (3, tile.n_out - 1)):
            counts = np.zeros((tile.n_in, tile.n_out), np.int16)
            counts[i, j] = 10
            none = np.zeros_like(counts)
            lab.bench.execute(tile.program(counts, none))
            up, high = cost(), lab.weights()[number][j, i]
            lab.bench.execute(tile.program(-2 * counts, none))
            down, low = cost(), lab.weights()[number][j, i]
            lab.bench.execute(tile.program(counts, none))
            slope = (up - down) / (high - low) / 3
            assert lab.wanted[number][j, i] == pytest.approx(-0.5 * slope, rel=0.03, abs=2e-4)


def test_a_kernels_nudge_changes_its_channel_at_all_positions() -> None:
    lab = test_convolution.Lab(Case(pools=("max", "average"), padding=1))
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (3, lab.network.n_in)).astype(np.float32)
    batch = Batch(x, np.array([0, 2, 1]), 0.5, step=0)
    run(test_convolution.Backprop().step(lab.network, batch, lab.change), lab.bench)
    exact = [lab.wanted[number] for number in range(3)]
    run(Dgc(size=0.01, sides="two").step(lab.network, batch, lab.change), lab.bench)
    for number, wanted in enumerate(exact):
        assert cosine(lab.wanted[number], wanted) > 0.999
        assert lab.wanted[number] == pytest.approx(wanted, rel=0.02, abs=2e-4)


def test_a_nudge_by_pulses_is_divided_by_the_change_that_was_measured() -> None:
    """With devices this nonlinear one pulse changes a weight by anything from a tenth to ten times the
    nominal step.
    """
    device = {"model": "exponential", "levels_up": 2048, "levels_down": 2048, "g_min": "1 uS"}
    device |= {"g_max": "101 uS", "nl_up": 4.88, "nl_down": -4.88}
    device |= {"potentiate": {"amplitude": "1 V", "width": "1 us"}}
    device |= {"depress": {"amplitude": "-1 V", "width": "1 us"}}
    lab = Lab(settings=SimSettings.model_validate({"device": device}))
    rng = np.random.default_rng(2)
    for layer in lab.network.layers:
        shape = layer.tile.n_in, layer.tile.n_out
        lab.bench.execute(layer.tile.program(*(rng.integers(0, 600, shape).astype(np.int16) for _ in "+-")))
    weights = lab.weights()
    report = lab.step(Dgc(nudge="pulse", sides="one", size=0.005, residue_every=1), 4)
    gradients, _ = float_gradients(weights, TANH, lab.batch)
    for number, gradient in enumerate(gradients):
        moved = lab.wanted[number] != 0  # a device at the end of its range does not follow
        assert moved.mean() > 0.6
        found, exact = lab.wanted[number][moved], -0.5 * gradient[moved]
        assert cosine(found, exact) > 0.995
        assert (found * exact).sum() / (exact * exact).sum() == pytest.approx(1, abs=0.05)
    left = np.mean([np.abs(new - old).mean() for new, old in zip(lab.weights(), weights, strict=True)])
    assert report.residue == pytest.approx(left, rel=0.05)
    assert report.residue > 1e-4


def test_jacobi_updates_at_the_end_and_gauss_seidel_layer_by_layer() -> None:
    lab = Lab(pulse=True, sizes=(5, 6, 4), activations=("tanh", "softmax"))
    first, second = lab.weights()
    lab.step(Dgc(order="gauss-seidel", sides="two", size=0.01), rate=2.0)
    assert lab.order == [1, 0]
    updated = lab.weights()[1]
    through, _ = float_gradients([first, updated], ("tanh", "softmax"), lab.batch)
    assert cosine(lab.wanted[0], -2.0 * through[0]) > 0.9999
    other = Lab(pulse=True, sizes=(5, 6, 4), activations=("tanh", "softmax"))
    other.step(Dgc(order="jacobi", sides="two", size=0.01), rate=2.0)
    through, _ = float_gradients([first, second], ("tanh", "softmax"), other.batch)
    assert cosine(other.wanted[0], -2.0 * through[0]) > 0.9999
    assert cosine(lab.wanted[0], other.wanted[0]) < 0.9999


def test_weights_whose_input_is_zero_are_not_nudged_and_want_nothing() -> None:
    lab = Lab()
    x = np.zeros((2, 7), np.float32)
    x[0, 2], x[1, 2] = 0.5, -0.5
    batch = Batch(x, np.array([0, 1]), 0.5, step=0)
    nudged: list[int] = []
    plan = Dgc(size=0.01).step(lab.network, batch, lab.change)
    schedule = next(plan)
    try:
        while True:
            nudged += [len(op.points) for op in schedule if isinstance(op, Nudge)]
            schedule = plan.send(lab.bench.execute(schedule))
    except StopIteration:
        pass
    first, second, third = lab.network.layers
    assert sum(nudged) == 2 * first.tile.n_out + sum(t.tile.n_in * t.tile.n_out for t in (second, third))
    assert np.flatnonzero(lab.wanted[0].any(axis=0)).tolist() == [2, 7]


def spread_of(lab: Lab, gradient: Dgc, times: int = 12) -> float:
    """Mean variance of the wanted changes when measured again and again."""
    seen = []
    for _ in range(times):
        lab.step(gradient, 2)
        seen.append(np.concatenate([lab.wanted[number].ravel() for number in range(3)]))
    return float(np.var(seen, axis=0).mean())


def test_readings_averaged_make_the_variance_fall_as_their_number() -> None:
    lab = noisy(0.01)
    single, many = (spread_of(lab, Dgc(size=0.1, average=n)) for n in (1, 8))
    assert single / many == pytest.approx(8, rel=0.5)


def test_the_variance_falls_as_the_square_of_the_nudge() -> None:
    lab = noisy(0.01)
    small, large = (spread_of(lab, Dgc(size=size)) for size in (0.02, 0.08))
    assert small / large == pytest.approx(16, rel=0.5)


def test_the_chosen_nudge_grows_with_the_noise_within_its_bounds() -> None:
    sizes = []
    for noise in (0.0, 0.001, 0.004, 0.3):
        report = noisy(noise).step(Dgc(size="auto", smallest=0.005, largest=0.4), 4)
        sizes.append(report.nudge)
    assert sizes[0] == pytest.approx(0.005)
    assert sizes[0] < sizes[1] < sizes[2] <= sizes[3] < 0.4001
    assert sizes[3] > 0.3


def test_the_baselines_drift_is_that_of_its_noise() -> None:
    lab = Lab()
    assert lab.step(Dgc(baseline_every=5), 2).drift == pytest.approx(0, abs=1e-7)
    lab = noisy(0.01)
    costs = []
    lab.step(Dgc(size=0.05), 2)
    for _ in range(40):
        traces = run(lab.network.forward(lab.batch.x), lab.bench)
        costs.append(lab.network.output_error(traces, lab.batch.labels).cost / 2)
    drift = lab.step(Dgc(size=0.05, baseline_every=2), 2).drift
    assert drift == pytest.approx(np.sqrt(2) * np.std(costs), rel=0.5)


def test_a_reading_that_is_only_a_bound_gives_no_gradient() -> None:
    lab = noisy(0.0, adc={"bits": 12, "range": 1e-9})
    report = lab.step(Dgc(size=0.1), 2)
    assert report.clipped > 0
    assert not any(lab.wanted[number].any() for number in range(3))


def test_it_runs_within_limits_bit_by_bit_as_without() -> None:
    free, bounded = Lab(), Lab()
    volts = free.network.layers[0].tile.sheet.read_voltage_v
    for kind in ("current", "gate", "pulse"):
        free.step(Dgc(nudge=kind, size=0.02), 3)
        limited = LimitedBench(bounded.bench, Limits(read_v=volts, pulses_per_op=200))
        run(Dgc(nudge=kind, size=0.02).step(bounded.network, free.batch, bounded.change), limited)
        for number in range(3):
            assert (free.wanted[number] == bounded.wanted[number]).all()
    assert limited.wear is not None
    assert limited.wear.pulses > 0


def test_what_bench_or_devices_cannot_do_is_refused_by_its_key() -> None:
    lab = Lab()
    arrays = dict(lab.bench.arrays)
    name = next(iter(arrays))
    arrays[name] = replace(arrays[name], nudges=frozenset({"pulse"}))
    with pytest.raises(ConfigError, match=r"^gradient\.nudge: asked for gate; .*offers pulse"):
        Dgc(nudge="gate").check(lab.network, arrays)
    Dgc(nudge="pulse").check(lab.network, arrays)
    with pytest.raises(ConfigError, match=r"^gradient\.size: .*less than"):
        Dgc(nudge="gate", sides="two", size=5.0).check(lab.network, lab.bench.arrays)
    with pytest.raises(ConfigError, match=r"^gradient\.smallest: "):
        Dgc(smallest=2.0).check(lab.network, lab.bench.arrays)
    held = Lab(held="reference")
    with pytest.raises(ConfigError, match=r"^gradient\.devices: .*reference"):
        Dgc(devices="both").check(held.network, held.bench.arrays)


def test_nudges_by_pulses_are_warned_of() -> None:
    network = Lab().network
    assert "residue" in Dgc(nudge="pulse").warnings(network)[0]
    assert not Dgc().warnings(network)
