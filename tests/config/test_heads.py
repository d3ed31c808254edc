from __future__ import annotations

import pytest
from google.protobuf import text_format

from tzrec.config.checker import Checker
from tzrec.config.heads import DeclaredHeads, declare_heads
from tzrec.config.load import ConfigSource
from tzrec.config.rules.tasks import evaluation_results
from tzrec.protos.pipeline_pb2 import EasyRecConfig

TOWERS = 'task_towers { tower_name: "ctr" label_name: "clk" } task_towers { tower_name: "cvr" label_name: "pay" } '


def declare(model: str) -> DeclaredHeads:
    return declare_heads(
        text_format.Parse(f'data_config {{ label_fields: "y" }} model_config {{ {model} }}', EasyRecConfig())
    )


def summary(declared: DeclaredHeads) -> list[tuple[str, str, str]]:
    return [(head.name, head.path, head.label_name) for head in declared.heads]


def test_heads_of_task_towers_are_one_per_tower() -> None:
    declared = declare(f"mmoe {{ {TOWERS} }}")
    assert summary(declared) == [
        ("ctr", "model_config.mmoe.task_towers[0]", "clk"),
        ("cvr", "model_config.mmoe.task_towers[1]", "pay"),
    ]
    assert [head.suffix for head in declared.heads] == ["_ctr", "_cvr"]
    assert declared.evaluated == declared.heads
    assert declared.auxiliary_losses == ()


def test_heads_of_a_single_task_model_are_one_without_a_name() -> None:
    declared = declare("deepfm {}")
    assert summary(declared) == [("", "model_config", "y")]
    assert declared.heads[0].suffix == ""


@pytest.mark.parametrize("model", ["", "mmoe {}", "esmm {}", "pepnet {}"])
def test_heads_of_an_incomplete_config_are_none(model: str) -> None:
    assert declare(model).heads in ((), [])


def test_custom_model_without_towers_has_a_single_head() -> None:
    assert summary(declare('custom { class_path: "a:B" }')) == [("", "model_config", "y")]
    assert [head.name for head in declare(f'custom {{ class_path: "a:B" {TOWERS} }}').heads] == ["ctr", "cvr"]


def test_esmm_derives_the_conditional_head_from_the_second_tower() -> None:
    declared = declare(f'esmm {{ conditional_name: "after_click" {TOWERS} }}')
    assert [(head.name, head.is_derived) for head in declared.heads] == [
        ("ctr", False),
        ("cvr", False),
        ("after_click", True),
    ]
    assert declared.heads[2].message == declared.heads[1].message
    assert [head.name for head in declared.evaluated] == ["ctr", "cvr"]


def test_aitm_declares_its_calibrator() -> None:
    (loss,) = declare(f"aitm {{ calibrator_weight: 0.1 {TOWERS} }}").auxiliary_losses
    assert (loss.name, loss.factor, loss.reduction) == ("behavioral_calibrator", 0.1, "mean")
    assert (loss.is_sample_weighted, loss.is_training_only) == (False, False)


def test_evaluated_auxiliary_losses_are_results_of_an_evaluation() -> None:
    text = f"model_config {{ aitm {{ {TOWERS} }} }}"
    source = ConfigSource(text_format.Parse(text, EasyRecConfig()))
    assert evaluation_results(Checker(source, "cpu"))[-1] == "behavioral_calibrator"


def test_pepnet_declares_domains_if_they_have_a_label_column() -> None:
    declared = declare(f'pepnet {{ domain_input_name: "scene" task_domain_num: 3 {TOWERS} }}')
    assert [(head.domain_name, head.num_domains) for head in declared.heads] == [("scene", 3)] * 2
    assert [head.domain_name for head in declare(f"pepnet {{ {TOWERS} }}").heads] == ["", ""]


NETS = "booster_mlp { hidden_units: [6, 5, 4] } light_mlp { hidden_units: [5, 4] } "
DISTILLATION = "feature_based_distillation: true "


def test_rocket_launching_declares_a_distillation_pair() -> None:
    declared = declare(f"rocket_launching {{ {NETS} }}")
    assert [(head.name, head.is_training_only) for head in declared.heads] == [("light", False), ("booster", True)]
    assert [head.path for head in declared.evaluated] == ["model_config"]
    assert [loss.name for loss in declared.auxiliary_losses] == ["hint_l2_loss"]


@pytest.mark.parametrize(
    ("fields", "factor", "reduction"),
    [("", -0.1, "mean"), ("feature_distillation_function: EUCLID", 1.0, "root_of_sum")],
)
def test_rocket_launching_compares_layers_of_equal_width(fields: str, factor: float, reduction: str) -> None:
    _, *losses = declare(f"rocket_launching {{ {NETS} {DISTILLATION} {fields} }}").auxiliary_losses
    assert [loss.name for loss in losses] == ["similarity_0_1", "similarity_1_2"]
    assert {(loss.factor, loss.reduction) for loss in losses} == {(factor, reduction)}
    assert all(loss.is_sample_weighted and loss.is_training_only for loss in losses)
