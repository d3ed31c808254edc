from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures import reference, single_task

SMOOTH = (
    "mask_net { mask_net_module { n_mask_blocks: 2 mask_block { hidden_dim: 3 } top_mlp { "
    'hidden_units: 2 activation: "nn.Tanh" } } }'
)
SMALL = {"all": [2, 1]}
LEARNER = "mask_net { mask_net_module { n_mask_blocks: 2 mask_block { hidden_dim: 32 } top_mlp { hidden_units: 32 } } }"
WIDTHS = {"all": [8, 8]}


def naive(w: reference.Weights, row: dict[str, np.ndarray], widths: dict[str, list[int]]) -> np.ndarray:
    x = row["all"]
    normed = reference.layer_norm(w, "mask_net.norm", x)
    parallel = w["mask_net.blocks.1.linear.weight"].shape[1] == len(x)  # in the texts below hidden_dim is another
    outputs: list[np.ndarray] = []
    for index in range(2):
        block = f"mask_net.blocks.{index}"
        mask = reference.linear(w, f"{block}.mask", reference.relu_layers(w, f"{block}.mask_hidden", x))
        source = normed if parallel or not outputs else outputs[-1]
        outputs.append(
            np.maximum(
                reference.layer_norm(w, f"{block}.norm", reference.linear(w, f"{block}.linear", source * mask)), 0
            )
        )
    return reference.linear(
        w, "output", reference.relu_layers(w, "mask_net.top", np.concatenate(outputs) if parallel else outputs[-1])
    )


CASES = [
    pytest.param(
        (
            "mask_net { mask_net_module { n_mask_blocks: 2 mask_block { hidden_dim: 5 } top_mlp { "
            "hidden_units: [6, 4] } } }"
        ),
        {"all": [4, 3], "other": [2]},
        1,
        id="parallel",
    ),
    pytest.param(
        (
            "mask_net { mask_net_module { n_mask_blocks: 2 mask_block { hidden_dim: 5 reduction_ratio: "
            "2.5 } top_mlp { hidden_units: 6 } use_parallel: false } }"
        ),
        {"all": [4, 3]},
        2,
        id="serial",
    ),
    pytest.param(
        (
            "mask_net { mask_net_module { n_mask_blocks: 2 mask_block { hidden_dim: 5 reduction_ratio: "
            "0 aggregation_dim: 3 } top_mlp { hidden_units: 6 } } }"
        ),
        {"all": [4, 3]},
        1,
        id="aggregation_dim",
    ),
]


def test_mask_hidden_width_follows_the_fields_of_the_block() -> None:
    block = "n_mask_blocks: 1 mask_block {{ hidden_dim: 5 {} }}"
    text = f"mask_net {{{{ mask_net_module {{{{ {block} top_mlp {{{{ hidden_units: 6 }}}} }}}} }}}}"
    widths = []
    for fields in ("", "reduction_ratio: 2.5", "reduction_ratio: 0.01", "reduction_ratio: 0 aggregation_dim: 3"):
        (block,) = single_task.build(text.format(fields), {"all": [4, 4]}).mask_net.blocks
        widths.append(block.mask.in_features)
    assert widths == [8, 20, 1, 3]


def test_output_layer_has_no_bias() -> None:
    assert single_task.build(LEARNER, WIDTHS).output.bias is None
