"""Ctrl-C inside compiled code: the KeyboardInterrupt that comes out wrapped is a KeyboardInterrupt again."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def unwrapped_interrupts() -> Generator[None]:
    """Raise the KeyboardInterrupt behind a SystemError or an ImportError in its place.

    Raised by a signal handler while a compiled function returns or an extension module starts, it arrives as
    the cause of "returned a result with an exception set" or "initialization failed".
    """
    try:
        yield
    except (SystemError, ImportError) as error:
        behind: BaseException | None = error
        while behind is not None and not isinstance(behind, KeyboardInterrupt):
            behind = behind.__cause__ or behind.__context__
        if behind is None:
            raise
        interrupt = KeyboardInterrupt(*behind.args)
        for note in getattr(error, "__notes__", ()):
            interrupt.add_note(note)
        raise interrupt from error
