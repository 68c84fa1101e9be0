"""``python -m hil`` is the same as ``hil``."""

from hil.cli import main

main()
