from __future__ import annotations

import numpy as np
import pytest

from tzrec.config.kwargs import kwargs, shortest
from tzrec.protos.feature_pb2 import CustomFeature, IdFeature
from tzrec.protos.metric_pb2 import XAUC
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.protos.models.multi_task_rank_pb2 import MMoE
from tzrec.protos.module_pb2 import MLP


def test_kwargs_contain_defaults_lists_and_shortest_floats() -> None:
    mlp = MLP(hidden_units=[512, 256], dropout_ratio=[0.1, 0.25])
    assert kwargs(mlp) == {
        "hidden_units": [512, 256],
        "dropout_ratio": [0.1, 0.25],
        "activation": "nn.ReLU",
        "use_bn": False,
        "bias": True,
        "use_ln": False,
    }
    assert kwargs(MLP())["dropout_ratio"] == []


def test_kwargs_contain_set_messages_only() -> None:
    arguments = kwargs(MMoE(expert_mlp=MLP(hidden_units=[8]), num_expert=3))
    assert arguments["expert_mlp"]["hidden_units"] == [8]
    assert "gate_mlp" not in arguments
    assert arguments["task_towers"] == []


def test_kwargs_of_maps_enums_and_large_integers() -> None:
    feature = IdFeature(feature_name="a", vocab_dict={"x": 2, "y": 2**63})
    assert kwargs(feature)["vocab_dict"] == {"x": 2, "y": 2**63}
    assert kwargs(XAUC(max_pairs=2**40))["max_pairs"] == 2**40
    assert kwargs(FeatureGroupConfig(group_name="g"))["group_type"] == "DEEP"


def test_kwargs_of_a_struct_are_python_values() -> None:
    feature = CustomFeature()
    feature.operator_params.update({"a": 1.5, "b": ["x", True], "c": {"d": None}})
    assert kwargs(feature)["operator_params"] == {"a": 1.5, "b": ["x", True], "c": {"d": None}}


@pytest.mark.parametrize("text", ["0.1", "0.001", "1e-10", "16777217", "3.4028235e+38", "1e-45", "0", "-0.3333333"])
def test_shortest_equals_numpy(text: str) -> None:
    value = float(np.float32(text))
    assert shortest(value) == float(str(np.float32(value)))
    assert np.float32(shortest(value)) == np.float32(value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_shortest_of_infinity_is_infinity(value: float) -> None:
    assert shortest(value) == value
    assert np.isnan(shortest(float("nan")))
