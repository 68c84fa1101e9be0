"""Whatever the bytes: the loader answers with a Document or a ConfigError, and keeps valid data as it is."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from hil.config.yaml import Document, load_yaml
from hil.errors import ConfigError

VALID = b"""# bench
arrays: &all
  main: {rows: 64, cols: 32, read: 0.2 V}
  spare: [1, -2.5, 1e-6, true, null, "text", 'it''s']
again: *all
note: |
  two
  lines
folded: >-
  one "line"
? key
: "\\u00b5 \\x41"
"""

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
trees = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


def document_or_none(source: bytes | str) -> Document | None:
    try:
        document = load_yaml(source, "fuzz.yaml")
    except ConfigError as error:
        message = str(error)
    else:
        assert type(document.data) is dict
        return document
    assert message.startswith("fuzz.yaml")
    assert "\n" not in message
    return None


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_random_bytes_and_text_give_a_document_or_a_config_error(source: bytes | str):
    document_or_none(source)


@given(st.text("{}[]:,-?&*!|>'\"%@`#\n\t ab0.~<\\xuU", max_size=80))
def test_random_yaml_punctuation_gives_a_document_or_a_config_error(source: str):
    document_or_none(source)


@given(st.integers(0, len(VALID)), st.integers(0, 20), st.binary(max_size=6))
def test_a_damaged_valid_file_gives_a_document_or_a_config_error(start: int, removed: int, inserted: bytes):
    document = document_or_none(VALID[:start] + inserted + VALID[start + removed :])
    if document is not None:
        json.dumps(document.data, allow_nan=False).encode()


@given(st.dictionaries(words, trees, max_size=5))
def test_json_is_read_as_the_same_data_with_a_place_for_every_value(data: dict[str, object]):
    # YAML's JSON subset has no surrogate pairs, so the text is written unescaped.
    document = load_yaml(json.dumps(data, ensure_ascii=False, indent=1))
    assert document.data == data
    assert json.dumps(document.data) == json.dumps(data)
    assert all((key,) in document.keys and (key,) in document.values for key in data)


@given(st.floats())
def test_a_float_reads_back_exactly_or_is_refused_for_not_being_finite(value: float):
    text = repr(value) if math.isfinite(value) else f".{abs(value)}"
    document = document_or_none(f"x: {text}")
    assert (document is not None) == math.isfinite(value)
    assert document is None or document.data == {"x": value}
