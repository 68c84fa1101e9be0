"""Check a document against a pydantic model and say every problem at once, by file, line and key.

Pydantic's own report names Python types and union branches; a bench's owner needs the line and what to write.
"""

import copy
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, PrivateAttr, ValidationError
from pydantic_core import CoreSchema, ErrorDetails

from hil.config.said import words_of
from hil.config.yaml import Document, KeyPath, describe, dotted, load_value
from hil.errors import ConfigError

ModelT = TypeVar("ModelT", bound=BaseModel)


class MisfitError(ValueError):
    """For a model's own validators: values that do not fit, reported at ``keys`` below the model."""

    def __init__(self, problem: str, *keys: str | int) -> None:
        super().__init__(problem)
        self.keys = keys


class MisfitsError(ValueError):
    """Several of them, told at once."""

    def __init__(self, misfits: Sequence[MisfitError]) -> None:
        super().__init__("\n".join(map(str, misfits)))
        self.misfits = misfits


@dataclass(frozen=True)
class _Source:
    """The file a model was read from; never compared: the same settings from two files are equal."""

    document: Document | None = field(default=None, compare=False)


class Config(BaseModel):
    """Base of everything read from a file: frozen, no unknown key, no NaN, no silent conversion.

    Strict: 3 is a float, but 3.0, "3" and true are no integers. From a file a list makes a tuple, and text a
    Path or an Enum; from Python the exact types are needed. Defaults are SI values and are not validated: by
    a file's rules they would be refused for want of a unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    also_called: ClassVar[Mapping[str, str]] = {}
    """What other programs call a key: the word to the key's path, suggested where the word is unknown."""

    _source: _Source = PrivateAttr(default_factory=_Source)

    def where(self, *keys: str | int) -> str:
        """Begin a message about a key: "bench.yaml:12: limits.read"; the key alone if built in Python."""
        document = self._source.document
        if document is None:
            return dotted(keys)
        full = document.path + keys
        return ": ".join(part for part in (document.where(full), dotted(full)) if part)

    def beside(self, path: str) -> Path:
        """A relative path, counted from the folder of the file that this was read from, if it was."""
        document = self._source.document
        return Path(path) if document is None else Path(document.name).parent / path

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Show defaults as a file writes them: "100 ns", not 1e-07."""
        schema = handler(core_schema)
        written = cls.model_construct().model_dump(mode="json", by_alias=True)
        for name, about in handler.resolve_ref_schema(schema)["properties"].items():
            if "default" in about:
                about["default"] = written[name]
        return schema


def validate(
    model: type[ModelT], document: Document, overrides: Sequence[str] = (), problems: Sequence[str] = ()
) -> ModelT:
    """Build ``model`` from a document, with ``key.path=value`` overrides put in first.

    Raises ConfigError with one line for each problem, e.g.
    "bench.yaml:12: arrays.main.rows: asked for -3; must be greater than 0"; the ``problems`` that are known
    before are told with them.
    """
    document, wrong = overridden(document, overrides)
    wrong = [*problems, *wrong]
    try:
        # JSON is pydantic's mode for data from outside: strict about numbers, while lists still make tuples;
        # and by it a quantity knows that a bare number came from a file.
        built = model.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        raise ConfigError("\n".join([*wrong, *_report(model, document, error)])) from error
    if wrong:
        raise ConfigError("\n".join(wrong))
    if isinstance(built, Config):
        built._source = _Source(document)  # pyright: ignore[reportPrivateUsage]
    return built


def override(document: Document, overrides: Sequence[str], option: str = "--set") -> Document:
    """Put ``key.path=value`` into a copy of the document; list items go by number: ``layers.0.size=10``.

    Raises ConfigError if any is malformed or leads through something that is neither mapping nor list. An
    unknown key is left for `validate` to name. Messages call an override by the ``option`` that gave it.
    """
    document, wrong = overridden(document, overrides, option)
    if wrong:
        raise ConfigError("\n".join(wrong))
    return document


def overridden(
    document: Document, overrides: Sequence[str], option: str = "--set"
) -> tuple[Document, list[str]]:
    """As `override`, leaving out what cannot be put in: the document, and what is wrong with the rest."""
    if not overrides:
        return document, []
    wrong: list[str] = []
    data, origins = copy.deepcopy(document.data), dict(document.origins)
    for asked in overrides:
        origin = words_of(asked, option)
        try:
            path = document.path + _put_text(data, asked, origin)
        except ConfigError as error:
            wrong.append(str(error))
            continue
        # What stood below is gone, and so are its positions: the nearest place left is this override.
        origins = {old: text for old, text in origins.items() if old[: len(path)] != path}
        origins[path] = origin
    keep = [path for path in document.values if not any(path[: len(new)] == new for new in origins)]
    changed = Document(
        document.name,
        data,
        {path: document.keys[path] for path in keep if path in document.keys},
        {path: document.values[path] for path in keep},
        origins,
        document.path,
    )
    return changed, wrong


def did_you_mean(word: str, allowed: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """Complete a message about an unknown name: "did you mean 'epochs'? allowed: batch, epochs".

    ``elsewhere`` gives the key path that is meant by a word of other programs.
    """
    names = sorted(allowed)
    same = [name for name in names if name.casefold() == word.casefold()]
    known = (elsewhere or {}).get(word.casefold().replace("-", "_"), "")
    here = known.rpartition(".")[2]
    meant = [here if here in names else known] if known else []
    near = same or meant or difflib.get_close_matches(word, names, n=1) or _abbreviated(word, names)
    every = f"allowed: {', '.join(names) or 'none'}"
    return f"did you mean {' or '.join(map(repr, near[:3]))}? {every}" if near else every


def _abbreviated(word: str, names: Sequence[str]) -> list[str]:
    """Names that two or three letters may stand for: "bp" for progressive-bp, a part of it, and backprop."""
    if re.fullmatch("[A-Za-z]{2,3}", word) is None:
        return []
    letters = re.compile(".*".join(word.casefold()))
    return [name for name in names if word.casefold() in re.split("[-_]", name) or letters.match(name)]


def _put_text(data: Any, asked: str, origin: str) -> KeyPath:
    target, equals, text = asked.partition("=")
    keys = target.strip().split(".")
    if not equals or not all(keys) or not text.strip():
        raise ConfigError(f"{origin}: not of the form key.path=value; write e.g. name=test")
    return _put(data, keys, load_value(text, origin).data, origin)


def _put(data: Any, keys: Sequence[str], value: Any, origin: str) -> KeyPath:
    """Put the value in, and say which path is new by it: that of the value, or of a section made for it."""
    path: list[str | int] = []
    new: KeyPath = ()
    for depth, key in enumerate(keys, start=1):
        step: str | int = key
        is_list, is_mapping = isinstance(data, list), isinstance(data, dict)
        here = dotted(tuple(path))
        if is_list and not (key.isascii() and key.isdigit() and int(key) < len(data)):
            raise ConfigError(
                f"{origin}: {here} has {len(data)} items, counted from 0; {key!r} is none of them"
            )
        if is_list:
            step = int(key)
        elif not is_mapping:
            raise ConfigError(
                f"{origin}: {here} is {describe(data)}, not a mapping; set {here} itself"
                + _whole(here, data, keys[depth - 1 :], value)
            )
        path.append(step)
        if not new and (depth == len(keys) or (is_mapping and step not in data)):
            new = tuple(path)
        if depth == len(keys):
            data[step] = value
        else:
            data = data[step] if is_list else data.setdefault(step, {})
    return new


def _whole(here: str, short: Any, keys: Sequence[str], value: Any) -> str:
    """How a key is set that has a short form, the name of something with settings of its own."""
    known = _SHORT_FORMS.get(here.rpartition(".")[2])
    if not isinstance(short, str) or known is None or len(keys) > 1:
        return ""
    return f": '{here}={{{known}: {short}, {keys[0]}: {json.dumps(value)}}}'"


def _report(model: type[BaseModel], document: Document, error: ValidationError) -> list[str]:
    problems: dict[KeyPath, list[_Problem]] = {}
    branches: set[KeyPath] = set()
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and len(detail["input"]) >= detail.get("ctx", {})["min_length"]:
            continue  # items that are refused by themselves are not counted
        place = _find(detail, model, document.data)
        if place.is_branch:
            branches.add(place.path)
        for problem in _explained(detail, place, model):
            found = problems.setdefault(problem.path, [])
            if problem not in found:
                found.append(problem)
    lines: list[str] = []
    for path, found in problems.items():
        # The other branches of a union complain about the whole where one already names the part at fault.
        if path in branches and any(other != path and other[: len(path)] == path for other in problems):
            continue
        rule = ", or ".join(problem.rule for problem in found)
        asked = f"asked for {describe(found[0].value)}; " if found[0].names_value else ""
        full = document.path + path
        lines.append(": ".join(part for part in (document.where(full), dotted(full), asked + rule) if part))
    return lines


class _Place(NamedTuple):
    path: KeyPath  # in the data, without the branch names pydantic puts between
    value: Any
    models: list[type[BaseModel]]  # those that may stand there
    is_branch: bool  # the complaint is of one branch of a union about the whole value


class _Problem(NamedTuple):
    path: KeyPath
    value: Any
    rule: str
    names_value: bool = True


def _find(detail: ErrorDetails, model: type[BaseModel], data: Any) -> _Place:
    path: list[str | int] = []
    models = [model]
    parents = models
    is_branch = False
    for depth, step in enumerate(detail["loc"], start=1):
        is_key = isinstance(data, dict) and step in data
        is_missing = detail["type"] == "missing" and depth == len(detail["loc"])
        if is_key or is_missing or (isinstance(data, list) and isinstance(step, int)):
            path.append(step)
            data = None if is_missing else cast(Any, data)[step]
            parents = models
            fields = [parent.model_fields[step] for parent in models if step in parent.model_fields]
            models = [found for field in fields for found in _models_in(field.annotation)] or models
            is_branch = False
        else:
            models = [known for known in models if step == known.__name__ or step in _tags(known)] or models
            is_branch = True
            data = path[-1] if step == "[key]" else cast(Any, data)
    return _Place(tuple(path), data, parents if detail["type"] == "extra_forbidden" else models, is_branch)


def _explained(detail: ErrorDetails, place: _Place, root: type[BaseModel]) -> list[_Problem]:
    error = detail.get("ctx", {}).get("error")
    misfits = error.misfits if isinstance(error, MisfitsError) else [error]
    told = [
        _Problem((*place.path, *misfit.keys), place.value, str(misfit), names_value=False)
        for misfit in misfits
        if isinstance(misfit, MisfitError)
    ]
    return told or [_explain(detail, place, root)]


def _explain(detail: ErrorDetails, place: _Place, root: type[BaseModel]) -> _Problem:
    """Say in the file's words what pydantic says in Python's."""
    kind, context = detail["type"], detail.get("ctx", {})
    path, value = place.path, place.value
    if kind == "missing":
        return _Problem(path, value, "missing; add this key", names_value=False)
    if kind == "extra_forbidden":
        names = {name for model in place.models for name in model.model_fields}
        word = str(path[-1])
        also_called: Mapping[str, str] = root.also_called if issubclass(root, Config) else {}
        rule = f"unknown key {word!r}; {did_you_mean(word, names, {**_elsewhere(root, path), **also_called})}"
        return _Problem(path, value, rule, names_value=False)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        key = str(context["discriminator"]).strip("'")
        tags = {str(tag) for model in place.models for tag in _tags(model, key)}
        if kind == "union_tag_not_found":
            return _Problem((*path, key), None, f"missing; {did_you_mean('', tags)}", names_value=False)
        return _Problem((*path, key), context["tag"], did_you_mean(str(context["tag"]), tags))
    if kind in ("float_type", "float_parsing") and _DECIMAL_COMMA.fullmatch(str(value)):
        return _Problem(path, value, f"a decimal point is needed: {value.replace(',', '.')}")
    if kind == "string_pattern_mismatch" and (simple := _SIMPLE_PATTERN.fullmatch(context["pattern"])):
        *first, last = re.findall(".-.|.", simple["characters"])
        rule = f"must be {simple['least']} to {simple['most']} of {', '.join(first)} and {last}"
        return _Problem(path, value, rule)
    needed = [
        name for model in place.models for name, field in model.model_fields.items() if field.is_required()
    ]
    if kind == "model_type" and isinstance(value, str) and needed and len(place.models) == 1:
        return _Problem(path, value, f"must be a mapping: {{{', '.join(f'{name}: ...' for name in needed)}}}")
    if kind in _RULES:
        return _Problem(path, value, _RULES[kind].format(**context))
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
    if kind in {"literal_error", "enum"} and isinstance(value, str):
        near = difflib.get_close_matches(value, re.findall(r"'([^']*)'", context["expected"]), n=1)
        message += f"; did you mean {near[0]!r}?" if near else ""
    return _Problem(path, value, message, names_value=message.startswith("must "))


_SHORT_FORMS = {"gradient": "name", "update": "name", "device": "preset", "calibrations": "folder"}
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?")
_SIMPLE_PATTERN = re.compile(r"\^\[(?P<characters>[^\]]+)\]\{(?P<least>\d+),(?P<most>\d+)\}\$")
_RULES = {
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float"), "must be a whole number (no quotes, no point)"
    ),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number (no quotes)"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type", "dataclass_type"), "must be a mapping"
    ),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "must be a list"),
    "string_type": "must be text (in quotes)",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must have {min_length} characters or more",
    "too_short": "must have at least {min_length} items, has {actual_length}",
    "too_long": "must have at most {max_length} items, has {actual_length}",
    "none_required": "must be null",
}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _elsewhere(root: type[BaseModel], path: KeyPath) -> Mapping[str, str]:
    """The last key of a path, and the one place in another section that is called so: by its own name
    ("noise" for read.noise), or by that of its section too ("read_noise").
    """
    word = str(path[-1]).casefold().replace("-", "_")
    here = tuple(key for key in path[:-1] if isinstance(key, str))
    places = {place for place in _places(root) if place[:-1] != here}
    for found in (
        [place for place in places if "_".join(place) == word],
        [place for place in places if place[-1] == word],
    ):
        if len(found) == 1:
            return {word: ".".join(found[0])}
    return {}


def _places(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all keys that a file may have but for those in lists and in mappings by free names."""
    for name, about in model.model_fields.items():
        yield (*above, name)
        for section in _sections(about.annotation):
            yield from _places(section, (*above, name))


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) in (list, tuple, dict):
        return []
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _sections(part)]


def _tags(model: type[BaseModel], key: str | None = None) -> list[Any]:
    fields = [field for name, field in model.model_fields.items() if key in {None, name}]
    return [
        tag
        for field in fields
        if get_origin(field.annotation) is Literal
        for tag in get_args(field.annotation)
    ]
