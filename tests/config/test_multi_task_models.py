"""Requirements of models with several tasks: a valid config with one invalid value has one problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import MMOE, problems_of

BCE = "losses { binary_cross_entropy {} }"
FIRST = f'task_towers {{ tower_name: "ctr" label_name: "clk" {BCE} mlp {{ hidden_units: [8, 4] }}'
SECOND = f'task_towers {{ tower_name: "cvr" label_name: "buy" {BCE} mlp {{ hidden_units: 4 }}'
LEVEL = 'extraction_networks { network_name: "l" expert_num_per_task: 2 task_expert_net { hidden_units: [8, 4] }'


def with_model(text: str, group: str = "all") -> str:
    """The config of mmoe.config with another model."""
    start = MMOE.index("    mmoe {")
    return MMOE[:start].replace('group_name: "all"', f'group_name: "{group}"') + f"    {text}\n}}\n"


GOOD = {
    "simple_multi_task": f"simple_multi_task {{ {FIRST} }} {SECOND} }} bottom_mlp {{ hidden_units: 8 }} }}",
    "ple": f"ple {{ {LEVEL} share_num: 1 share_expert_net {{ hidden_units: 4 }} }} {FIRST} }} {SECOND} }} }}",
    "dbmtl": f'dbmtl {{ {FIRST} }} {SECOND} relation_tower_names: "ctr" relation_mlp {{ hidden_units: 4 }} }} }}',
    "dc2vr": f'dc2vr {{ {FIRST} low_rank_dim: 9 }} {SECOND} intervention_tower_names: "ctr" low_rank_dim: 3 }} }}',
    "esmm": f"esmm {{ {FIRST} }} {SECOND.replace('cvr', 'ctcvr')} }} }}",
    "aitm": f"aitm {{ {FIRST} }} {SECOND} }} }}",
    "pepnet": f'pepnet {{ domain_input_name: "clk" task_domain_num: 2 {FIRST} }} {SECOND} }} }}',
}


@pytest.mark.parametrize("name", GOOD)
def test_valid_multi_task_model_has_no_problems(tmp_path: Path, name: str) -> None:
    assert problems_of(tmp_path, with_model(GOOD[name])) == []


CASES = [
    ("dbmtl", 'relation_tower_names: "ctr"', 'relation_tower_names: "crt"', 'unknown tower "crt"; did you mean "ctr"?'),
    ("dbmtl", 'relation_tower_names: "ctr"', 'relation_tower_names: "cvr"', '[1].relation_tower_names[0]: "cvr" is th'),
    (
        "dbmtl",
        "[8, 4] }",
        '[8, 4] } relation_tower_names: "cvr"',
        '"cvr" is defined later; move it before "ctr", which',
    ),
    ("dbmtl", "[8, 4] }", '[8, 4] } relation_tower_names: "x"', 'unknown tower "x"; there is no earlier tower'),
    ("dbmtl", 'label_name: "clk"', "", "task_towers[0].label_name: is not set; a task learns from one of"),
    ("dbmtl", "hidden_units: 4 } relation", "hidden_units: [] } relation", "task_towers[1].mlp.hidden_units: is empty"),
    ("dc2vr", "low_rank_dim: 3", "low_rank_dim: 4", "task_towers[1].low_rank_dim: 4 is not in [1, 3]: below the width"),
    ("dc2vr", "low_rank_dim: 3", "low_rank_dim: 0", "task_towers[1].low_rank_dim: 0 is below 1"),
    ("dc2vr", "low_rank_dim: 3", "low_rank_dim: 3 dropout_ratio: 1", "dropout_ratio: 1 is not in [0, 1)"),
    ("dc2vr", 'tower_names: "ctr"', 'tower_names: "ctt"', 'intervention_tower_names[0]: unknown tower "ctt"; did you'),
    ("ple", LEVEL + " share_num: 1 share_expert_net { hidden_units: 4 } }", "", "extraction_networks: is empty"),
    ("ple", "per_task: 2", "per_task: 0", "extraction_networks[0].expert_num_per_task: 0 is below 1"),
    (
        "ple",
        "net { hidden_units: 4 }",
        "net { hidden_units: 5 }",
        "ends with 5 units, task_expert_net with 4; they are",
    ),
    (
        "esmm",
        SECOND.replace("cvr", "ctcvr") + " }",
        "",
        "esmm.task_towers: 1 towers; esmm has exactly two, click and convers",
    ),
    ("esmm", 'name: "ctcvr"', 'name: "cvr"', 'esmm.conditional_name: "cvr" is a tower; the conversion after a click'),
    (
        "esmm",
        BCE,
        "losses { l2_loss {} }",
        "[0].losses[0].l2_loss: the tower must predict the probability of a binary label; use b",
    ),
    ("aitm", SECOND + " }", "", "aitm.task_towers: 1 tower; a path has at least two stages"),
    (
        "aitm",
        "hidden_units: 4 }",
        "hidden_units: 5 }",
        "task_towers[1].mlp: ends with 5 units, that of the first stage w",
    ),
    ("aitm", "aitm {", "aitm { calibrator_weight: -1 ", "aitm.calibrator_weight: -1 is below 0"),
    (
        "pepnet",
        'name: "clk" task_d',
        'name: "clik" task_d',
        'domain_input_name: "clik" is not in data_config.label_fields (clk, buy)',
    ),
    ("pepnet", 'domain_input_name: "clk"', "", "pepnet.domain_input_name: is not set; name the label column that"),
    ("pepnet", "task_domain_num: 2", "task_domain_num: 0", "pepnet.task_domain_num: 0 is below 1"),
    ("pepnet", "pepnet {", "pepnet { ppnet_hidden_units: [4, 0]", "pepnet.ppnet_hidden_units[1]: 0 is below 1"),
    ("pepnet", "pepnet {", "pepnet { ppnet_dropout_ratio: 1.5", "ppnet_dropout_ratio[0]: 1.5 is not in [0, 1)"),
    (
        "pepnet",
        "pepnet {",
        'pepnet { ppnet_activation: "nn.Relu"',
        'ppnet_activation: unknown activation "nn.Relu"; did',
    ),
    ("pepnet", "pepnet {", "pepnet { epnet_gamma: 0", "pepnet.epnet_gamma: 0 is not above 0"),
]


@pytest.mark.parametrize(("model", "old", "new", "expected"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_invalid_multi_task_model_is_one_problem(tmp_path: Path, model: str, old: str, new: str, expected: str) -> None:
    assert old in GOOD[model], old
    (line,) = problems_of(tmp_path, with_model(GOOD[model].replace(old, new, 1)))
    assert expected in line


def test_pepnet_with_missing_or_unknown_groups_is_a_problem(tmp_path: Path) -> None:
    (line,) = problems_of(tmp_path, with_model(GOOD["pepnet"], group="domain"))
    assert 'pepnet needs a group "all"; the config has domain' in line
    (line,) = problems_of(tmp_path, with_model(GOOD["pepnet"], group="domian"))
    assert 'unknown group of pepnet "domian"; did you mean "domain"?' in line
