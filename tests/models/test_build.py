from __future__ import annotations

import math

import pytest
import torch
from google.protobuf import text_format

from tests.fixtures.two_task_model import CONFIG, FEATURES, batch
from tzrec.data.batch import BASE
from tzrec.errors import ConfigError
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.modules.mlp import MLP
from tzrec.ops import relu_mlp
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def rec_model(activation: str = "nn.ReLU", device: torch.device | None = None, more: str = "") -> RecModel:
    config = EasyRecConfig()
    text_format.Parse(CONFIG % activation, config)
    text_format.Merge(f"model_config {{ {more} }}", config)
    return build_model(config, FEATURES, device)


def test_rec_model_applies_the_model_to_embeddings() -> None:
    built = rec_model()
    with torch.no_grad():
        output = built(batch())
        logits = output.logits
        table = built.embedding_group.emb_impls[BASE].ebc.embedding_bags["user_emb"].weight
        grouped = {"all": torch.cat([table[:3], batch().dense[BASE].values()], 1)}
        expected = built.model(grouped).logits
        predictions = built.predict(output)
        from_grouped = built.dense_part()(grouped)
    assert list(logits) == ["ctr", "kind"]
    for task in logits:
        torch.testing.assert_close(logits[task], expected[task], rtol=0, atol=0)
    assert sorted(predictions) == ["logits_ctr", "logits_kind", "probs1_kind", "probs_ctr", "probs_kind"]
    torch.testing.assert_close(predictions["probs_ctr"], 1 / (1 + torch.exp(-logits["ctr"][:, 0])))
    assert predictions.keys() == from_grouped.keys()
    assert all(torch.equal(predictions[name], from_grouped[name]) for name in predictions)


def test_losses_are_of_all_heads() -> None:
    built = rec_model()
    with torch.no_grad():
        output = built(batch())
        losses = built.compute_losses(output, batch())
        logits = output.logits
    kind = torch.log_softmax(logits["kind"], 1)
    torch.testing.assert_close(losses["softmax_cross_entropy_kind"], -(kind[0, 0] + kind[1, 1] + kind[2, 0]) / 3)
    assert list(losses) == ["binary_cross_entropy_ctr", "softmax_cross_entropy_kind"]


PENALTIES = "l2_reg_embedding: 0.5 l1_reg_embedding: 2 l2_reg_dnn: 0.25 l1_reg_dnn: 4"


def test_penalties_are_losses_in_training_only() -> None:
    """They are of the embeddings of rows, without the dense price, and of all matrices of the dense part."""
    built = rec_model(more=PENALTIES)
    losses = built.compute_losses(built(batch()), batch())
    vectors = built.embedding_group.emb_impls[BASE].ebc.embedding_bags["user_emb"].weight[:3]
    matrices = torch.cat([x.flatten() for name, x in built.model.named_parameters() if name.endswith("weight")])
    assert list(losses)[2:] == ["l2_reg_embedding", "l1_reg_embedding", "l2_reg_dnn", "l1_reg_dnn"]
    torch.testing.assert_close(losses["l2_reg_embedding"], 0.5 * vectors.square().sum() / 3)
    torch.testing.assert_close(losses["l1_reg_embedding"], 2 * vectors.abs().sum() / 3)
    torch.testing.assert_close(losses["l2_reg_dnn"], 0.25 * matrices.square().sum())
    torch.testing.assert_close(losses["l1_reg_dnn"], 4 * matrices.abs().sum())
    assert built.eval()(batch()).auxiliary_losses == {}


def test_uncertainty_weights_the_tasks() -> None:
    built = rec_model(more="uncertainty_weighting: true")
    with torch.no_grad():
        built.uncertainty.log_variance.copy_(torch.tensor([0.5, -1.0]))
        losses = built.compute_losses(built(batch()), batch())
    plain = list(losses.values())[:2]
    torch.testing.assert_close(
        sum(losses.values()), plain[0] * math.exp(-0.5) + plain[1] * math.exp(1.0) + (0.5 - 1.0) / 2
    )
    assert list(losses)[2:] == ["uncertainty_weighting"]


def test_every_parameter_has_a_gradient() -> None:
    built = rec_model("nn.Tanh")
    sum(built.compute_losses(built(batch()), batch()).values()).backward()
    missing = [name for name, x in built.named_parameters() if x.grad is None or not x.grad.abs().sum() > 0]
    assert missing == []


