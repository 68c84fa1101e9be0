"""Ctrl-C behind the last schedule of a calibration: the analysis gives way, its record is written whole."""

import signal
import sys
from pathlib import Path

import pytest

from calibration.devices import Devices
from hil.calibrate.conduct import WHOLE
from hil.calibrate.file import read_record, record_paths, write_record

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

BENCH = """\
driver: sim
name: bench
device: {preset: HZO_FeFET, faults: {stuck: [[1, 1]], open: [[2, 3]]}}
"""


@pytest.fixture
def cli(called):
    Path("bench.yaml").write_text(BENCH)
    return called


def test_one_ctrl_c_ends_the_analysis_which_can_be_done_again(cli, monkeypatch):
    analyse = Devices.analyse

    def interrupted(routine, steps, target):
        signal.raise_signal(signal.SIGINT)
        return analyse(routine, steps, target)

    words = ("calibrate", "bench.yaml", "--routine", "devices", "--size", "6x8")
    with monkeypatch.context() as patched:
        patched.setattr(Devices, "analyse", interrupted)
        shown = cli(*words, code=130).stdout
    (path,) = record_paths(Path("calibrations"))
    assert f"recorded up to here: {path}" in shown
    assert read_record(path).partial == f"KeyboardInterrupt: SIGINT; {WHOLE}"
    assert "46 of 48 devices work" in cli("calibration", "analyse").stdout


def test_a_record_that_is_written_is_written_to_its_end_however_often_ctrl_c_is_pressed(cli, monkeypatch):
    def pressed(*given):
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        return write_record(*given)

    monkeypatch.setattr("hil.calibrate.conduct.write_record", pressed)
    words = ("calibrate", "bench.yaml", "--size", "4x4", "--routine", "devices", "--routine", "offset")
    cli(*words, code=130)
    (path,) = record_paths(Path("calibrations"))
    assert read_record(path).partial is None
