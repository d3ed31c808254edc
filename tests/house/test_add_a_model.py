"""The model that docs/add_a_model.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from google.protobuf import text_format

from tzrec.config.heads import declare_heads
from tzrec.embedding.group import Dims
from tzrec.heads.build import build_heads
from tzrec.protos.pipeline_pb2 import EasyRecConfig

DOCUMENT = Path(__file__).parents[2] / "docs" / "add_a_model.md"

CONFIG = """
train_input_path: "" eval_input_path: "" model_dir: ""
model_config { simple_multi_task {
  task_towers { tower_name: "ctr" label_name: "clk" losses { binary_cross_entropy {} } }
  task_towers { tower_name: "cvr" label_name: "pay" mlp { hidden_units: [4] } losses { binary_cross_entropy {} } }
} }
"""


def shown_class() -> Any:
    """The class in the document's Python block."""
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "shown"}
    exec(compile(code, str(DOCUMENT), "exec"), names)
    return names["SimpleMultiTask"]


def test_the_shown_model_computes_its_towers() -> None:
    config = text_format.Parse(CONFIG, EasyRecConfig())
    model = shown_class()(
        config.model_config.simple_multi_task, Dims({"all": [2, 1]}), build_heads(declare_heads(config))
    ).eval()
    x = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    weights = dict(model.towers.named_parameters())
    assert {name.split(".")[0] for name in weights} == {"tower_ctr", "tower_cvr"}

    logits = model({"all": x}).logits
    ctr = x @ weights["tower_ctr.linear.weight"].T + weights["tower_ctr.linear.bias"]
    torch.testing.assert_close(logits["ctr"], ctr)

    (mlp_weight,) = [value for name, value in weights.items() if "tower_cvr.mlp" in name and name.endswith("weight")]
    (mlp_bias,) = [value for name, value in weights.items() if "tower_cvr.mlp" in name and name.endswith("bias")]
    hidden = (x @ mlp_weight.T + mlp_bias).clamp(min=0)
    cvr = hidden @ weights["tower_cvr.linear.weight"].T + weights["tower_cvr.linear.bias"]
    torch.testing.assert_close(logits["cvr"], cvr)
