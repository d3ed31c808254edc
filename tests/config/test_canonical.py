"""Canonical layout of a text: the same meaning, all comments, and no change the second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tzrec.config.canonical import format_text
from tzrec.config.load import load_config
from tzrec.config.syntax import Body, comments, parse_tree

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for folder in ("examples", "experiments") for path in (ROOT / folder).rglob("*.config"))

MESSY = """

# mine
model_dir:'m';  # where
train_config  <num_steps:3   log_step_count_steps : 2> # run


   # of the
   # features
feature_configs:{   # first
id_feature { feature_name: "it's" expression: 'say "x"' }

}
a { } b: [ ] c {
} d {
  # nothing
}
list: [1,2 ,
  3,  # three
  # four
  4, 5]
text: "a"
      "b"   # both
odd # why
  : [ 'x' ]
messages: [{a:1}, {b:2
}]
# end
"""

CLEAN = """# mine
model_dir: "m"  # where
train_config { num_steps: 3 log_step_count_steps: 2 }  # run

# of the
# features
feature_configs {  # first
  id_feature { feature_name: "it's" expression: 'say "x"' }
}
a {}
b: []
c {}
d {
  # nothing
}
list: [
  1, 2,
  3,  # three
  # four
  4, 5
]
text: "a"
  "b"  # both
# why
odd: [
  "x"
]
messages: [
  { a: 1 },
  {
    b: 2
  }
]
# end
"""


def tree(text: str) -> Any:
    """Return the fields of a text without places and layout: names, and scalars with their unescaped values."""

    def value(part: Any) -> Any:
        if isinstance(part, Body):
            return [(entry.name, entry.listed, [value(inner) for inner in entry.values]) for entry in part.entries]
        return part.value if part.kind == "string" else part.text

    return value(parse_tree(text))


def assert_canonical(text: str) -> None:
    """Assert that the layout keeps fields and comments, and is its own layout."""
    result = format_text(text)
    assert tree(result) == tree(text)
    assert [comment.text for comment in comments(result)] == [comment.text for comment in comments(text)]
    assert format_text(result) == result


def test_messy_text_becomes_clean() -> None:
    assert format_text(MESSY) == CLEAN
    assert_canonical(MESSY)


def test_line_that_is_too_long_is_broken_and_a_list_is_not() -> None:
    fields = " ".join(f"field_{index}: {index}" for index in range(12))
    assert format_text(f"m {{ {fields} }}").splitlines()[:3] == ["m {", "  field_0: 0", "  field_1: 1"]
    words = ", ".join(f'"word {index}"' for index in range(100))
    assert format_text(f"vocab_list:[{words}]") == f"vocab_list: [{words}]\n"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_configs_of_this_repository_keep_their_meaning(path: Path) -> None:
    assert_canonical(path.read_text())


NAMES = st.sampled_from(["a", "num_steps", "mlp"])
ATOMS = st.sampled_from(["1", "-0.5e3", "true", '"x"', "'y'", "'# \"z'", r'"\x1d\n"', '"a" "b"', "'a'\n\"b\""])
GAPS = st.sampled_from([" ", "  ", "\n", "\n\n", "\n \n\n\t", " # one\n", "\n#two \n", "\n\n# three\r\n\n", " #\n"])


@st.composite
def texts(draw: Any, depth: int = 3) -> str:
    """Texts of random fields, with spaces, lines and comments between all of their tokens."""

    def value(depth: int) -> list[str]:
        if depth == 0 or draw(st.booleans()):
            return [draw(ATOMS)]
        opening, closing = draw(st.sampled_from(["{}", "<>"]))
        return [opening, *entries(depth - 1), closing]

    def entries(depth: int) -> list[str]:
        tokens = []
        for _ in range(draw(st.integers(0, 3))):
            tokens += [draw(NAMES), ":"]
            if draw(st.integers(0, 3)) == 0:
                values = [value(depth) for _ in range(draw(st.integers(0, 3)))]
                tokens += ["[", *(token for part in values for token in (*part, ","))]
                tokens[-1:] = ["]"] if values else ["[", "]"]
            else:
                tokens += value(depth)
            tokens += [draw(st.sampled_from(["", "", ",", ";"]))]
        return tokens

    return draw(GAPS) + "".join(token + draw(GAPS) for token in entries(depth))


@given(text=texts())
@settings(max_examples=200, deadline=None)
def test_layout_of_random_texts_keeps_meaning_and_comments(text: str) -> None:
    assert_canonical(text)


def test_config_is_equal_after_formatting(tmp_path: Path) -> None:
    path = tmp_path / "a.config"
    original = ROOT / "tests" / "config" / "mmoe.config"
    path.write_text(format_text(original.read_text()))
    assert load_config(str(path)) == load_config(str(original))
