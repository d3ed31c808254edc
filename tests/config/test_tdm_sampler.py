"""Rules of tdm_sampler: numbers of negatives of levels, share and distribution of levels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, field_problems_of

SAMPLER = (
    'tdm_sampler { item_input_path: "a" edge_input_path: "b" predict_edge_input_path: "c" item_id_field: "item_id" '
    'attr_fields: "cate_id" layer_num_sample: [0, 1, 2] remain_ratio: 0.5 probability_type: "arithmetic" }'
)
PREFIX = "data_config.tdm_sampler"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ""),
        ("[0, 1, 2]", "[1, 1, 2]", "layer_num_sample: begins with 1; the first number is that of the root"),
        ("[0, 1, 2]", "[0]", "layer_num_sample: has one number; a tree has at least two levels, root and items"),
        ("layer_num_sample: [0, 1, 2]", "", "layer_num_sample: is empty; give the number of negatives of each level"),
        ("remain_ratio: 0.5", "remain_ratio: 1.5", "remain_ratio: 1.5 is"),
        ("arithmetic", "often", 'unknown probability_type "often"; known: uniform, arithmetic, reciprocal'),
    ],
)
def test_invalid_sampler_of_a_tree_is_one_problem(old: str, new: str, expected: str, tmp_path: Path) -> None:
    text = MMOE.replace("data_config {", f"data_config {{ {SAMPLER.replace(old, new) if old else SAMPLER}", 1)
    problems = [problem for problem in field_problems_of(tmp_path, text) if PREFIX in problem]
    assert len(problems) == bool(expected), problems
    assert expected in " ".join(problems)
