"""What the layers of an experiment come to with its data: matrices for the arrays, kernels on images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hil.config.experiment import ConvSettings, DenseSettings, Experiment, LayerSettings
from hil.data import Dataset
from hil.errors import ConfigError
from hil.network import Convolution, MatrixSize


@dataclass(frozen=True, slots=True)
class LayerShape:
    """The weight matrix of a layer, and how its kernel lies on images where it is a convolution."""

    matrix: MatrixSize
    convolution: Convolution | None


def layer_shapes(experiment: Experiment, data: Dataset) -> tuple[LayerShape, ...]:
    """Shapes of all layers, from first to last.

    Raises
    ------
    ConfigError
        When the last layer has not one output a class, initial weights could exceed a layer's w_max, the data
        are no images, or a kernel or its pooling does not fit the image it is to see.
    """
    _check_outputs(experiment, data)
    shapes: list[LayerShape] = []
    inputs, image = data.inputs, data.image_shape
    for number, layer in enumerate(experiment.network.layers):
        name = f"layer{number + 1}"
        if isinstance(layer, DenseSettings):
            shape = LayerShape(MatrixSize(name, inputs + layer.bias, layer.outputs), None)
            inputs = layer.outputs
        else:
            if image is None:
                where = experiment.where("network", "layers", number, "kind")
                raise ConfigError(
                    f"{where}: asked for conv; the samples of {data.name} are {data.inputs} numbers and no "
                    "images; use kind: dense, or data with a shape (idx, or npz [n, height, width])"
                )
            seen = _convolution(experiment, number, layer, image)
            shape = LayerShape(MatrixSize(name, seen.lines + layer.bias, layer.channels), seen)
            image = seen.given
            inputs = int(np.prod(image))
        _check_initial(experiment, number, shape.matrix, layer)
        shapes.append(shape)
    return tuple(shapes)


def _convolution(
    experiment: Experiment, number: int, layer: ConvSettings, image: tuple[int, int, int]
) -> Convolution:
    pool, size = ("average", 1) if layer.pool is None else (layer.pool.kind, layer.pool.size)
    try:
        return Convolution(image, layer.channels, layer.kernel, layer.stride, layer.padding, pool, size)
    except ConfigError as error:
        key, _, problem = str(error).partition(": ")
        where = experiment.where("network", "layers", number, *key.split("."))
        raise ConfigError(f"{where}: {problem}") from error


def _check_outputs(experiment: Experiment, data: Dataset) -> None:
    layers = experiment.network.layers
    last = layers[-1]
    if isinstance(last, DenseSettings) and last.outputs != data.classes:
        where = experiment.where("network", "layers", len(layers) - 1, "outputs")
        raise ConfigError(
            f"{where}: asked for {last.outputs}; {data.name} has {data.classes} classes, and the last "
            "layer needs one output for each"
        )


def _check_initial(experiment: Experiment, number: int, size: MatrixSize, layer: LayerSettings) -> None:
    limit = experiment.initial.gain * float(np.sqrt(6 / (size.n_in + size.n_out)))
    if experiment.initial.kind not in ("keep", "file") and limit > layer.w_max:
        raise ConfigError(
            f"{experiment.where('network', 'layers', number, 'w_max')}: {layer.w_max:g} is less than the "
            f"largest initial weight, {limit:.3g} (initial.gain {experiment.initial.gain:g} x sqrt(6 / "
            f"({size.n_in} + {size.n_out}))); raise w_max or lower initial.gain"
        )
