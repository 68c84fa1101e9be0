"""Options that commands of several files share."""

from __future__ import annotations

from typing import Annotated

import typer

FLAG = ""  # typer would show a flag as taking a <bool>
Json = Annotated[
    bool, typer.Option("--json", metavar=FLAG, help="One JSON document on stdout, nothing else.")
]
