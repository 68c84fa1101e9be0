"""Kernels on images: patches, pooling and their way back, against loops that follow the definition."""

from __future__ import annotations

import numpy as np
import pytest

from hil.errors import ConfigError
from hil.network import Convolution
from hil.network.convolution import PoolName

GEOMETRIES = [
    Convolution((1, 6, 6), 2, 3),
    Convolution((3, 5, 7), 2, 3, padding=1),
    Convolution((2, 7, 6), 4, 3, stride=2),
    Convolution((2, 6, 9), 3, 4, stride=2, padding=2),
    Convolution((1, 5, 5), 2, 5),
    Convolution((2, 4, 4), 2, 1, stride=2),
]
POOLED = [
    Convolution((1, 6, 8), 3, 3, pool=pool, pool_size=2) for pool in ("average", "max")
] + [Convolution((2, 8, 8), 2, 3, pool=pool, pool_size=3) for pool in ("average", "max")]  # fmt: skip


def images(shape: tuple[int, int, int], n: int = 3) -> np.ndarray:
    pixels = shape[0] * shape[1] * shape[2]
    return np.random.default_rng(pixels).uniform(-1, 1, (n, pixels)).astype(np.float32)


@pytest.mark.parametrize("seen", GEOMETRIES, ids=str)
def test_a_vector_is_what_the_kernel_sees_at_its_position_channel_by_channel(seen: Convolution) -> None:
    x = images(seen.image)
    p, k = seen.padding, seen.size
    padded = np.pad(x.reshape(-1, *seen.image), ((0, 0), (0, 0), (p, p), (p, p)))
    found = seen.unfold(x).reshape(len(x), seen.down, seen.across, -1)
    for i in range(seen.down):
        for j in range(seen.across):
            y, z = i * seen.stride, j * seen.stride
            assert (found[:, i, j] == padded[:, :, y : y + k, z : z + k].reshape(len(x), -1)).all()
    assert (seen.down - 1) * seen.stride + k <= padded.shape[2] < seen.down * seen.stride + k
    assert (seen.across - 1) * seen.stride + k <= padded.shape[3] < seen.across * seen.stride + k


@pytest.mark.parametrize("seen", GEOMETRIES, ids=str)
def test_folding_is_the_transpose_of_unfolding_and_leaves_a_bias_line_out(seen: Convolution) -> None:
    x = images(seen.image)
    errors = np.random.default_rng(1).standard_normal((len(x) * seen.positions, seen.lines + 1))
    errors = errors.astype(np.float32)
    one = np.vdot(seen.unfold(x), errors[:, :-1])
    assert one == pytest.approx(np.vdot(x, seen.fold(errors)), rel=1e-4)


@pytest.mark.parametrize("seen", POOLED, ids=str)
def test_pooling_takes_one_value_of_each_square_and_gives_images_channel_by_channel(
    seen: Convolution,
) -> None:
    outputs = np.random.default_rng(2).standard_normal((2 * seen.positions, seen.channels))
    outputs = outputs.astype(np.float32)
    channels, rows, cols = seen.given
    maps = outputs.reshape(2, seen.down, seen.across, channels).transpose(0, 3, 1, 2)
    squares = maps.reshape(2, channels, rows, seen.pool_size, cols, seen.pool_size)
    expected = squares.max(axis=(3, 5)) if seen.pool == "max" else squares.mean(axis=(3, 5))
    assert seen.pooled(outputs) == pytest.approx(expected.reshape(2, -1), rel=1e-6, abs=1e-7)


def test_without_pooling_the_outputs_are_only_put_in_the_order_of_an_image() -> None:
    seen = GEOMETRIES[1]
    outputs = np.arange(2 * seen.positions * seen.channels, dtype=np.float32).reshape(-1, seen.channels)
    expected = outputs.reshape(2, seen.positions, seen.channels).transpose(0, 2, 1).reshape(2, -1)
    assert (seen.pooled(outputs) == expected).all()
    assert (seen.unpooled(expected, outputs) == outputs).all()


@pytest.mark.parametrize("seen", POOLED, ids=str)
def test_an_error_goes_back_as_pooling_took_the_values(seen: Convolution) -> None:
    """By differences: shifting one neuron's output by h shifts the pooled ones by h times its share."""
    rng = np.random.default_rng(3)
    outputs = rng.standard_normal((2 * seen.positions, seen.channels)).astype(np.float32)
    error = rng.standard_normal(seen.pooled(outputs).shape).astype(np.float32)
    back = seen.unpooled(error, outputs)
    for index in np.ndindex(outputs.shape):
        moved = outputs.copy()
        moved[index] += 1e-3
        slope = np.vdot(seen.pooled(moved).astype(float) - seen.pooled(outputs), error) / 1e-3
        assert back[index] == pytest.approx(slope, abs=3e-3)


def test_of_equal_outputs_the_first_wins_the_whole_error() -> None:
    seen = Convolution((1, 2, 2), 1, 1, pool="max", pool_size=2)
    back = seen.unpooled(np.ones((1, 1), np.float32), np.zeros((4, 1), np.float32))
    assert back.ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("pool", ["average", "max"])
def test_pooling_keeps_what_is_within_1_within_1(pool: PoolName) -> None:
    seen = Convolution((1, 9, 9), 2, 1, pool=pool, pool_size=3)
    for sign in (-1, 1):
        outputs = np.full((seen.positions, 2), sign, np.float32)
        assert np.abs(seen.pooled(outputs)).max() <= 1


@pytest.mark.parametrize(
    ("size", "padding", "pool_size", "problem"),
    [
        (5, 0, 1, "kernel: asked for 5 x 5; the image here is 4 x 6"),
        (7, 1, 1, "kernel: asked for 7 x 7; the image here is 4 x 6 with 1 of padding on each side"),
        (2, 0, 2, "pool.size: asked for 2; it must divide the 3 x 5 positions of the kernel"),
        (3, 0, 4, "pool.size: asked for 4; it must divide the 2 x 4 positions of the kernel"),
    ],
)
def test_what_does_not_fit_an_image_is_refused(size: int, padding: int, pool_size: int, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Convolution((1, 4, 6), 2, size, padding=padding, pool_size=pool_size)
    assert str(refused.value) == problem
