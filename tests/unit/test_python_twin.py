"""A twin from a notebook: the files of `hil twin`, of a folder or of records; refusals in Python's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hil

BENCH = """\
driver: sim
name: chip
arrays: {main: {rows: 12, cols: 12}}
device: {preset: HZO_FeFET, d2d: {range: 0.05}, faults: {stuck: [[1, 1]]}}
read: {noise: 0.01}
adc: {bits: 14, range: 1 uA}
"""


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[hil.Record]:
    """Records of `devices` and `update-curve`, in the folder calibrations."""
    monkeypatch.chdir(tmp_path)
    Path("bench.yaml").write_text(BENCH)
    settings = ["update-curve.cycles=4", "update-curve.points=32"]
    return hil.measure("bench.yaml", ["devices", "update-curve"], overrides=settings)


def test_a_twin_of_a_folder_is_that_of_the_command_line_and_that_of_its_records(
    called: Any, measured: list[hil.Record]
) -> None:
    called("twin", "calibrations", "-o", "theirs.yaml")
    ours = hil.twin("calibrations", "ours.yaml")
    hil.twin(measured, "third.yaml")
    assert ours.path == Path("ours.yaml")
    for ending in (".npz", ".yaml"):
        theirs, *others = (
            Path(name).with_suffix(ending).read_bytes() for name in ("theirs", "ours", "third")
        )
        assert [each.replace(b"ours", b"theirs").replace(b"third", b"theirs") for each in others] == [
            theirs
        ] * 2
    assert ours.goodness["misfit"].value < 0.05
    assert "goodness of fit\nmisfit " in str(ours)
    assert repr(ours).endswith("; ours.yaml>")
    assert "<td>misfit</td>" in ours._repr_html_()
    assert ours.draw()._repr_png_().startswith(b"\x89PNG")
    with hil.open_bench(ours.path) as bench:
        assert bench.arrays["main"].shape == (12, 12)


def test_what_cannot_be_a_twin_is_refused_and_nothing_is_written(measured: list[hil.Record]) -> None:
    damaged = Path("calibrations") / "0-damaged.npz"
    damaged.write_bytes(b"none")
    for given, error, said in (
        ({"records": []}, hil.ConfigError, '^records: asked for .*needed: records="calibrations"'),
        ({"records": 3}, hil.ConfigError, "^records: asked for 3"),
        ({"records": "nowhere"}, hil.StoreError, "nowhere: cannot be read"),
        ({"records": measured[0]}, hil.StoreError, "needs a complete record of update-curve"),
        ({"model": "linear"}, hil.ConfigError, "^model: asked for 'linear'; one of auto, exponential, table"),
        ({"output": "twin.txt"}, hil.ConfigError, r"^twin\.txt: asked for '\.txt'; \.yaml is needed"),
        ({"output": "bench.yaml"}, hil.ConfigError, "^bench.yaml: already there; force=True writes over"),
    ):
        with pytest.raises(error, match=said):
            hil.twin(**{"records": "calibrations", **given})
    assert not list(Path().glob("twin.*"))
    assert any(each.startswith(f"passed over: {damaged}") for each in hil.twin("calibrations").findings)
