"""Configs that are hostile or just large: problems with their place, in time linear in the text."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.test_api import SMALL
from tzrec.config.check import inspect
from tzrec.config.load import load_source
from tzrec.errors import ConfigError, Problem
from tzrec.features.formula.expression import Expression

FEATURE = 'feature_configs {{ id_feature {{ feature_name: "{}" expression: "{}" num_buckets: 9 embedding_dim: 4 }} }}\n'
NUM_FEATURES = 4000


def problems(text: str, path: Path) -> list[Problem]:
    path.write_text(text, encoding="utf-8")
    return inspect(load_source(str(path))).problems


def config_with(features: str, names: str = "") -> str:
    return SMALL.replace('feature_names: ["user"]', f'feature_names: ["user"] {names}') + features


LARGE = {
    "valid": (
        config_with(
            "".join(FEATURE.format(f"f{i}", f"user:u{i}") for i in range(NUM_FEATURES)),
            " ".join(f'feature_names: "f{i}"' for i in range(NUM_FEATURES)),
        ),
        0,
    ),
    "unknown names": (config_with("", " ".join(f'feature_names: "usr{i}"' for i in range(NUM_FEATURES))), NUM_FEATURES),
    "unknown fields": (
        config_with("".join(FEATURE.format(f"f{i}", "user:u").replace("num_b", "nun_b") for i in range(NUM_FEATURES))),
        NUM_FEATURES,
    ),
    "unknown sources": (
        config_with("".join(FEATURE.format(f"f{i}", f"feature:g{i}") for i in range(NUM_FEATURES))),
        NUM_FEATURES,
    ),
    "chain": (
        config_with("".join(FEATURE.format(f"f{i}", f"feature:f{i + 1}") for i in range(NUM_FEATURES)))
        + FEATURE.format(f"f{NUM_FEATURES}", "user:u"),
        0,
    ),
    "repeated labels": (SMALL.replace('["clk"]', "[" + ",".join(['"clk"'] * 100_000) + "]"), 99_999),
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_config_is_checked_in_linear_time(kind: str, tmp_path: Path) -> None:
    text, num_problems = LARGE[kind]
    start = time.process_time()
    found = problems(text, tmp_path / "large.config")
    assert time.process_time() - start < 6
    assert len(found) == num_problems


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.json", '{"model_config":' + "[" * 200_000, "is not JSON: it is nested too deep"),
        ("a.json", '{"train_config":{"num_steps":' + "1" * 5000 + "}}", "is not JSON: Exceeds the limit"),
        ("a.config", "feature_configs { sequence_feature { " * 20_000, "nested deeper than 100 messages"),
    ],
)
def test_text_without_bounds_raises_config_error(name: str, text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        problems(text, tmp_path / name)
    assert problem in str(caught.value) and str(tmp_path / name) in str(caught.value)


def test_formula_without_bounds_is_read_or_refused() -> None:
    x = np.array([1.0, 2.0])
    assert Expression("+".join(["x"] * 50_000))(x=x).tolist() == [50_000.0, 100_000.0]
    assert Expression("-" * 50_001 + "x")(x=x).tolist() == [-1.0, -2.0]
    for text in ("(" * 20_000 + "x" + ")" * 20_000, "2^" * 20_000 + "x", "exp(" * 20_000):
        with pytest.raises(ValueError, match="nested deeper than 100 levels"):
            Expression(text)


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\\\b", "a\\nerror: forged", "..", "a\\033[2J", "x" * 201])
@pytest.mark.parametrize("field", ["feature_name", "tower_name", "group_name"])
def test_name_that_is_no_part_of_a_path_is_a_problem(field: str, name: str, tmp_path: Path) -> None:
    old = {"feature_name": '"user" expression', "tower_name": '"ctr" label', "group_name": '"all" feature_names'}[field]
    text = SMALL.replace(f"{field}: {old}", f'{field}: "{name}" {old.split()[1]}')
    found = [problem for problem in problems(text, tmp_path / "n.config") if problem.field.endswith(field)]
    assert len(found) == 1
    assert "is not a name" in found[0].message or "has 201 bytes; a name has at most 200" in found[0].message
    assert "\n" not in str(found[0]) and "\x1b" not in str(found[0])


def test_text_with_nul_is_a_problem(tmp_path: Path) -> None:
    found = problems(SMALL.replace('model_dir: "model"', 'model_dir: "a\\000b"'), tmp_path / "n.config")
    assert [(problem.field, problem.message) for problem in found] == [
        ("model_dir", "contains a NUL character, which no text of a config may")
    ]
