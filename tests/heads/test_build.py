from __future__ import annotations

import math

import pytest
import torch
from google.protobuf import text_format

from tzrec.config.heads import declare_heads
from tzrec.data.batch import Batch
from tzrec.heads.build import build_heads
from tzrec.heads.head import Weighting
from tzrec.heads.heads import Heads
from tzrec.protos.pipeline_pb2 import EasyRecConfig

TOWER = 'tower_name: "ctr" label_name: "clk" losses { binary_cross_entropy {} } '


LABEL = 'label_fields: "clk"'


def build(model: str, data: str = "") -> Heads:
    config = EasyRecConfig()
    text_format.Parse(f"data_config {{ {data} }} model_config {{ {model} }}", config)
    return build_heads(declare_heads(config))


def weighting(fields: str) -> Weighting:
    return build(f"mmoe {{ task_towers {{ {TOWER} {fields} }} }}")["ctr"].weighting


def test_head_of_each_task_tower_has_its_fields() -> None:
    heads = build(
        """
        mmoe {
          task_towers {
            tower_name: "ctr" label_name: "clk" mlp { hidden_units: [8, 4] dropout_ratio: 0.1 }
            losses { binary_cross_entropy { label_smoothing: 0.1 } } metrics { auc { thresholds: 0 } }
          }
          task_towers {
            tower_name: "kind" label_name: "kind_id" num_class: 3
            losses { softmax_cross_entropy {} } metrics { accuracy { top_k: 2 } } metrics { multiclass_auc {} }
          }
        }
        """
    )
    assert list(heads) == ["ctr", "kind"]
    ctr, kind = heads.values()
    assert (ctr.label_name, ctr.num_class, ctr.tower["hidden_units"], ctr.tower["dropout_ratio"]) == (
        "clk",
        1,
        [8, 4],
        [0.1],
    )
    assert ctr.losses["binary_cross_entropy"].label_smoothing == 0.1
    assert (kind.label_name, kind.num_class, kind.tower) == ("kind_id", 3, None)
    metrics = kind.build_metrics()
    assert list(metrics) == ["accuracy_kind", "multiclass_auc_kind"]
    probs = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.5, 0.3, 0.2]])
    metrics["accuracy_kind"].update({"probs": probs}, torch.tensor([1, 1, 2]))
    assert metrics["accuracy_kind"].compute() == pytest.approx(1 / 3)  # top 2: {0 1} {0 2} {0 1}


def test_single_task_uses_the_first_label_and_sample_weight() -> None:
    heads = build(
        "num_class: 2 losses { softmax_cross_entropy {} } metrics { auc {} } deepfm {}",
        'label_fields: "clk" label_fields: "buy" sample_weight_fields: "w" sample_weight_fields: "v"',
    )
    head = heads[""]
    assert (head.label_name, head.num_class, head.weighting) == ("clk", 2, Weighting(sample_weight_name="w"))
    predictions = heads.predict({"": torch.tensor([[3.0, 1.0]]).log()})
    assert sorted(predictions) == ["logits", "probs", "probs1"]
    torch.testing.assert_close(predictions["probs1"], torch.tensor([0.25]))
    assert list(head.build_metrics()) == ["auc"]


def test_single_task_without_a_sample_weight_has_no_weighting() -> None:
    assert build("losses { l2_loss {} } deepfm {}", 'label_fields: "ltv"')[""].weighting == Weighting()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", Weighting()),
        ("weight: 1.0", Weighting()),
        ("weight: 0.1", Weighting(scale=0.1)),
        ('sample_weight_name: "w"', Weighting(sample_weight_name="w")),
        ('task_space_indicator_label: "s"', Weighting(indicator_name="s")),
        (
            'task_space_indicator_label: "s" in_task_space_weight: 2 out_task_space_weight: 0',
            Weighting(indicator_name="s", in_space_weight=2.0, out_space_weight=0.0),
        ),
    ],
)
def test_weighting_of_a_tower_has_its_fields(fields: str, expected: Weighting) -> None:
    assert weighting(fields) == expected


