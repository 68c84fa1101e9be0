"""Calibrations: what a routine is, how one is conducted on a bench, and the dated record it leaves.

The routines themselves come by entry point (``hil.calibrations``); `calibration/` holds ours.
"""

from pathlib import Path

FOLDER = Path("calibrations")
"""Where records are kept unless another folder is named."""
