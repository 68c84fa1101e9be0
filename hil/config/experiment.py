"""What an experiment file may say: data, network, initial weights, gradient, update, training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, Union, cast

from pydantic import BeforeValidator, Field, create_model, model_validator

from hil.config.validate import Config, MisfitError
from hil.config.verify import Verify
from hil.data.spec import DataSpec
from hil.errors import ConfigError
from hil.network.activations import ActivationName, Loss, LossName
from hil.network.placement import Weights

NAME = r"^[a-z0-9_-]{1,64}$"
_BIAS = "Add a bias line, driven with the full read voltage."
_W_MAX = (
    "Largest weight that devices hold: a weight of 1 is (g_max - g_min) / w_max between a pair, half of that "
    "against a reference."
)


class DenseSettings(Config):
    """One dense layer; after images it takes their pixels channel by channel, row by row."""

    kind: Literal["dense"] = Field(default="dense", description="Every input to every neuron.")
    outputs: int = Field(gt=0, description="Number of neurons.")
    activation: ActivationName = Field(default="tanh", description="Activation of its neurons.")
    bias: bool = Field(default=True, description=_BIAS)
    w_max: float = Field(default=1.0, gt=0, description=_W_MAX)


class PoolSettings(Config):
    """Squares of positions, side by side, of which one value each leaves the layer."""

    kind: Literal["average", "max"] = Field(
        default="average", description="The mean of a square, or its largest value."
    )
    size: int = Field(default=2, ge=2, description="Height and width of a square, positions.")


class ConvSettings(Config):
    """One convolution layer: a kernel at every position of an image, its devices shared by all of them."""

    kind: Literal["conv"] = Field(description="A kernel that passes over an image.")
    channels: int = Field(gt=0, description="Number of kernels: channels of the image that it gives.")
    kernel: int = Field(gt=0, description="Height and width of a kernel, pixels.")
    stride: int = Field(
        default=1, gt=0, description="Pixels between two positions; what is left over at the end is not seen."
    )
    padding: int = Field(default=0, ge=0, description="Pixels of zeros around the image.")
    activation: Literal["tanh", "sigmoid", "relu", "linear"] = Field(
        default="tanh", description="Activation of its neurons, one circuit a kernel."
    )
    pool: PoolSettings | None = Field(default=None, description="Pooling of what its neurons give.")
    bias: bool = Field(default=True, description=_BIAS)
    w_max: float = Field(default=1.0, gt=0, description=_W_MAX)

    @model_validator(mode="after")
    def _sees_some_image_everywhere(self) -> Self:
        if self.padding >= self.kernel:
            raise MisfitError(
                f"asked for {self.padding}; a kernel of {self.kernel} would see nothing but padding at the "
                f"border; at most {self.kernel - 1}",
                "padding",
            )
        return self


LayerSettings: TypeAlias = DenseSettings | ConvSettings


def _dense_unless_said(value: object) -> object:
    """A layer is dense where the file does not say ``kind``."""
    if isinstance(value, Mapping) and "kind" not in value:
        if key := next((key for key in ("kernel", "channels") if key in value), None):
            raise MisfitError("only a convolution has it; add kind: conv to this layer", key)
        return {"kind": "dense", **cast(Mapping[str, object], value)}
    return cast(object, value)


_Layer: TypeAlias = Annotated[
    Annotated[LayerSettings, Field(discriminator="kind")], BeforeValidator(_dense_unless_said)
]


class NeuronSettings(Config):
    """Neuron circuits that differ, a = f(gain z + offset), fixed per neuron, for studies of variation."""

    gain_spread: float = Field(
        default=0.0, ge=0, description="Standard deviation of the gain, whose mean is 1."
    )
    offset_spread: float = Field(
        default=0.0, ge=0, description="Standard deviation of the offset, whose mean is 0."
    )
    backward_spread: float = Field(
        default=0.0,
        ge=0,
        description=(
            "Standard deviation of the gain on the way back of an error, whose mean is 1; of no effect on "
            "methods that pass none back."
        ),
    )


class NetworkSettings(Config):
    """Layers, loss, and how weights are put on devices."""

    layers: tuple[_Layer, ...] = Field(
        min_length=1, description="From first to last: convolutions, if any, then dense layers."
    )
    loss: LossName = Field(default="cross-entropy", description="Cost at the output.")
    weights: Weights = Field(
        default="pair",
        description=(
            "How a weight is held. pair: by the difference of two devices, plus and minus columns side by "
            "side on one array; split-pair: the same on equal lines of two arrays; reference: by one device "
            "against a reference column that all share."
        ),
    )
    neurons: NeuronSettings = Field(default=NeuronSettings(), description="Spread of the neuron circuits.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for number, (layer, after) in enumerate(pairwise(self.layers)):
            if layer.activation == "softmax":
                problem = "softmax can only be the activation of the last layer; choose another here"
                raise MisfitError(problem, "layers", number, "activation")
            if layer.kind == "dense" and after.kind == "conv":
                problem = "conv cannot follow a dense layer, which gives no image; put it before"
                raise MisfitError(problem, "layers", number + 1, "kind")
        if self.layers[-1].kind == "conv":
            problem = "the last layer must be dense, with one output a class; add one after this"
            raise MisfitError(problem, "layers", len(self.layers) - 1, "kind")
        try:
            Loss(self.loss, self.layers[-1].activation)
        except ConfigError as error:
            raise MisfitError(str(error), "loss") from error
        return self


class SoftwareSettings(Config):
    """Plain SGD in float on the host, of the same network, its weights kept within each layer's w_max."""

    epochs: int = Field(default=10, ge=1, description="Passes over the training samples.")
    batch: int = Field(default=10, ge=1, description="Samples a step.")
    rate: float = Field(default=0.1, gt=0, description="Learning rate, for the mean over the batch.")
    rate_decay: float = Field(
        default=0.9, gt=0, le=1, description="The rate is multiplied by this after every epoch."
    )


