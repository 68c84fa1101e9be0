"""What holds for every data set: selection, averaging, the spec, batches and the hash."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hil.data import DATASETS, Dataset, DataSpec, batches, load_dataset
from hil.data.spec import DatasetName
from hil.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]


def write_images(folder: Path, images: np.ndarray[Any, Any]) -> Path:
    """Save images as both parts of an npz file, with two classes."""
    labels = np.arange(len(images)) % 2
    np.savez(folder / "i.npz", train_x=images, train_y=labels, test_x=images, test_y=labels)
    return folder / "i.npz"


@pytest.fixture(scope="module")
def mnist5k() -> Dataset:
    return load_dataset(DataSpec(name="mnist-5k"))


def test_every_name_has_its_line() -> None:
    assert set(DATASETS) == set(get_args(DatasetName))
    assert all(DATASETS.values())


def test_a_selection_is_of_the_set_follows_its_seed_and_is_nested(mnist5k: Dataset) -> None:
    few, more, other = (
        load_dataset(DataSpec(name="mnist-5k", train=n, test=n), seed=seed)
        for n, seed in ((30, 4), (60, 4), (30, 5))
    )
    np.testing.assert_array_equal(few.train_x, more.train_x[:30])
    np.testing.assert_array_equal(few.test_y, more.test_y[:30])
    assert few.sha256 != other.sha256
    known = {(x.tobytes(), int(y)) for x, y in zip(mnist5k.train_x, mnist5k.train_y, strict=True)}
    drawn = {(x.tobytes(), int(y)) for x, y in zip(few.train_x, few.train_y, strict=True)}
    assert len(drawn) == 30
    assert drawn <= known
    assert few.classes == 10


def test_the_same_spec_and_seed_give_the_same_bits() -> None:
    spec = DataSpec(name="mnist-5k", train=100, test=50, pixels=10)
    first, again = load_dataset(spec, seed=3), load_dataset(spec, seed=3)
    np.testing.assert_array_equal(first.train_x, again.train_x)
    assert first.sha256 == again.sha256


@pytest.mark.parametrize(("part", "available"), [("train", 5000), ("test", 1000)])
def test_more_samples_than_there_are_is_refused(part: str, available: int) -> None:
    spec = DataSpec.model_validate({"name": "mnist-5k", part: available + 1})
    with pytest.raises(
        DataError, match=f"{part}: {available + 1:,} samples asked for, {available:,} available"
    ):
        load_dataset(spec)


def test_halving_the_pixels_is_the_mean_of_each_block_of_four(mnist5k: Dataset) -> None:
    small = load_dataset(DataSpec(name="mnist-5k", pixels=14))
    assert small.image_shape == (1, 14, 14)
    blocks = mnist5k.test_x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    np.testing.assert_allclose(small.test_x, blocks, atol=1e-6)


@given(height=st.integers(1, 9), width=st.integers(1, 9), channels=st.integers(1, 2), data=st.data())
def test_averaging_by_area_keeps_the_mean_and_the_range_of_an_image(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, channels: int, data: st.DataObject
) -> None:
    pixels = data.draw(st.integers(1, min(height, width)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    images = rng.random((3, channels, height, width), dtype=np.float32)
    path = write_images(tmp_path_factory.mktemp("area"), images)
    small = load_dataset(DataSpec(name="npz", path=path, pixels=pixels))
    assert small.image_shape == (channels, pixels, pixels)
    found = small.train_x.reshape(3, channels, -1)
    np.testing.assert_allclose(found.mean(axis=2), images.mean(axis=(2, 3)), atol=1e-6)
    assert found.min() >= images.min() - 1e-6
    assert found.max() <= images.max() + 1e-6


def test_a_pixel_on_the_border_of_two_new_ones_counts_in_both(tmp_path: Path) -> None:
    images = np.zeros((2, 3, 3), np.uint8)
    images[:, 0, 1] = 255  # of 3x3 onto 2x2: half of its area in each upper pixel, which covers 9/4 pixels
    small = load_dataset(DataSpec(name="npz", path=write_images(tmp_path, images), pixels=2))
    np.testing.assert_allclose(small.train_x[0], [2 / 9, 2 / 9, 0, 0], rtol=1e-6)


def test_averaging_to_the_same_size_changes_nothing(mnist5k: Dataset) -> None:
    np.testing.assert_array_equal(load_dataset(DataSpec(name="mnist-5k", pixels=28)).test_x, mnist5k.test_x)


def test_averaging_up_is_refused() -> None:
    with pytest.raises(DataError, match="pixels = 29 asked for, but the images are 28x28"):
        load_dataset(DataSpec(name="mnist-5k", pixels=29))


def test_averaging_what_is_no_image_is_refused(tmp_path: Path) -> None:
    path = write_images(tmp_path, np.eye(4))
    with pytest.raises(DataError, match="not images"):
        load_dataset(DataSpec(name="npz", path=path, pixels=2))


def test_a_relative_path_starts_from_the_data_folder(tmp_path: Path) -> None:
    write_images(tmp_path, np.eye(4))
    assert load_dataset(DataSpec(name="npz", path=Path("i.npz")), data_dir=tmp_path).inputs == 4


BAD_SPECS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": ({"name": "mnits"}, "mnist-5k"),
    "unknown key": ({"name": "mnist", "trian": 5}, "trian"),
    "own data without a path": ({"name": "csv"}, "say where it is with path"),
    "a path for packaged data": ({"name": "mnist-5k", "path": "x"}, "did you mean 'mnist'"),
    "no samples": ({"name": "mnist", "train": 0}, "greater than or equal to 1"),
    "a truth value for a number": ({"name": "mnist", "test": True}, "valid integer"),
    "a fraction of everything": ({"name": "csv", "path": "x", "test_fraction": 1}, "less than 1"),
    "a fraction that is NaN": ({"name": "csv", "path": "x", "test_fraction": float("nan")}, "test_fraction"),
    "a fraction where a test set exists": ({"name": "mnist", "test_fraction": 0.2}, "has its own test set"),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_a_wrong_spec_is_refused(case: str) -> None:
    given_, message = BAD_SPECS[case]
    with pytest.raises(ValidationError, match=message):
        DataSpec.model_validate(given_)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(DataError, match="seed -1 is negative"):
        load_dataset(DataSpec(name="mnist-5k"), seed=-1)


@given(n=st.integers(1, 200), size=st.integers(1, 50), seed=st.integers(0, 9))
def test_batches_visit_every_sample_once_an_epoch(n: int, size: int, seed: int) -> None:
    epoch = list(batches(n, size, np.random.default_rng(seed)))
    assert {len(batch) for batch in epoch[:-1]} <= {size}
    assert all(batch.dtype == np.int64 for batch in epoch)
    assert sorted(np.concatenate(epoch).tolist()) == list(range(n))


def test_epochs_differ_and_a_seed_repeats_them() -> None:
    rng, again = np.random.default_rng(7), np.random.default_rng(7)
    first, second = (np.concatenate(list(batches(100, 9, rng))) for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(first, np.concatenate(list(batches(100, 9, again))))


@pytest.mark.parametrize(("n", "size"), [(0, 1), (5, 0), (5, -2)])
def test_batches_of_nothing_are_refused_at_the_call(n: int, size: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        batches(n, size, np.random.default_rng(0))


def test_the_data_cannot_be_changed_by_accident(mnist5k: Dataset) -> None:
    for array in (mnist5k.train_x, mnist5k.train_y, mnist5k.test_x, mnist5k.test_y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_repr_tells_sets_apart_and_prints_no_array(mnist5k: Dataset) -> None:
    text = repr(mnist5k)
    for said in ("mnist-5k", "5000", "1000", "784", "1x28x28", "10 classes", mnist5k.sha256[:12]):
        assert said in text
    assert "\n" not in text


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "double precision": {"train_x": np.zeros((5000, 784))},
    "a label beyond the classes": {"classes": 9},
    "labels short": {"train_y": np.zeros(4999, np.int64)},
    "test of another width": {"test_x": np.zeros((1000, 783), np.float32)},
    "no test samples": {"test_x": np.zeros((0, 784), np.float32), "test_y": np.zeros(0, np.int64)},
    "another image shape": {"image_shape": (1, 28, 27)},
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_dataset_that_contradicts_itself_cannot_be_made(mnist5k: Dataset, case: str) -> None:
    assert {f.name for f in fields(Dataset)} >= set(CONTRADICTIONS[case])
    with pytest.raises(DataError, match="mnist-5k"):
        replace(mnist5k, **CONTRADICTIONS[case])


def test_importing_the_data_sets_does_not_import_the_downloader() -> None:
    code = (
        "import sys, hil.data; sys.exit(any(m in sys.modules for m in ('pooch', 'requests', 'platformdirs')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
