"""MNIST: the packaged part is what it says, official files are told from others, downloads are verified."""

import gzip
import importlib.util
import os
import shutil
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hil.data import DataSpec, load_dataset, mnist
from hil.data.idx import FILES
from hil.errors import DataError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def official_files() -> Path:
    """Folder of the official files; skips where there is none."""
    folder = Path(os.environ.get("HIL_DATA", "")) / "mnist"
    if "HIL_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("HIL_DATA does not name a folder with mnist/")
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        return


@contextmanager
def serving(folder: Path) -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def loopback_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_the_packaged_set_is_class_balanced_and_scaled() -> None:
    data = load_dataset(DataSpec(name="mnist-5k"))
    assert data.train_x.shape == (5000, 784)
    assert data.test_x.shape == (1000, 784)
    assert data.image_shape == (1, 28, 28)
    assert set(np.bincount(data.train_y)) == {500}
    assert set(np.bincount(data.test_y)) == {100}
    assert (data.train_x.min(), data.train_x.max()) == (0, 1)


def test_no_packaged_test_image_is_also_a_training_image() -> None:
    data = load_dataset(DataSpec(name="mnist-5k"))
    assert not {x.tobytes() for x in data.train_x} & {x.tobytes() for x in data.test_x}


def test_the_packaged_file_is_small_and_its_licence_lies_beside_it() -> None:
    assert mnist.PACKAGED.stat().st_size < 2_000_000
    licence = mnist.PACKAGED.with_name("LICENSE-MNIST.txt").read_text()
    for said in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "What was changed"):
        assert said in licence


def test_one_changed_pixel_in_the_packaged_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(mnist.PACKAGED, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays["test_x"][7, 3, 3] ^= 1
    np.savez(tmp_path / "mnist5k.npz", allow_pickle=False, **arrays)
    monkeypatch.setattr(mnist, "PACKAGED", tmp_path / "mnist5k.npz")
    with pytest.raises(DataError, match="install the package again"):
        mnist.packaged()


def test_the_packaged_file_holds_plain_arrays_only() -> None:
    with zipfile.ZipFile(mnist.PACKAGED) as archive:
        assert sorted(archive.namelist()) == ["test_x.npy", "test_y.npy", "train_x.npy", "train_y.npy"]


def small_folder(folder: Path, label: int = 9) -> Path:
    """Ten well-formed images that are not MNIST's."""
    for name in FILES:
        if "images" in name:
            content = bytes([0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 1, *range(10)])
        else:
            content = bytes([0, 0, 8, 1, 0, 0, 0, 10, *range(9), label])
        (folder / name).write_bytes(content)
    return folder


def test_well_formed_files_that_are_not_the_official_ones_are_refused_with_both_hashes(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        DataError, match=rf"{FILES[0]}.*sha256 [0-9a-f]{{64}}.*{mnist.OFFICIAL_SHA256[FILES[0]]}"
    ):
        load_dataset(DataSpec(name="mnist", path=small_folder(tmp_path)))


def test_a_folder_that_is_named_is_never_replaced_by_a_download(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{FILES[0]} is missing"):
        load_dataset(DataSpec(name="mnist"), data_dir=tmp_path)


def test_the_environment_names_the_folder_when_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("HIL_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"mnist: {FILES[0]} is missing"):
        load_dataset(DataSpec(name="mnist"))


def test_a_mirror_that_delivers_something_else_fills_no_cache(tmp_path: Path) -> None:
    site, cache = tmp_path / "site", tmp_path / "cache"
    site.mkdir()
    for path in small_folder(site).iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    with serving(site) as url, pytest.raises(DataError, match="not the official file"):
        mnist.download(cache, (url,))
    assert list(cache.iterdir()) == []


def test_a_failed_download_says_what_every_mirror_answered_and_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path) as url, pytest.raises(DataError) as caught:
        mnist.download(tmp_path / "cache", (f"{url}one/", f"{url}two/"))
    message = str(caught.value)
    assert message.count("404") == 2
    assert "/one/" in message
    assert "/two/" in message
    assert "mnist-5k" in message


@pytest.mark.full_mnist
def test_the_second_mirror_serves_when_the_first_does_not(official_files: Path, tmp_path: Path) -> None:
    site, cache = tmp_path / "site", tmp_path / "cache"
    shutil.copytree(official_files, site)
    with serving(site) as url:
        mnist.download(cache, (f"{url}absent/", url))
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{name}.gz" for name in FILES)
    assert mnist.download(cache, ()) == cache  # all there: no mirror is asked
    assert len(mnist.official(cache).train_y) == 60_000


@pytest.mark.full_mnist
def test_a_label_of_eleven_in_mnist_is_named(official_files: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(official_files, tmp_path / "mnist"))
    path = next(folder.glob(f"{FILES[1]}*"))
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[8 + 41] = 11
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=rf"{FILES[1]}.*label 11 at index 41; labels run from 0 to 9"):
        load_dataset(DataSpec(name="mnist"), data_dir=tmp_path)


@pytest.mark.full_mnist
def test_full_mnist_has_its_published_class_counts(official_files: Path) -> None:
    data = load_dataset(DataSpec(name="mnist", path=official_files))
    assert np.bincount(data.train_y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.test_y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # LeCun's files have the mean 0.1307 that every MNIST recipe subtracts.
    assert data.train_x.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)


@pytest.mark.full_mnist
def test_every_packaged_image_is_in_the_official_file_of_its_part(official_files: Path) -> None:
    part, full = (
        load_dataset(DataSpec(name="mnist-5k")),
        load_dataset(DataSpec(name="mnist", path=official_files)),
    )
    for some_x, some_y, all_x, all_y in (
        (part.train_x, part.train_y, full.train_x, full.train_y),
        (part.test_x, part.test_y, full.test_x, full.test_y),
    ):
        known = {(x.tobytes(), int(y)) for x, y in zip(all_x, all_y, strict=True)}
        assert {(x.tobytes(), int(y)) for x, y in zip(some_x, some_y, strict=True)} <= known


def making_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_mnist5k", ROOT / "tools" / "make_mnist5k.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.full_mnist
def test_the_making_script_rebuilds_the_packaged_arrays(official_files: Path, tmp_path: Path) -> None:
    making_script().write(mnist.official(official_files), tmp_path / "again.npz")
    with (
        np.load(tmp_path / "again.npz", allow_pickle=False) as again,
        np.load(mnist.PACKAGED, allow_pickle=False) as ours,
    ):
        assert again.files == ours.files
        for key in ours.files:
            np.testing.assert_array_equal(again[key], ours[key])
