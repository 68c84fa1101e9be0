"""Convolutions in an experiment file: what fits has its shapes, the rest is refused before a bench opens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from hil import setup
from hil.config.experiment import DenseSettings
from hil.data import Dataset
from hil.errors import ConfigError
from hil.report.facts import about
from hil.shapes import layer_shapes
from hil.store.folder import JSON

HEAD = """data: {name: mnist-5k}
gradient: backprop
update: manhattan
network:
  layers:
"""
FIRST = "{kind: conv, channels: 6, kernel: 5, padding: 1, pool: {size: 2}}"
LAST = "{outputs: 10, activation: softmax}"


def data(image: tuple[int, int, int] | None = (1, 28, 28)) -> Dataset:
    inputs = 784 if image is None else int(np.prod(image))
    x, y = np.zeros((10, inputs), np.float32), np.arange(10)
    return Dataset("mine", x, y, x, y, 10, image, "nowhere", "")


def written(folder: Path, *layers: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(HEAD + "".join(f"    - {layer}\n" for layer in layers), encoding="utf-8")
    return path


def test_each_layer_takes_the_image_that_the_one_before_it_gives(tmp_path: Path) -> None:
    second = "{kind: conv, channels: 4, kernel: 3, stride: 2, bias: false}"
    experiment, _ = setup.load_experiment(written(tmp_path, FIRST, second, "{outputs: 8}", LAST))
    shapes = layer_shapes(experiment, data((3, 28, 26)))
    kernels = [shape.convolution for shape in shapes]
    assert [k.given for k in kernels if k is not None] == [(6, 13, 12), (4, 6, 5)]
    assert kernels[2:] == [None, None]
    sizes = [(shape.matrix.n_in, shape.matrix.n_out) for shape in shapes]
    assert sizes == [(3 * 25 + 1, 6), (6 * 9, 4), (4 * 6 * 5 + 1, 8), (9, 10)]


def test_a_layer_that_does_not_say_its_kind_is_dense(tmp_path: Path) -> None:
    short, _ = setup.load_experiment(written(tmp_path, "{outputs: 8}", LAST))
    long, _ = setup.load_experiment(written(tmp_path, "{kind: dense, outputs: 8}", LAST))
    assert short.network == long.network
    assert isinstance(short.network.layers[0], DenseSettings)


@pytest.mark.parametrize(
    ("layers", "line", "problem"),
    [
        (
            ("{kind: conv, channels: 6, kernel: 29}", LAST),
            6,
            "0.kernel: asked for 29 x 29; the image here is 28 x 28",
        ),
        (
            (FIRST, "{kind: conv, channels: 6, kernel: 14}", LAST),
            7,
            "1.kernel: asked for 14 x 14; the image here is 13 x 13",
        ),
        (
            ("{kind: conv, channels: 6, kernel: 5, pool: {size: 5}}", LAST),
            6,
            "0.pool.size: asked for 5; it must divide the 24 x 24 positions of the kernel",
        ),
        (("{kind: conv, channels: 6, kernel: 5, pool: {size: 1}}", LAST), 6, "0.pool.size: asked for 1"),
        (
            ("{kind: conv, channels: 6, kernel: 2, padding: 2}", LAST),
            6,
            "0.padding: asked for 2; a kernel of 2 would see nothing but padding at the border; at most 1",
        ),
        (("{kind: conv, channels: 6, kernel: 0}", LAST), 6, "0.kernel: asked for 0; must be greater than 0"),
        (("{kind: conv, channels: 6}", LAST), 6, "0.kernel: missing"),
        (
            ("{kind: conv, channels: 6, kernel_size: 3}", LAST),
            6,
            "0.kernel_size: unknown key 'kernel_size'; did you mean 'kernel'?",
        ),
        (("{channels: 6, kernel: 3}", LAST), 6, "0.kernel: only a convolution has it; add kind: conv"),
        (
            ("{kind: convolution, outputs: 6}", LAST),
            6,
            "0.kind: asked for 'convolution'; allowed: conv, dense",
        ),
        (
            ("{kind: conv, channels: 6, kernel: 3, activation: softmax}", LAST),
            6,
            "0.activation: asked for 'softmax'",
        ),
        (("{outputs: 8}", FIRST, LAST), 7, "1.kind: conv cannot follow a dense layer"),
        ((FIRST,), 6, "0.kind: the last layer must be dense, with one output a class"),
        (
            ("{kind: conv, channels: 6, kernel: 5, w_max: 0.1}", LAST),
            6,
            "0.w_max: 0.1 is less than the largest initial weight",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_line_and_key(
    layers: tuple[str, ...], line: int, problem: str, tmp_path: Path
) -> None:
    path = written(tmp_path, *layers)
    with pytest.raises(ConfigError) as refused:
        layer_shapes(setup.load_experiment(path)[0], data())
    told = str(refused.value).splitlines()
    assert any(found.startswith(f"{path}:{line}: network.layers.{problem}") for found in told), told


def test_a_convolution_of_what_is_no_image_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, FIRST, LAST)
    with pytest.raises(ConfigError, match=r"0.kind: asked for conv; the samples of mine are 784 numbers"):
        layer_shapes(setup.load_experiment(path)[0], data(image=None))


def test_a_kernel_is_cut_to_the_arrays_or_refused_with_the_devices_it_needs(tmp_path: Path) -> None:
    second = "{kind: conv, channels: 16, kernel: 5}"
    experiment, _ = setup.load_experiment(written(tmp_path, FIRST, second, LAST))
    for rows, count, fits in ((32, 80, True), (32, 4, False)):
        arrays = ", ".join(f"a{k}: {{rows: {rows}, cols: 32}}" for k in range(count))
        file = tmp_path / f"bench{count}.yaml"
        file.write_text(f"driver: sim\ndevice: ideal\narrays: {{{arrays}}}\n", encoding="utf-8")
        settings, _ = setup.load_bench(file)
        if fits:
            with setup.bench_for(experiment, data(), settings) as bench:
                network = setup.build_network(experiment, data(), bench)
            assert [block.n_in for block in network.layers[1].tile.blocks] == [32, 32, 32, 32, 23]
            continue
        with pytest.raises(ConfigError, match=r"network.layers: layer2 needs 4,832 devices, 151 rows x 32"):
            setup.bench_for(experiment, data(), settings)


def test_a_convolution_network_is_told_in_words_on_the_screen_and_in_the_report(tmp_path: Path) -> None:
    experiment, _ = setup.load_experiment(written(tmp_path, FIRST, LAST))
    settings, _ = setup.load_bench()
    with setup.bench_for(experiment, data(), settings) as bench:
        network = setup.build_network(experiment, data(), bench)
    words = "1x28x28 - conv 6 of 5x5 padding 1 tanh average 2x2 - 10"
    assert repr(network) == f"Network({words}, 10,306 weights, cross-entropy)"
    layers = [repr(layer) for layer in network.layers]
    assert "(1x28x28 -> conv 6 of 5x5 padding 1 tanh average 2x2 -> 6x13x13, " in layers[0]
    header: Mapping[str, JSON] = {"network": {"summary": repr(network), "layers": [*layers]}}
    assert about(header)["Network"] == words
