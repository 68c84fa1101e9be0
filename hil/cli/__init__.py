"""The command line: a thin face on what Python offers too.

Nothing heavy is imported before a command runs.
"""

from hil.cli.app import app, main

__all__ = ["app", "main"]
