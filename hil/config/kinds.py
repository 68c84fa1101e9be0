"""By which keys a file is known where another kind of file is needed."""

from __future__ import annotations

OF_EXPERIMENTS = frozenset({"network", "gradient", "update", "training", "data"})
"""Keys that experiments alone have."""
