"""Images to vectors and back, compiled: the patches that a kernel sees, and pooling over their positions.

A batch of images is float32 [n, channels height width], channel by channel and row by row. At the neurons it
is [n positions, channels], positions row by row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.jit import inline, kernel, lean

F32 = NDArray[np.float32]


@inline
def _seen(start: int, size: int, extent: int) -> tuple[int, int]:
    """Which of ``size`` pixels from ``start`` on lie in the image, first and one after the last."""
    return max(0, -start), min(size, extent - start)


@kernel
def unfold(
    images: F32, channels: int, height: int, width: int, size: int, stride: int, padding: int
) -> F32:  # fmt: skip
    """The patch at every position, [n positions, channels size size]; 0 where it is padding (im2col)."""
    n = images.shape[0]
    down = (height + 2 * padding - size) // stride + 1
    across = (width + 2 * padding - size) // stride + 1
    out = np.zeros((n * down * across, channels * size * size), np.float32)
    _pass(images, out, channels, height, width, size, stride, padding, down, across, False)
    return out


@kernel
def fold(
    patches: F32, n: int, channels: int, height: int, width: int, size: int, stride: int, padding: int
) -> F32:  # fmt: skip
    """Sum of what all patches [n positions, channels size size or more] hold of each pixel, [n, channels
    height width]; what fell on padding is lost (col2im).
    """
    down = (height + 2 * padding - size) // stride + 1
    across = (width + 2 * padding - size) // stride + 1
    out = np.zeros((n, channels * height * width), np.float32)
    _pass(out, patches, channels, height, width, size, stride, padding, down, across, True)
    return out


@lean
def _pass(
    images: F32, patches: F32, channels: int, height: int, width: int, size: int, stride: int, padding: int,
    down: int, across: int, back: bool,
) -> None:  # fmt: skip
    """Pixels into the patches that see them; ``back``: add what patches hold to the pixels."""
    for s in range(images.shape[0]):
        for i in range(down):
            top = i * stride - padding
            first_y, last_y = _seen(top, size, height)
            for j in range(across):
                left = j * stride - padding
                first_x, last_x = _seen(left, size, width)
                patch = patches[(s * down + i) * across + j]
                for c in range(channels):
                    for y in range(first_y, last_y):
                        at = (c * size + y) * size
                        pixel = (c * height + top + y) * width + left
                        if back:
                            for x in range(first_x, last_x):
                                images[s, pixel + x] += patch[at + x]
                        else:
                            for x in range(first_x, last_x):
                                patch[at + x] = images[s, pixel + x]


@kernel
def pool_average(values: F32, down: int, across: int, size: int) -> F32:
    """Mean of each size x size square, [n positions, channels] to [n, channels squares]."""
    positions, channels = down * across, values.shape[1]
    n = values.shape[0] // positions
    rows, cols = down // size, across // size
    out = np.zeros((n, channels * rows * cols), np.float32)
    share = np.float32(1 / (size * size))
    for s in range(n):
        for y in range(down):
            for x in range(across):
                to = (y // size) * cols + x // size
                here = values[s * positions + y * across + x]
                for c in range(channels):
                    out[s, c * rows * cols + to] += share * here[c]
    return out


@kernel
def unpool_average(error: F32, down: int, across: int, size: int, channels: int) -> F32:
    """The error of each square [n, channels squares] spread evenly over it, [n positions, channels]."""
    n, positions = error.shape[0], down * across
    rows, cols = down // size, across // size
    out = np.empty((n * positions, channels), np.float32)
    share = np.float32(1 / (size * size))
    for s in range(n):
        for y in range(down):
            for x in range(across):
                source = (y // size) * cols + x // size
                here = out[s * positions + y * across + x]
                for c in range(channels):
                    here[c] = share * error[s, c * rows * cols + source]
    return out


@inline
def _winner(values: F32, first: int, across: int, size: int, c: int) -> int:
    """The row of ``values`` that holds the largest of a square; of equals the first."""
    best = first
    for y in range(size):
        for x in range(size):
            row = first + y * across + x
            if values[row, c] > values[best, c]:
                best = row
    return best


@kernel
def pool_max(values: F32, down: int, across: int, size: int) -> F32:
    """Largest of each size x size square, [n positions, channels] to [n, channels squares]."""
    positions, channels = down * across, values.shape[1]
    n = values.shape[0] // positions
    rows, cols = down // size, across // size
    out = np.empty((n, channels * rows * cols), np.float32)
    if channels == 1:
        _pool_max_alone(values.reshape(-1), out.reshape(-1), across, size, np.empty(across, np.float32))
        return out
    _pool_max(values, positions, across, size, rows, cols, np.empty((channels,), np.float32), out)
    return out


@lean
def _pool_max(
    values: F32, positions: int, across: int, size: int, rows: int, cols: int, best: F32, out: F32
) -> None:
    """Of several channels; ``best`` [channels] is room to work in."""
    channels = best.size
    for s in range(out.shape[0]):
        for y in range(rows):
            for x in range(cols):
                first = s * positions + y * size * across + x * size
                for c in range(channels):
                    best[c] = values[first, c]
                for row in range(size):
                    for col in range(size):
                        _keep_larger(best, values[first + row * across + col])
                for c in range(channels):
                    out[s, (c * rows + y) * cols + x] = best[c]


@lean
def _pool_max_alone(values: F32, out: F32, across: int, size: int, line: F32) -> None:
    """Of one channel: values [images positions], squares one after the other to out [images squares];
    ``line`` [across] is room to work in.
    """
    cols = across // size
    for first in range(0, out.size, cols):
        start = first * size * size
        for x in range(across):
            line[x] = values[start + x]
        for row in range(1, size):
            _keep_larger(line, values[start + row * across : start + (row + 1) * across])
        for x in range(cols):
            best = line[x * size]
            for col in range(1, size):
                each = line[x * size + col]
                best = each if each > best else best
            out[first + x] = best


@lean
def _keep_larger(best: F32, other: F32) -> None:
    for j in range(best.size):
        best[j] = other[j] if other[j] > best[j] else best[j]


@kernel
def unpool_max(error: F32, values: F32, down: int, across: int, size: int) -> F32:
    """The error of each square [n, channels squares] at the neuron that won it, [n positions, channels]."""
    positions, channels = down * across, values.shape[1]
    rows, cols = down // size, across // size
    out = np.zeros(values.shape, np.float32)
    for s in range(error.shape[0]):
        for y in range(rows):
            for x in range(cols):
                first = s * positions + y * size * across + x * size
                for c in range(channels):
                    best = _winner(values, first, across, size, c)
                    out[best, c] = error[s, (c * rows + y) * cols + x]
    return out
