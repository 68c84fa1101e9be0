"""The experiment and the bench that ``hil train`` uses when it is given none."""

from pathlib import Path

EXPERIMENT = Path(__file__).with_name("experiment.yaml")
BENCH = Path(__file__).with_name("bench.yaml")
