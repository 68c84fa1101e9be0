"""`hil virtual`: serve the instruments that a bench file names, without hardware, in a process of their own.

A driver offers this by an entry point of its name in the group ``hil.virtual``; see :class:`Virtual`.
"""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import typer

from hil import setup
from hil.config.bench import BenchSettings
from hil.config.validate import did_you_mean, override
from hil.config.yaml import load_yaml
from hil.errors import ConfigError, StoreError


class Virtual(Protocol):
    """What an entry point of ``hil.virtual`` names."""

    async def serve(self, settings: Any, ready: Callable[[Mapping[str, str]], None]) -> None:
        """Serve the instruments of a bench until cancelled.

        ``ready`` is told once where they are: keys of the bench file and what to put there
        ("controller.resource", "TCPIP::127.0.0.1::5025::SOCKET").
        """
        ...


def serve_virtual(path: Path, write_bench: Path | None = None, overrides: tuple[str, ...] = ()) -> None:
    """Serve until SIGINT or SIGTERM; print where, and write a bench file that finds it there.

    Raises
    ------
    ConfigError
        The file is wrong, its driver has no virtual instruments, or they cannot listen where it says.
    """
    settings, _ = setup.load_bench(path, overrides)
    virtual = _virtual(settings)

    def ready(resources: Mapping[str, str]) -> None:
        if write_bench is not None:
            _write(write_bench, path, overrides, resources)
        for key, resource in resources.items():
            typer.echo(f"{key}  {resource}")
        typer.echo("ready; Ctrl-C ends it")

    typer.echo("starting; the first time this compiles for a minute ...", err=True)
    try:
        asyncio.run(_until_signalled(virtual, settings, ready))
    except OSError as error:
        told = f"{settings.where('virtual')}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            told += "; does another hil virtual serve this bench? end it, or give other ports"
        raise ConfigError(told) from error


async def _until_signalled(
    virtual: Virtual, settings: BenchSettings, ready: Callable[[Mapping[str, str]], None]
) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.ensure_future(virtual.serve(settings, ready))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _virtual(settings: BenchSettings) -> Virtual:
    points = {point.name: point for point in entry_points(group="hil.virtual")}
    if settings.driver not in points:
        raise ConfigError(
            f"{settings.where('driver')}: no virtual instruments for {settings.driver!r}; "
            f"{did_you_mean(settings.driver, points)}"
        )
    return points[settings.driver].load()


def _write(target: Path, path: Path, overrides: tuple[str, ...], resources: Mapping[str, str]) -> None:
    """Write the same bench file with its resources filled in, whole or not at all."""
    import yaml

    filled = [f'{key}="{resource}"' for key, resource in resources.items()]
    document = override(load_yaml(path), (*overrides, *filled))
    text = f"# {path.name} with the resources of its virtual instruments (hil virtual).\n"
    text += yaml.safe_dump(document.data, sort_keys=False, allow_unicode=True)
    partial = target.with_name(f".{target.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from error
