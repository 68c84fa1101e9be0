"""Reports: one self-contained page for a run, read from the run store alone."""

from hil.report.page import write_report

__all__ = ["write_report"]