def test_same_seed_gives_same_weights() -> None:
    states = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        states.append(rec_model().state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not any(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_meta_device_builds_shapes_only() -> None:
    real, shape = rec_model(), rec_model(device=torch.device("meta"))
    assert {name: x.shape for name, x in shape.state_dict().items()} == {
        name: x.shape for name, x in real.state_dict().items()
    }
    assert all(parameter.is_meta for parameter in shape.parameters())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_compute_device_selects_kernels(device: str) -> None:
    config = text_format.Parse(CONFIG % "nn.ReLU", EasyRecConfig())
    model = build_model(config, FEATURES, compute_device=torch.device(device))
    selected = {id(module._relu_mlp) for module in model.modules() if isinstance(module, MLP)}
    assert selected == {id(relu_mlp.select("PYTORCH", device))}
    assert (relu_mlp.select("PYTORCH", device) is relu_mlp.select.reference) == (device == "cuda")


def test_half_precision_ends_at_the_logits() -> None:
    built = rec_model()
    with torch.no_grad():
        full = built(batch()).logits
        with torch.autocast("cpu", torch.bfloat16):
            inside, output = built.model(built.embedding_group(batch())).logits, built(batch())
            losses = built.compute_losses(output, batch())
    logits = output.logits
    assert {x.dtype for x in inside.values()} == {torch.bfloat16}
    assert {x.dtype for x in [*logits.values(), *losses.values()]} == {torch.float32}
    for task in full:
        torch.testing.assert_close(logits[task], full[task], rtol=0.03, atol=0.03)
        assert not torch.equal(logits[task], full[task])


def test_dense_part_exports_for_any_number_of_rows() -> None:
    module = rec_model().dense_part().eval()
    shapes = {"grouped": {"all": {0: torch.export.Dim("rows", min=2)}}}
    program = torch.export.export(module, ({"all": torch.randn(4, 5)},), dynamic_shapes=shapes).module()
    for rows in (2, 7, 100):
        x = {"all": torch.randn(rows, 5)}
        expected, result = module(x), program(x)
        assert expected.keys() == result.keys()
        for name in expected:
            torch.testing.assert_close(result[name], expected[name], rtol=0, atol=1e-6)


def test_wide_groups_have_width_and_initialization_of_the_model() -> None:
    config = text_format.Parse(
        """
        data_config { label_fields: "clk" }
        model_config {
          feature_groups { group_name: "wide" feature_names: "user" group_type: WIDE }
          feature_groups { group_name: "deep" feature_names: "user" feature_names: "price" group_type: DEEP }
          wide_and_deep {
            deep { hidden_units: 4 } wide_embedding_dim: 8 wide_init_fn: "nn.init.constant_,val=0.25"
          }
          losses { binary_cross_entropy {} }
        }
        """,
        EasyRecConfig(),
    )
    built = build_model(config, FEATURES)
    tables = built.embedding_group.emb_impls[BASE].ebc.embedding_bags
    assert {name: tuple(bag.weight.shape) for name, bag in tables.items()} == {
        "user_emb_wide": (10, 8),
        "user_emb": (10, 3),
    }
    assert tables["user_emb_wide"].weight.eq(0.25).all()
    assert not tables["user_emb"].weight.eq(0.25).any()
    with torch.no_grad():
        output = built(batch())
        deep = torch.cat([tables["user_emb"].weight[:3], batch().dense[BASE].values()], 1)
        expected = 8 * 0.25 + built.model.output(built.model.deep(deep))
        predictions, losses = built.predict(output), built.compute_losses(output, batch())
    torch.testing.assert_close(output.logits[""], expected)
    assert sorted(predictions) == ["logits", "probs"]
    assert list(losses) == ["binary_cross_entropy"]


@pytest.mark.parametrize("model", ["multi_tower", "multi_tower_din"])
def test_tower_of_a_wide_group_reads_tables_of_its_own(model: str) -> None:
    config = text_format.Parse(
        f"""
        data_config {{ label_fields: "clk" }}
        model_config {{
          feature_groups {{ group_name: "wide" feature_names: "user" group_type: WIDE }}
          {model} {{ towers {{ input: "wide" }} wide_init_fn: "nn.init.constant_,val=0.25" }}
          losses {{ binary_cross_entropy {{}} }}
        }}
        """,
        EasyRecConfig(),
    )
    built = build_model(config, FEATURES)
    tables = built.embedding_group.emb_impls[BASE].ebc.embedding_bags
    assert {name: tuple(bag.weight.shape) for name, bag in tables.items()} == {"user_emb_wide": (10, 4)}
    with torch.no_grad():
        expected = built.model.output(torch.full((3, 4), 0.25))
        torch.testing.assert_close(built(batch()).logits[""], expected)


def test_unknown_activation_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r'did you mean "nn\.ReLU"'):
        rec_model("nn.RELU")
