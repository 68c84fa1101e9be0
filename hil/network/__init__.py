"""Networks whose weights live in the devices: tiles on arrays, layers, placement."""

from hil.network.activations import ActivationName, Loss, LossName
from hil.network.block import Block
from hil.network.convolution import Convolution
from hil.network.network import Layer, Network, Neurons, OutputError, Trace, without_bounds
from hil.network.placement import MatrixSize, Weights, place, wanted_arrays
from hil.network.tile import Signal, Tile, TileReading, Wanted

__all__ = [
    "ActivationName",
    "Block",
    "Convolution",
    "Layer",
    "Loss",
    "LossName",
    "MatrixSize",
    "Network",
    "Neurons",
    "OutputError",
    "Signal",
    "Tile",
    "TileReading",
    "Trace",
    "Wanted",
    "Weights",
    "place",
    "wanted_arrays",
    "without_bounds",
]
