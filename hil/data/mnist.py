"""MNIST: the part inside the package, and the whole of it from a folder or the official mirrors.

MNIST is by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0 (LICENSE-MNIST.txt).
"""

import hashlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hil.data.idx import FILES, read_bytes, read_folder
from hil.data.own import Split, read_npz
from hil.errors import DataError

if TYPE_CHECKING:
    from hil.data.dataset import Raw

OFFICIAL_SHA256: Final = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of the uncompressed files: a mirror may compress them anew."""

MIRRORS: Final = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

PACKAGED: Final = Path(__file__).with_name("mnist5k.npz")
PACKAGED_SHA256: Final = "41c9b787e384cb159f262e345ccbeccfb3fa3af1064c37844996b72228c1203d"
_DOWNLOAD_TIMEOUT_S: Final = 30.0


def packaged() -> "Raw":
    """Read the images inside the package: of each class the 500 + 100 whose SHA-256 comes first.

    Raises
    ------
    DataError
        The file is damaged or not the one this version was released with.
    """
    raw = read_npz(PACKAGED, Split(None, np.random.default_rng(0)))
    found = raw.sha256()
    if found != PACKAGED_SHA256:
        raise DataError(
            f"{PACKAGED}: its content has sha256 {found}, this version was released with {PACKAGED_SHA256}; "
            "install the package again"
        )
    return replace(
        raw, source="5,000 training and 1,000 test images of the official MNIST sets, class-balanced"
    )


def official(folder: Path | None = None) -> "Raw":
    """Read all of MNIST from ``folder``, else from HIL_DATA/mnist, else from the download cache.

    The files may also lie in a folder mnist inside ``folder``. A folder that is named must hold them all:
    nothing is downloaded in its place.

    Raises
    ------
    DataError
        Files missing, damaged or not the official ones, or no mirror could deliver them.
    """
    place = _local(folder)
    raw = read_folder(place, OFFICIAL_SHA256)
    return replace(raw, source=f"the official MNIST files in {place}, verified by SHA-256")


def _local(folder: Path | None) -> Path:
    if folder is not None:
        return folder / "mnist" if (folder / "mnist").is_dir() else folder
    if (home := os.environ.get("HIL_DATA")) and (Path(home) / "mnist").is_dir():
        return Path(home) / "mnist"
    import platformdirs

    return download(Path(platformdirs.user_cache_dir("synapse-hil")) / "mnist")


def download(cache: Path, mirrors: tuple[str, ...] = MIRRORS) -> Path:
    """Bring the four files into ``cache`` unless they are there; only verified content gets in.

    Raises
    ------
    DataError
        No mirror delivered a file; the message holds what each one answered.
    """
    for name in FILES:
        if (cache / f"{name}.gz").is_file():
            continue
        failures: list[str] = []
        for mirror in mirrors:
            try:
                _fetch(mirror, f"{name}.gz", cache)
                break
            # Refused, reset, timed out, 404, a proxy's login page, a full disk: the next mirror may still do.
            except Exception as error:
                failures.append(f"{mirror}: {error}")
        else:
            raise DataError(
                f"mnist: {name}.gz could not be downloaded into {cache}; {'; '.join(failures)}. "
                "Put the four official files into a folder and name it with path or HIL_DATA, "
                "or use the data set 'mnist-5k'"
            )
    return cache


def _fetch(mirror: str, file_name: str, cache: Path) -> None:
    """Download one file; it gets its name only once verified, so what is in the cache is whole."""
    import pooch

    http = pooch.HTTPDownloader(timeout=_DOWNLOAD_TIMEOUT_S)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        arrived = Path(folder) / file_name
        http(mirror + file_name, str(arrived), None)
        if hashlib.sha256(read_bytes(arrived)).hexdigest() != OFFICIAL_SHA256[file_name.removesuffix(".gz")]:
            raise DataError("delivered something that is not the official file")
        arrived.replace(cache / file_name)
