"""What virtual instruments that speak TSP have in common: messages, globals, print, error queue, localnode.

Written from the reference manuals 2600BS-901-01, 707B-901-01 and 3700AS-901-01 (TSP command reference).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry, ErrorQueue, InjectedError
from drivers.sim.virtual.tsp import TspError, Value, printed, run
from hil.config.validate import Config


class TspSettings(Config):
    """What all of them can be told."""

    serial: str = Field(default="4000001", pattern=r"^[0-9A-Za-z]{1,20}$", description="serial number")
    firmware: str = Field(default="01.50a", description="firmware revision")
    prompts: bool = Field(default=False, description="whether localnode.prompts was left on")
    broken: str = Field(default="", description="lines that contain this are taken for syntax errors")
    errors: list[InjectedError] = Field(default=[], description="errors that come by themselves")


class TspNode:
    """An instrument with nothing to measure or switch; what has something extends get, set and call."""

    def __init__(self, settings: TspSettings, model: str) -> None:
        self.errors = ErrorQueue()
        self.seconds = 0.0
        self.settings = settings
        self._model = model
        self._globals: dict[str, Value] = {}
        self._precision = 6
        self._printed: list[str] = []
        self._known: Mapping[str, Callable[[], Value]] = {
            "errorqueue.count": lambda: float(len(self.errors)),
            "format.asciiprecision": lambda: float(self._precision),
            "localnode.model": lambda: self._model,
            "localnode.serialno": lambda: self.settings.serial,
            "localnode.revision": lambda: self.settings.firmware,
            "localnode.prompts": lambda: float(self.settings.prompts),
            "localnode.showerrors": lambda: 0.0,
        }
        self._called: Mapping[str, Callable[[Sequence[Value]], tuple[Value, ...]]] = {
            "print": self._print,
            "delay": lambda given: (self.wait(numeric(given[0] if given else None)), ())[1],
            "reset": lambda _: (self.reset(), ())[1],
            "waitcomplete": lambda _: (),
            "errorqueue.next": lambda _: self._next_error(),
            "errorqueue.clear": lambda _: (self.errors.clear(), ())[1],
        }

    def receive(self, line: bytes) -> bytes:
        """One message; what it prints."""
        text = line.decode("latin-1").strip()
        self._printed = []
        for injected in self.settings.errors:
            if injected.on in text:
                for _ in range(injected.times):
                    self.errors.add(Entry(injected.code, injected.message))
        if text == "*IDN?":
            self._printed.append(self.identity())
        elif text == "*OPC?":
            self._printed.append("1")
        elif text == "*RST":
            self.reset()
        elif text == "*CLS":
            self.errors.clear()
        elif self.settings.broken and self.settings.broken in text:
            self.errors.add(Entry(-285, "TSP Syntax error at line 1: unexpected symbol near `<eof>'"))
        elif text not in ("", "abort"):
            try:
                run(text, self)
            except TspError as error:
                self.errors.add(Entry(error.code, str(error)))
        prompt = ["TSP>"] if self.settings.prompts else []
        return "".join(f"{each}\n" for each in (*self._printed, *prompt)).encode("latin-1")

    def identity(self) -> str:
        """The answer to ``*IDN?``."""
        return (
            f"KEITHLEY INSTRUMENTS INC.,MODEL {self._model},{self.settings.serial},{self.settings.firmware}"
        )

    def reset(self) -> None:
        """Factory defaults."""

    def wait(self, seconds: float) -> None:
        """Time passes; nobody waits for it."""
        self.seconds += seconds

    def get(self, path: str) -> Value:
        """Value of a name."""
        head, _, rest = path.partition(".")
        if not rest:
            return self._globals.get(path)
        if head not in ("errorqueue", "format", "localnode"):
            raise nil(head)
        known = self._known.get(path)
        return None if known is None else known()

    def set(self, path: str, value: Value) -> None:
        """Assign to a name."""
        if path == "format.asciiprecision":
            self._precision = int(min(16.0, max(1.0, numeric(value))))
        elif "." in path:
            raise nil(path.partition(".")[0])
        else:
            self._globals[path] = value

    def call(self, path: str, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Call a function."""
        function = self._called.get(path)
        if function is None:
            raise TspError(-286, f"TSP Runtime error at line 1: attempt to call field `{path}' (a nil value)")
        return function(arguments)

    def _print(self, values: Sequence[Value]) -> tuple[Value, ...]:
        self._printed.append("\t".join(printed(value, self._precision) for value in values))
        return ()

    def _next_error(self) -> tuple[Value, ...]:
        entry = self.errors.next()
        if entry is None:
            return 0.0, "Queue Is Empty", 0.0, 1.0
        return float(entry.code), entry.message, float(entry.severity), 1.0


def numeric(value: Value) -> float:
    """A number, or the run-time error that another type is."""
    if isinstance(value, bool) or not isinstance(value, float):
        raise TspError(-286, "TSP Runtime error at line 1: number expected")
    return value


def nil(name: str) -> TspError:
    """The run-time error of indexing what is not there."""
    return TspError(-286, f"TSP Runtime error at line 1: attempt to index global `{name}' (a nil value)")