class InitialSettings(Verify):
    """The weights that training starts from."""

    kind: Literal["write-verify", "random", "keep", "transfer", "file"] = Field(
        default="write-verify",
        description=(
            "write-verify: random weights, pulsed and read until within tolerance; random: the same, "
            "pulsed once without reading; keep: the devices as they are; transfer: weights trained in "
            "software on the host; file: your own, from path."
        ),
    )
    software: SoftwareSettings = Field(
        default=SoftwareSettings(), description="Of transfer: how the weights are trained on the host."
    )
    path: Path | None = Field(
        default=None,
        description=(
            "Of file: an .npz with layer1, layer2 ..., each [outputs, inputs], with bias one more column "
            "at the end."
        ),
    )
    open_loop: bool = Field(
        default=False,
        description="Of transfer and file: pulse once by the typical curve, without reading, as random does.",
    )
    gain: float = Field(
        default=1.0,
        gt=0,
        description=(
            "Weights are uniform within gain sqrt(6 / (inputs + outputs)), of the matrix on the array: of a "
            "kernel the pixels that it sees, and its channels."
        ),
    )
    tolerance: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=(
            "Of write-verify, as a fraction of the layer's largest initial weight; where steps are coarser, "
            "they decide. none: 0.3 for random weights, 0.02 for those of transfer and file."
        ),
    )

    @property
    def trained(self) -> bool:
        """Whether the weights come from elsewhere, trained."""
        return self.kind in ("transfer", "file")

    @property
    def unread(self) -> bool:
        """Whether the devices are not read when the weights are written."""
        return self.kind in ("random", "keep") or self.open_loop

    @property
    def within(self) -> float:
        """The tolerance in use."""
        return self.tolerance or (0.02 if self.trained else 0.3)

    @model_validator(mode="after")
    def _has_its_file(self) -> Self:
        if self.kind == "file" and self.path is None:
            raise MisfitError("kind file needs the .npz with the weights", "path")
        for key, kinds in (
            ("path", ("file",)),
            ("software", ("transfer",)),
            ("open_loop", ("transfer", "file")),
        ):
            said = getattr(self, key) != type(self).model_fields[key].default  # a default asks for nothing
            if said and self.kind not in kinds:
                raise MisfitError(f"is for kind {' or '.join(kinds)}; kind is {self.kind}", key)
        return self


class EarlyStop(Config):
    """Stop when the test accuracy no longer rises."""

    patience: int = Field(default=3, ge=1, description="Evaluations without a new best before stopping.")
    min_rise: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Smallest rise of the accuracy (0 to 1) that counts as a new best.",
    )