@pytest.mark.parametrize("fields", ["in_task_space_weight: 5", "out_task_space_weight: 0"])
def test_space_weights_without_an_indicator_change_nothing(fields: str) -> None:
    labels = {"clk": torch.tensor([1, 0])}
    head = build(f"mmoe {{ task_towers {{ {TOWER} {fields} }} }}")["ctr"]
    value = head.compute_losses(torch.zeros(2, 1), Batch(2, labels=labels))["binary_cross_entropy_ctr"]
    assert value.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "fields", ["", "weight: 1.0", 'sample_weight_name: "ones"', 'task_space_indicator_label: "ones"']
)
def test_explicit_defaults_change_no_loss(fields: str) -> None:
    """An explicit weight of 1, equal sample weights and a space that holds every row are the plain mean."""
    batch = Batch(2, labels={"clk": torch.tensor([1, 0]), "ones": torch.ones(2)}, weights={"ones": torch.ones(2)})
    head = build(f"mmoe {{ task_towers {{ {TOWER} {fields} }} }}")["ctr"]
    value = head.compute_losses(torch.tensor([[1.0], [1.0]]).mul(math.log(3)), batch)["binary_cross_entropy_ctr"]
    assert value.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_losses_of_all_heads_are_named_by_task() -> None:
    heads = build(
        f"""
        mmoe {{
          task_towers {{ {TOWER} weight: 0.5 }}
          task_towers {{ tower_name: "ltv" label_name: "pay" losses {{ l2_loss {{}} }} sample_weight_name: "w" }}
        }}
        """
    )
    batch = Batch(
        2,
        labels={"clk": torch.tensor([1, 0]), "pay": torch.tensor([3.0, 1.0])},
        weights={"w": torch.tensor([3.0, 1.0])},
    )
    losses = heads.compute_losses({"ctr": torch.zeros(2, 1), "ltv": torch.ones(2, 1)}, batch)
    assert list(losses) == ["binary_cross_entropy_ctr", "l2_loss_ltv"]
    assert losses["binary_cross_entropy_ctr"].item() == pytest.approx(0.5 * math.log(2))
    assert losses["l2_loss_ltv"].item() == pytest.approx((4.0 * 1.5 + 0.0 * 0.5) / 2)


def test_loss_weights_multiply_the_losses_of_a_task() -> None:
    """0.1 of the log loss and 3 of the squared error, both times 0.5, the weight of the task."""
    losses = "losses { binary_cross_entropy {} weight: 0.1 } losses { l2_loss {} weight: 3 }"
    heads = build(f'mmoe {{ task_towers {{ tower_name: "ctr" label_name: "clk" weight: 0.5 {losses} }} }}')
    batch = Batch(2, labels={"clk": torch.tensor([1, 0])})
    losses = heads.compute_losses({"ctr": torch.zeros(2, 1)}, batch)
    assert losses["binary_cross_entropy_ctr"].item() == pytest.approx(0.1 * 0.5 * math.log(2))
    assert losses["l2_loss_ctr"].item() == pytest.approx(3 * 0.5 * 0.5)
    (total,) = heads.task_totals(losses | {"l2_reg_dnn": torch.tensor(7.0)}).values()
    torch.testing.assert_close(total, losses["binary_cross_entropy_ctr"] + losses["l2_loss_ctr"])


def test_predictions_of_all_heads_are_named_by_task() -> None:
    heads = build(
        f"""
        mmoe {{
          task_towers {{ {TOWER} losses {{ l2_loss {{}} }} }}
          task_towers {{ tower_name: "kind" label_name: "k" num_class: 2 losses {{ softmax_cross_entropy {{}} }} }}
        }}
        """
    )
    predictions = heads.predict({"ctr": torch.zeros(2, 1), "kind": torch.zeros(2, 2)})
    shapes = {name: tuple(value.shape) for name, value in predictions.items()}
    assert shapes == {
        "logits_ctr": (2,),
        "probs_ctr": (2,),
        "y_ctr": (2,),
        "logits_kind": (2, 2),
        "probs_kind": (2, 2),
        "probs1_kind": (2,),
    }


def test_metrics_with_top_k_have_it_in_their_names() -> None:
    metrics = "metrics { recall_at_k { top_k: 2 } } metrics { ndcg { grouping_key: 'u' top_k: 10 } }"
    more = "metrics { ndcg { grouping_key: 'u' } } metrics { mrr { grouping_key: 'v' } } metrics { accuracy {} }"
    head = build(f"num_class: 2 losses {{ jrc_loss {{ session_name: 'u' }} }} {metrics} {more} deepfm {{}}", LABEL)[""]
    built = head.build_metrics()
    assert list(built) == ["recall@2", "ndcg@10", "ndcg", "mrr", "accuracy"]
    assert [metric.grouping_key for metric in built.values()] == ["", "u", "u", "v", ""]
    assert (head.losses["jrc_loss"].session_name, head.losses["jrc_loss"].alpha) == ("u", 0.5)


@pytest.mark.parametrize(
    ("loss", "num_class"), [("huber_loss", 1), ("bpr_loss", 1), ("ziln_loss", 3), ("binary_focal_loss", 1)]
)
def test_every_loss_is_built_from_its_message(loss: str, num_class: int) -> None:
    head = build(f"num_class: {num_class} losses {{ {loss} {{}} }} deepfm {{}}", LABEL)[""]
    assert list(head.losses) == [loss]
