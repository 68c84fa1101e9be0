"""A wrong file is refused with its line, its key and what to write; a right one means what it says."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from hil.config.validate import Config, did_you_mean, override, validate
from hil.config.yaml import MAX_ALIASES, MAX_BYTES, MAX_DEPTH, MAX_NODES, Position, load_yaml
from hil.errors import ConfigError
from hil.units import PositiveSeconds, Seconds, Volts


class Sim(Config):
    kind: Literal["sim"]
    rows: int = Field(default=64, gt=0)
    read: Volts = 0.1


class Ecram(Config):
    kind: Literal["ecram"]
    width: PositiveSeconds


Device = Annotated[Sim | Ecram, Field(discriminator="kind")]


class Training(Config):
    epochs: int
    rate: float = 0.1
    mode: Literal["fast", "slow"] = "fast"
    shuffle: bool = True
    pause: Volts | Literal["auto"] = 0.0


class Experiment(Config):
    training: Training
    devices: tuple[Device, ...] = ()
    arrays: dict[str, Sim] = Field(default_factory=dict)
    shape: tuple[int, int] = (1, 1)
    data: Path | None = None
    start: Ecram | str = "now"
    wait: Seconds = 1e-7

    @model_validator(mode="after")
    def _one_array_per_device(self) -> "Experiment":
        if len(self.devices) > 4:
            raise ValueError("more than 4 devices; remove some")
        return self


def refusal(text: str | bytes, *overrides: str) -> str:
    with pytest.raises(ConfigError) as refused:
        validate(Experiment, load_yaml(text, "b.yaml"), overrides)
    return str(refused.value)


def read(value: str) -> Any:
    return load_yaml(f"x: {value}").data["x"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("1e-6", 1e-6),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("100 ns", "100 ns"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("nan", "nan"),
        ("=", "="),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(written: str, value: object):
    assert read(written) == value
    assert type(read(written)) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "b.yaml:3:1: a: this key is already on line 1; keep one of the two"),
        ("a:\n  b: 1\n  'b': 2", "b.yaml:3:3: a.b: this key is already on line 2; keep one of the two"),
        (
            "a: !!python/object/apply:os.system [x]",
            "b.yaml:1:4: tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("a: !mine b", "b.yaml:1:4: tag '!mine' is not allowed; write the plain value"),
        ("a: ! b", "b.yaml:1:4: tag '!' is not allowed"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "b.yaml:3:3: c: merge key '<<' is not allowed; write the keys out"),
        ("a: &x [*x]", "b.yaml:1:4: an alias repeats too much, or itself"),
        ("a: *b", "b.yaml:1:4: found undefined alias 'b'"),
        ("a: .nan", "b.yaml:1:4: a: .nan is not a finite number"),
        ("a: [1, -.Inf]", "b.yaml:1:8: a.1: -.Inf is not a finite number"),
        ("a: 1e999", "b.yaml:1:4: a: 1e999 is too large"),
        ("a: " + "9" * 65, "b.yaml:1:4: a: a number of 65 digits"),
        ("a: 010", "b.yaml:1:4: a: 010 may mean octal; drop the leading zero, or quote it"),
        ("1: a", "b.yaml:1:1: key 1 is not text; put it in quotes"),
        (
            "a: {rate: 0,1}",
            "b.yaml:1:13: a: key 1 is not text; put it in quotes (decimal comma? write a point)",
        ),
        ("a: {volts: 1,1 V, b: 2}", "b.yaml:1:14: a: '1 V' stands alone; a decimal comma before it?"),
        ("a: {true: b}", "b.yaml:1:5: a: key true is not text"),
        ("? [a]\n: b", "b.yaml:1:3: a key must be one word or text"),
        ("a: b\n---\nc: d", "b.yaml:2:1: expected a single document"),
        ("a:\n\tb: 1", "b.yaml:2:1: while scanning for the next token, found character '\\t'"),
        ("a: \x00", "b.yaml:1:4: character U+0000 is not text; remove it"),
        ("a: 1\nb: c\x07", "b.yaml:2:5: character U+0007 is not text"),
        ('a: "\\0"', "b.yaml:1:4: a: character U+0000 is not allowed in text"),
        ('a: "\\ud800"', "b.yaml:1:4: a: character U+D800 is not allowed in text"),
        ('"\\e[2J": 1', "b.yaml:1:1: in a key: character U+001B is not allowed"),
        ('a: "\\UFFFFFFFF"', "b.yaml: not YAML"),
        ("%YAML " + "1" * 5000 + ".1\n--- {}", "b.yaml: not YAML"),
        (b"a: 1\nb: \xff", "b.yaml:2:4: not UTF-8 text; save the file as UTF-8"),
        ("a: b".encode("utf-16"), "b.yaml:1:1: not UTF-8 text"),
        ("", "b.yaml:1:1: the file is empty; write a mapping"),
        ("# only a comment", "b.yaml:1:1: the file is empty"),
        ("- a", "b.yaml:1:1: the file is a list at its top level"),
        ("a: {b", "b.yaml:1:6: while parsing a flow mapping"),
        ("a: " + "[" * (MAX_DEPTH + 1), f"b.yaml:1:{4 + MAX_DEPTH}: nested deeper than {MAX_DEPTH} levels"),
        ("a: " + "[" * 100_000, "nested deeper"),
        ("a: &x 1\nb: [" + "*x, " * MAX_ALIASES + "*x]", f"more than {MAX_ALIASES} aliases"),
        ("#" * MAX_BYTES + "\na: 1", f"b.yaml: larger than {MAX_BYTES} bytes"),
    ],
)
def test_what_is_not_one_plain_document_is_refused_where_it_stands(text: str | bytes, message: str):
    with pytest.raises(ConfigError) as refused:
        load_yaml(text, "b.yaml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_alias_bomb_is_refused_before_it_grows():
    bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for inner, outer in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{outer}: &{outer} [{', '.join([f'*{inner}'] * 10)}]\n"
    with pytest.raises(ConfigError, match="an alias repeats too much"):
        load_yaml(bomb)


def test_the_number_of_values_is_bounded():
    with pytest.raises(ConfigError, match=f"more than {MAX_NODES} values"):
        load_yaml("a: [" + "1," * MAX_NODES + "]")


def test_depth_up_to_the_limit_is_read():
    assert read("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))


def test_plain_aliases_are_expanded_into_separate_values():
    data = load_yaml("a: &x [1]\nb: *x").data
    assert data == {"a": [1], "b": [1]}
    assert data["a"] is not data["b"]


def test_every_key_and_value_has_its_position():
    document = load_yaml("# bench\na: 1\nb:\n  - c: [5,\n      6]\n")
    assert document.keys[("b", 0, "c")] == Position(4, 5)
    assert document.values[("b", 0, "c", 1)] == Position(5, 7)
    assert document.values[("a",)] == Position(2, 4)


def test_a_file_is_read_with_its_name_and_a_byte_order_mark_is_no_matter(tmp_path: Path):
    file = tmp_path / "bench.yaml"
    file.write_bytes("\ufeffa: \u00b5\n".encode())
    document = load_yaml(file)
    assert document.data == {"a": "\u00b5"}
    assert document.name == str(file)


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path):
    for path in (tmp_path / "none.yaml", tmp_path, Path("a\0b")):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_yaml(path)


def test_a_valid_file_becomes_the_model():
    text = (
        "training: {epochs: 3, rate: 1, pause: auto}\n"
        "devices:\n- {kind: sim, read: 50 mV}\n- {kind: ecram, width: 1 us}\n"
        "arrays: {main: {kind: sim}}\nshape: [2, 3]\ndata: mnist\nwait: 2 h\n"
    )
    experiment = validate(Experiment, load_yaml(text))
    assert experiment.training == Training(epochs=3, rate=1.0, pause="auto")
    assert experiment.devices == (Sim(kind="sim", read=0.05), Ecram(kind="ecram", width=1e-6))
    assert (experiment.shape, experiment.data, experiment.wait) == ((2, 3), Path("mnist"), 7200.0)


OK = "training: {epochs: 3}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("training: {}", "b.yaml:1: training.epochs: missing; add this key"),
        ("training: 3", "b.yaml:1: training: asked for 3; must be a mapping"),
        ("training:\n  epochs: '3'", "b.yaml:2: training.epochs: asked for '3'; must be a whole number"),
        ("training: {epochs: 3.0}", "asked for 3.0; must be a whole number"),
        ("training: {epochs: true}", "asked for true; must be a whole number"),
        ("training: {epochs: 3, rate: '1'}", "training.rate: asked for '1'; must be a number"),
        ("training: {epochs: 3, rate: true}", "training.rate: asked for true; must be a number"),
        ("training: {epochs: 3, shuffle: yes}", "training.shuffle: asked for 'yes'; must be true or false"),
        ("training: {epochs: 3, shuffle: 1}", "training.shuffle: asked for 1; must be true or false"),
        (
            "training: {epochs: 3, mode: fats}",
            "training.mode: asked for 'fats'; must be 'fast' or 'slow'; did you mean 'fast'?",
        ),
        (
            "training:\n  epochs: 3\n  epoch: 3",
            "b.yaml:3: training.epoch: unknown key 'epoch'; did you mean 'epochs'? "
            "allowed: epochs, mode, pause, rate, shuffle",
        ),
        (
            "training: {epochs: 3, pause: 5}",
            "training.pause: 5 has no unit; write e.g. \"5 V\", or must be 'auto'",
        ),
        (OK + "wait: 100", 'b.yaml:2: wait: 100 has no unit; write "100 s" if s is meant'),
        (OK + "wait: 5 V", "b.yaml:2: wait: 5 V is a voltage, a time is needed"),
        (OK + "wait: true", "b.yaml:2: wait: asked for true; must be a number with a unit"),
        (
            OK + "arrays:\n  main:\n    kind: sim\n    rows: -3",
            "b.yaml:5: arrays.main.rows: asked for -3; must be greater than 0",
        ),
        (
            OK + "devices:\n- kind: ecrm",
            "b.yaml:3: devices.0.kind: asked for 'ecrm'; did you mean 'ecram'? allowed: ecram, sim",
        ),
        (OK + "devices:\n- rows: 3", "b.yaml:3: devices.0.kind: missing; allowed: ecram, sim"),
        (OK + "devices:\n- 3", "b.yaml:3: devices.0: asked for 3; must be a mapping"),
        (OK + "devices: {}", "b.yaml:2: devices: asked for a mapping; must be a list"),
        (
            OK + "devices:\n- kind: sim\n  Rows: 3",
            "b.yaml:4: devices.0.Rows: unknown key 'Rows'; did you mean 'rows'? allowed: kind, read, rows",
        ),
        (
            OK + "devices:\n- {kind: ecram, width: 0 s}",
            "devices.0.width: asked for '0 s'; must be greater than 0",
        ),
        (OK + "devices:\n- {kind: ecram}", "b.yaml:3: devices.0.width: missing; add this key"),
        (
            OK + "start: {kind: ecram, width: 1 V}",
            "b.yaml:2: start.width: 1 V is a voltage, a time is needed",
        ),
        (OK + "start: 3", "b.yaml:2: start: asked for 3; must be a mapping, or must be text (in quotes)"),
        (OK + f"devices: [{'{kind: sim}, ' * 5}]", "b.yaml:1: more than 4 devices; remove some"),
    ],
)
def test_a_wrong_value_is_one_line_with_place_key_and_remedy(text: str, line: str):
    message = refusal(text)
    assert line in message
    assert message.count("\n") == 0


def test_all_problems_are_listed_at_once_each_on_its_line():
    message = refusal("training:\n  epochs: x\n  rte: 1\nshape: [1, 2.5]\nwait: 3\n")
    assert [line.split(": ")[:2] for line in message.splitlines()] == [
        ["b.yaml:2", "training.epochs"],
        ["b.yaml:3", "training.rte"],
        ["b.yaml:4", "shape.1"],
        ["b.yaml:5", "wait"],
    ]


def test_a_section_is_validated_alone_and_still_knows_its_line():
    section = load_yaml("a:\n  inner:\n    kind: sim\n    rows: x", "b.yaml").section("a", "inner")
    with pytest.raises(ConfigError, match=r"^b.yaml:4: a.inner.rows: asked for 'x'"):
        validate(Sim, section)
    assert validate(Sim, section, ["rows=7"]).rows == 7
    with pytest.raises(ConfigError, match=r"^--set rows=y: a.inner.rows: asked for 'y'"):
        validate(Sim, section, ["rows=y"])


def test_overrides_replace_and_add_values_and_leave_the_document_alone():
    document = load_yaml(OK + "devices:\n- {kind: sim}", "b.yaml")
    asked = [
        "training.epochs=5",
        "training.rate=1e-3",
        "devices.0.rows=7",
        "arrays.a={kind: sim}",
        "wait=3 us",
    ]
    experiment = validate(Experiment, document, asked)
    assert (experiment.training.epochs, experiment.training.rate) == (5, 1e-3)
    assert isinstance(experiment.devices[0], Sim)
    assert experiment.devices[0].rows == 7
    assert experiment.arrays["a"] == Sim(kind="sim")
    assert experiment.wait == 3e-6
    assert document.data == {"training": {"epochs": 3}, "devices": [{"kind": "sim"}]}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            "training.epochs=x",
            "--set training.epochs=x: training.epochs: asked for 'x'; must be a whole number",
        ),
        (
            "training.epoch=3",
            "--set training.epoch=3: training.epoch: unknown key 'epoch'; did you mean 'epochs'?",
        ),
        (
            "trainin.epochs=3",
            "--set trainin.epochs=3: trainin: unknown key 'trainin'; did you mean 'training'?",
        ),
        ("arrays.a.b.c=3", "--set arrays.a.b.c=3: arrays.a.b: unknown key 'b'"),
        ("training={epochs: 3, mode: 1}", "--set training={epochs: 3, mode: 1}: training.mode: asked for 1"),
        ("training.epochs", "--set training.epochs: not of the form key.path=value"),
        ("=3", "not of the form key.path=value"),
        ("training..epochs=3", "not of the form key.path=value"),
        ("training.epochs=", "not of the form key.path=value"),
        ("training.epochs.x=3", "training.epochs is 3, not a mapping; set training.epochs itself"),
        ("gradient.x=3", "not a mapping; set gradient itself: 'gradient={name: by-hand, x: 3}'"),
        ("devices.1.rows=3", "devices has 1 items, counted from 0; '1' is none of them"),
        ("devices.\u00b2=3", "is none of them"),
        ("wait=!!python/name:os 3", "--set wait=!!python/name:os 3:1:1: tag"),
        ("wait=[", "--set wait=[:1:2: while parsing a flow node"),
        ("wait=.nan", ".nan is not a finite number"),
    ],
)
def test_a_wrong_override_names_itself(asked: str, message: str):
    assert message in refusal(OK + "devices:\n- {kind: sim}\ngradient: by-hand", asked)


def test_the_last_override_of_a_key_counts():
    document = override(load_yaml(OK), ["training.epochs=4", "training={epochs: 5}", "training.epochs=6"])
    assert document.data == {"training": {"epochs": 6}}
    assert document.where(("training", "epochs")) == "--set training.epochs=6"
    assert document.where(("training", "rate")) == "--set training={epochs: 5}"


def test_what_a_model_writes_as_json_is_a_file_it_reads_back():
    experiment = Experiment(training=Training(epochs=3), devices=(Ecram(kind="ecram", width=1 / 3),))
    assert validate(Experiment, load_yaml(experiment.model_dump_json())) == experiment


def test_the_json_schema_shows_defaults_as_a_file_writes_them():
    schema = Experiment.model_json_schema()
    assert schema["properties"]["wait"]["default"] == "100 ns"
    assert schema["$defs"]["Sim"]["properties"]["read"]["default"] == "100 mV"
    assert schema["additionalProperties"] is False


def test_a_config_cannot_be_changed_and_takes_no_unknown_name_or_wrong_type_from_python():
    sim = Sim(kind="sim")
    with pytest.raises(ValidationError, match="frozen"):
        sim.rows = 3  # pyright: ignore[reportAttributeAccessIssue]
    for wrong in ({"rows": "3"}, {"rows": True}, {"rowz": 3}, {"read": float("nan")}):
        with pytest.raises(ValidationError):
            Sim.model_validate({"kind": "sim", **wrong})


def test_suggestions_name_the_nearest_or_only_what_is_allowed():
    assert did_you_mean("SIM", ["sim", "smu"]) == "did you mean 'sim'? allowed: sim, smu"
    assert did_you_mean("zzz", ["b", "a"]) == "allowed: a, b"
    short = did_you_mean("bp", ["backprop", "spsa", "progressive-bp"])
    assert short == "did you mean 'backprop' or 'progressive-bp'? allowed: backprop, progressive-bp, spsa"
    assert did_you_mean("x", []) == "allowed: none"


def test_settings_know_where_each_key_was_written_and_are_equal_wherever_they_come_from():
    written = validate(Sim, load_yaml("kind: sim\nrows: 3", "b.yaml"), ["read=1 V"])
    assert written.where("rows") == "b.yaml:2: rows"
    assert written.where("read") == "--set read=1 V: read"
    assert written == Sim(kind="sim", rows=3, read=1.0)
    assert Sim(kind="sim").where("rows") == "rows"