class TrainingSettings(Config):
    """Epochs, batches and what is measured on the way."""

    epochs: int = Field(
        default=1,
        ge=0,
        description="Passes over the training samples; 0: only the initial weights, and an evaluation.",
    )
    batch: int = Field(default=1, ge=1, description="Samples a step.")
    rate: float = Field(
        default=0.05, gt=0, description="Learning rate, for the gradient's mean over the batch."
    )
    rate_decay: float = Field(
        default=1.0, gt=0, le=1, description="The rate is multiplied by this after every epoch."
    )
    evaluations: int = Field(
        default=1, ge=1, description="Evaluations on the test samples in each epoch, evenly spread."
    )
    report_every: int = Field(default=500, ge=1, description="Training samples in one row of the record.")
    update_noise_every: int = Field(
        default=0,
        ge=0,
        description=(
            "Steps between two measurements of the update noise (0: never); each reads every device twice."
        ),
    )
    early_stop: EarlyStop | None = Field(
        default=None, description="Stop when the test accuracy no longer rises."
    )
    target_accuracy: float | None = Field(
        default=None, gt=0, le=1, description="Stop when the test accuracy reaches this."
    )


_ALSO_CALLED = {
    **dict.fromkeys(("learning_rate", "lr", "step_size", "eta", "rate"), "training.rate"),
    **dict.fromkeys(("lr_decay", "learning_rate_decay", "decay", "gamma"), "training.rate_decay"),
    **dict.fromkeys(("batch_size", "minibatch", "minibatch_size", "batch"), "training.batch"),
    **dict.fromkeys(("n_epochs", "num_epochs", "max_epochs", "epochs"), "training.epochs"),
    **dict.fromkeys(("early_stopping", "patience"), "training.early_stop"),
    **dict.fromkeys(("optimizer", "optimiser"), "update"),
    **dict.fromkeys(("algorithm", "method"), "gradient"),
    **dict.fromkeys(("dataset", "data_set"), "data"),
    **dict.fromkeys(("random_seed", "rng_seed"), "seed"),
    **dict.fromkeys(("init", "initialization", "weight_init"), "initial"),
    **dict.fromkeys(("model", "net"), "network"),
    **dict.fromkeys(("units", "neurons", "size", "hidden_size"), "network.layers.0.outputs"),
    "layers": "network.layers",
    "loss": "network.loss",
    "act": "network.layers.0.activation",
}


class Experiment(Config):
    """An experiment without its two plugins; :func:`experiment_model` adds ``gradient`` and ``update``."""

    also_called: ClassVar[Mapping[str, str]] = _ALSO_CALLED

    name: str = Field(default="run", pattern=NAME, description="Of the run: a-z, 0-9, - and _, at most 64.")
    seed: int = Field(default=1, ge=0, le=2**63 - 1, description="All chance of a run comes from it.")
    data: DataSpec = Field(description="The samples to learn.")
    network: NetworkSettings = Field(description="The network to train.")
    initial: InitialSettings = Field(
        default=InitialSettings(), description="The weights that training starts from."
    )
    training: TrainingSettings = Field(
        default=TrainingSettings(), description="Epochs, batches and what is measured."
    )
    gradient: Any
    update: Any


def _by_name(value: object) -> object:
    """``gradient: backprop`` is short for ``gradient: {name: backprop}``."""
    return {"name": value} if isinstance(value, str) else value


def experiment_model(
    gradients: Mapping[str, type[Config]], updates: Mapping[str, type[Config]]
) -> type[Experiment]:
    """The model of an experiment file with the gradients and updates that are installed, by their names."""

    def choice(plugins: Mapping[str, type[Config]], what: str) -> tuple[Any, Any]:
        union: Any = Union[tuple(plugins.values())]  # noqa: UP007 - its members are known only now
        named = Annotated[union, Field(discriminator="name")] if len(plugins) > 1 else union
        return Annotated[named, BeforeValidator(_by_name)], Field(description=what)

    return create_model(
        "Experiment",
        __base__=Experiment,
        __doc__="An experiment: what is learned, by which network, which method and which update.",
        gradient=choice(gradients, "What weight change is wanted: a name, or a name with its settings."),
        update=choice(updates, "How it becomes pulses: a name, or a name with its settings."),
    )
