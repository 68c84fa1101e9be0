"""What virtual instruments know of SCPI: headers in short and long form, compound messages, standard errors.

Written from SCPI-99 (volume 1: 6.2 headers, 7 parameters, 21.8 errors) and IEEE 488.2 (message exchange).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from drivers.sim.virtual.errorqueue import Entry, ErrorQueue, Troubles

UNDEFINED_HEADER = Entry(-113, "Undefined header")
MISSING_PARAMETER = Entry(-109, "Missing parameter")
TOO_MANY = Entry(-108, "Parameter not allowed")
DATA_TYPE = Entry(-104, "Data type error")
OUT_OF_RANGE = Entry(-222, "Data out of range")
ILLEGAL_VALUE = Entry(-224, "Illegal parameter value")
CONFLICT = Entry(-221, "Settings conflict")


class RejectedError(Exception):
    """An entry for the error queue; the rest of the message is dropped if its class is -100 to -199."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.message)
        self.entry = entry


class Call(NamedTuple):
    """One command of a message: numbers of its header (1 where left out), parameters, if it is a question."""

    suffixes: tuple[int, ...]
    parameters: tuple[str, ...]
    query: bool

    def number(self, index: int = 0, **words: float) -> float:
        """A parameter as a number, or as one of the words that stand for one (``MIN``, ``MAX``)."""
        text = self.word(index)
        if text in words:
            return words[text]
        match = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?)\s*(?:[A-Z%]+)?", text)
        if match is None:
            raise RejectedError(DATA_TYPE)
        return float(match[1])

    def boolean(self, index: int = 0) -> bool:
        """ON, OFF, or a number."""
        text = self.word(index)
        return {"ON": True, "OFF": False}[text] if text in ("ON", "OFF") else bool(self.number(index))

    def word(self, index: int = 0) -> str:
        """A parameter in capitals."""
        if index >= len(self.parameters):
            raise RejectedError(MISSING_PARAMETER)
        return self.parameters[index].upper()

    def choice(self, *words: str, index: int = 0) -> str:
        """One of the words, each written as in manuals ("SQUare"); its short form."""
        given = self.word(index)
        for word in words:
            if given in (word.upper(), _short(word)):
                return _short(word)
        raise RejectedError(ILLEGAL_VALUE)


Handler: TypeAlias = Callable[[Call], str | None]


class ScpiParser:
    """Finds the handler of every command of a message.

    Parameters
    ----------
    handlers
        By header as manuals write it: ":SOURce[1|2]:VOLTage[:LEVel]", with ``?`` at the end for what is only
        a question and ``!`` for what is only a command; others may be both. "[1|2]" is a suffix that may be
        left out, "[:LEVel]" a node that may. A handler returns the answer to a question, None to a command.
    errors
        Where errors go.
    """

    def __init__(self, handlers: Mapping[str, Handler], errors: ErrorQueue) -> None:
        self._known = [(*_compiled(header), handler) for header, handler in handlers.items()]
        self._errors = errors

    def hear(self, line: bytes, troubles: Troubles, broken: Entry = UNDEFINED_HEADER) -> bytes:
        """One message as it comes over the line, with what goes wrong by it; its answers."""
        text = line.decode("latin-1").strip()
        for entry in troubles.injected(text):
            self._errors.add(entry)
        if troubles.breaks(text):
            self._errors.add(broken)
            return b""
        answer = self.receive(text)
        return f"{answer}\n".encode("latin-1") if answer else b""

    def receive(self, message: str) -> str:
        """Do a message; its answers joined by ";", "" if nothing is answered."""
        answers: list[str] = []
        path = ""
        for unit in _units(message):
            header, _, rest = unit.partition(" ")
            if header.startswith("*"):
                full = header
            else:
                full = header if header.startswith(":") else f"{path}:{header}"
                path = full.rpartition(":")[0]
            try:
                answer = self._do(full.upper(), rest.strip())
            except RejectedError as fault:
                self._errors.add(fault.entry)
                if -200 < fault.entry.code <= -100:
                    break  # a command error: what follows in the message is not looked at
                continue
            if answer is not None:
                answers.append(answer)
        return ";".join(answers)

    def _do(self, header: str, rest: str) -> str | None:
        query = header.endswith("?")
        for pattern, kind, handler in self._known:
            match = pattern.fullmatch(header.removesuffix("?"))
            if match is not None and kind != ("!" if query else "?"):
                parameters = tuple(part.strip() for part in _split(rest, ",")) if rest else ()
                suffixes = tuple(int(each) if each else 1 for each in match.groups())
                return handler(Call(suffixes, parameters, query))
        raise RejectedError(UNDEFINED_HEADER)


def _units(message: str) -> list[str]:
    return [unit.strip() for unit in _split(message, ";") if unit.strip()]


def _split(text: str, separator: str) -> list[str]:
    """Outside of quotes and of channel lists (@1,2)."""
    parts, quote, depth = [""], "", 0
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character == "(") - (character == ")")
        if character == separator and not quote and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _short(word: str) -> str:
    return "".join(character for character in word if not character.islower())


def _compiled(header: str) -> tuple[re.Pattern[str], str]:
    kind = header[-1] if header[-1] in "?!" else ""
    text = header.removesuffix(kind) if kind else header

    def node(match: re.Match[str]) -> str:
        word = match[0]
        short = _short(word)
        return short if short == word.upper() else f"(?:{word.upper()}|{short})"

    suffix = re.compile(r"\[((?:\d+\|)*\d+)\]")
    pattern = ""
    for part in re.split(r"(\[(?:\d+\|)*\d+\])", text):
        found = suffix.fullmatch(part)
        if found:
            pattern += f"({found[1]})?"
        else:
            escaped = part.replace("*", r"\*").replace("[", "(?:").replace("]", ")?")
            pattern += re.sub(r"[A-Za-z_][A-Za-z_]*", node, escaped)
    # the first colon is always there: relative headers were made absolute
    return re.compile(pattern), kind
