"""What virtual instruments that speak TSP have in common: messages, globals, print, error queue, localnode,
and TSP-Link, by which one of them commands the others.

Written from the reference manuals 2600BS-901-01, 707B-901-01 and 3700AS-901-01 (TSP command reference).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry, ErrorQueue, Troubles
from drivers.sim.virtual.tsp import run
from drivers.sim.virtual.tsp_values import Function, TspError, Value, printed

_OWN = 1
"""Its own number on a TSP-Link."""


class TspSettings(Troubles):
    """What all of them can be told."""

    serial: str = Field(default="4000001", pattern=r"^[0-9A-Za-z]{1,20}$", description="serial number")
    firmware: str = Field(default="01.50a", description="firmware revision")
    prompts: bool = Field(default=False, description="whether localnode.prompts was left on")


class TspNode:
    """An instrument with nothing to measure or switch; what has something extends get, set and call."""

    def __init__(self, settings: TspSettings, model: str) -> None:
        self.errors = ErrorQueue()
        self.seconds = 0.0
        self.settings = settings
        self._model = model
        self._globals: dict[str, Value] = {}
        self._precision = 6
        self._linked: dict[int, TspNode] = {_OWN: self}
        self._online = False
        self._printed: list[str] = []
        self._known: Mapping[str, Callable[[], Value]] = {
            "errorqueue.count": lambda: float(len(self.errors)),
            "format.asciiprecision": lambda: float(self._precision),
            "localnode.model": lambda: self._model,
            "localnode.serialno": lambda: self.settings.serial,
            "localnode.revision": lambda: self.settings.firmware,
            "localnode.prompts": lambda: float(self.settings.prompts),
            "localnode.showerrors": lambda: 0.0,
            "tsplink.state": lambda: "online" if self._online else "offline",
            "tsplink.node": lambda: float(_OWN),
        }
        self._called: Mapping[str, Callable[[Sequence[Value]], tuple[Value, ...]]] = {
            "print": self._print,
            "delay": lambda given: (self.wait(numeric(given[0] if given else None)), ())[1],
            "reset": lambda _: (self.reset(), ())[1],
            "waitcomplete": lambda _: (),
            "errorqueue.next": lambda _: self._next_error(),
            "errorqueue.clear": lambda _: (self.errors.clear(), ())[1],
            "string.len": lambda given: (float(len(_text(given, 0))),),
            "string.find": _found,
            "tsplink.reset": lambda _: self._initialize(),
        }

    def link(self, number: int, other: TspNode) -> None:
        """Join them by a cable; the other has that number. It is known once the link is initialised."""
        self._linked[number] = other

    def unlink(self, number: int) -> None:
        """The other is switched off, or its cable pulled out."""
        self._linked.pop(number)

    def receive(self, line: bytes) -> bytes:
        """One message; what it prints."""
        text = line.decode("latin-1").strip()
        self._printed = []
        for node in self._linked.values():
            for entry in node.settings.injected(text):
                node.errors.add(entry)
        if text == "*IDN?":
            self._printed.append(self.identity())
        elif text == "*OPC?":
            self._printed.append("1")
        elif text == "*RST":
            self.reset()
        elif text == "*CLS":
            self.errors.clear()
        elif self.settings.breaks(text):
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
        if head.startswith("node["):
            node = self._reached(head)
            if not rest:
                return None if node is None else head
            if node is None:
                raise nil(head)
            return node.get(f"localnode.{rest}" if rest in ("model", "serialno", "revision") else rest)
        if not rest:
            return self._globals.get(path)
        if head not in ("errorqueue", "format", "localnode", "tsplink"):
            raise nil(head)
        known = self._known.get(path)
        return None if known is None else known()

    def set(self, path: str, value: Value) -> None:
        """Assign to a name."""
        if path.startswith("node["):
            head, _, rest = path.partition(".")
            node = self._reached(head)
            if node is None:
                raise nil(head)
            node.set(rest, value)
        elif path == "format.asciiprecision":
            self._precision = int(min(16.0, max(1.0, numeric(value))))
        elif "." in path:
            raise nil(path.partition(".")[0])
        else:
            self._globals[path] = value

    def call(self, path: str, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Call a function."""
        if path.startswith("node["):
            head, _, rest = path.partition(".")
            node = self._reached(head)
            if node is None:
                raise nil(head)
            return node.call(rest, arguments)
        function = self._called.get(path)
        own = self._globals.get(path)
        if isinstance(own, Function):
            return own.call(self, arguments)
        if function is None:
            raise TspError(-286, f"TSP Runtime error at line 1: attempt to call field `{path}' (a nil value)")
        return function(arguments)

    def _reached(self, head: str) -> TspNode | None:
        """The node that ``node[2]`` is, if the link is initialised and has it."""
        number = int(head.removeprefix("node[").removesuffix("]"))
        return self._linked.get(number) if self._online or number == _OWN else None

    def _initialize(self) -> tuple[Value, ...]:
        self._online = len(self._linked) > 1
        if not self._online:
            self.errors.add(Entry(1205, "TSP-Link initialization failed (no remote nodes found)"))
        return (float(len(self._linked)),)

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


def _text(given: Sequence[Value], place: int) -> str:
    """A string, or the run-time error that another type is."""
    value = given[place] if place < len(given) else None
    if not isinstance(value, str):
        raise TspError(-286, "TSP Runtime error at line 1: string expected")
    return value


def _found(given: Sequence[Value]) -> tuple[Value, ...]:
    """Where a plain text begins in another, from 1."""
    at = _text(given, 0).find(_text(given, 1))
    return (None if at < 0 else float(at + 1),)
