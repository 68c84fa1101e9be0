"""What an experiment file may say under ``data:``."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DatasetName = Literal["mnist-5k", "mnist", "idx", "csv", "npz"]

DATASETS: Final[dict[DatasetName, str]] = {
    "mnist-5k": "5,000 training and 1,000 test images of MNIST, class-balanced, inside the package",
    "mnist": "all of MNIST (60,000 + 10,000): from path, HIL_DATA or a download; verified by SHA-256",
    "idx": "your own folder of four idx files named like MNIST's",
    "csv": "your own table: one sample a row, the label in the last column or the one named label",
    "npz": "your own arrays: train_x, train_y, test_x, test_y, or x and y to be split",
}
"""Every name ``load_dataset`` knows, with the line ``hil list`` prints."""

_OWN: Final = ("idx", "csv", "npz")
_SPLIT_BY_US: Final = ("csv", "npz")


class DataSpec(BaseModel):
    """A data set and the part of it to use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: DatasetName
    path: Path | None = Field(
        default=None,
        description="file or folder of your own data; for mnist the folder of the official files",
    )
    train: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="training samples: the first n of a seeded permutation; default all",
    )
    test: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="test samples: the first n of a seeded permutation; default all",
    )
    pixels: int | None = Field(
        default=None, ge=1, strict=True, description="average images down to pixels x pixels by area"
    )
    test_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share held out for testing where your data has no split of its own; default 0.2",
    )

    @model_validator(mode="after")
    def _path_and_split_fit_the_name(self) -> Self:
        if self.name in _OWN and self.path is None:
            raise ValueError(f"data set {self.name!r} is your own: say where it is with path")
        if self.name == "mnist-5k" and self.path is not None:
            raise ValueError(
                "data set 'mnist-5k' is inside the package and takes no path; did you mean 'mnist'?"
            )
        if self.name not in _SPLIT_BY_US and self.test_fraction is not None:
            raise ValueError(f"data set {self.name!r} has its own test set: test_fraction does not apply")
        return self
