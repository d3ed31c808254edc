"""Import of whole checkpoints: embeddings, the report, and the command."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from google.protobuf import text_format

from tests.migration import original_models as original
from tests.migration.conftest import save_original
from tests.migration.test_checkpoint_names import randomize
from tzrec.config.load import dump_config
from tzrec.data.collate import collate
from tzrec.errors import CheckpointError
from tzrec.eval import main as evaluate
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.migration.import_checkpoint import load_original
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tools import import_checkpoint, list_distcp_param

CONFIG = """
train_input_path: "none" eval_input_path: "" model_dir: "none"
train_config {
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.1 } constant_learning_rate {} }
  num_steps: 1 num_threads: 1
}
data_config { dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 8 label_fields: "clk" num_workers: 1 }
feature_configs { id_feature { feature_name: "user" expression: "user:user" num_buckets: 9 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "item" expression: "item:item" num_buckets: 9 embedding_dim: 4 } }
feature_configs {
  id_feature { feature_name: "tags" expression: "item:tags" num_buckets: 5 embedding_dim: 8 weighted: true }
}
feature_configs { raw_feature { feature_name: "z_price" expression: "item:price" mlp {} embedding_dim: 2 } }
feature_configs { raw_feature { feature_name: "a_price" expression: "item:price" mlp {} embedding_dim: 2 } }
feature_configs {
  raw_feature { feature_name: "place" expression: "user:place" value_dim: 2 mlp {} embedding_dim: 2 }
}
feature_configs {
  raw_feature { feature_name: "auto" expression: "item:price" autodis { num_channels: 3 } embedding_dim: 4 }
}
feature_configs {
  sequence_feature {
    sequence_name: "clicks" sequence_length: 6 sequence_delim: ";"
    features { id_feature { feature_name: "item" expression: "item:item" num_buckets: 9 embedding_dim: 4 } }
  }
}
model_config {
  feature_groups {
    group_name: "all" group_type: DEEP
    feature_names: ["user", "tags", "z_price", "a_price", "place", "auto"]
    sequence_groups { group_name: "clicks" feature_names: ["item", "clicks__item"] }
    sequence_encoders {
      din_encoder { input: "clicks" attn_mlp { hidden_units: [5, 3] use_bn: true activation: "nn.PReLU" } }
    }
    sequence_encoders { multi_window_din_encoder { input: "clicks" windows_len: [2, 4] attn_mlp { hidden_units: 4 } } }
    sequence_encoders { self_attention_encoder { input: "clicks" multihead_attn_dim: 4 num_heads: 2 } }
  }
  variational_dropout {}
  num_class: 1 losses { binary_cross_entropy {} } metrics { auc {} }
  multi_tower { towers { input: "all" mlp { hidden_units: 5 } } final { hidden_units: 4 } }
}
"""
WIDTHS = [4, 8, 2, 2, 2, 4]  # of the features of the group; then those of the encoders
ENCODER_WIDTHS = [4, 12, 4]


def rows() -> pa.Table:
    rng = np.random.default_rng(0)
    clicks = [";".join(map(str, rng.integers(0, 9, size))) for size in (1, 3, 6, 2, 5, 4)]
    return pa.table(
        {
            "user": rng.integers(0, 9, 6),
            "item": rng.integers(0, 9, 6),
            "tags": ["1:0.5\x1d3:2", "4:1", "2:3", "0:1", "1:1", "2:0.5"],
            "price": rng.random(6).astype(np.float32),
            "place": pa.array(rng.random((6, 2)).astype(np.float32).tolist()),
            "clicks__item": clicks,
            "clk": [0, 1, 0, 1, 1, 0],
        }
    )


def parse(text: str = CONFIG) -> EasyRecConfig:
    return text_format.Parse(text, EasyRecConfig())


def build(config: EasyRecConfig) -> tuple[RecModel, FeatureEncoder]:
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    return build_model(config, encoder.features).eval(), encoder


def original_tensors() -> dict[str, torch.Tensor]:
    """Make a checkpoint of CONFIG under the names of TorchEasyRec."""
    torch.manual_seed(1)
    group, dense = "model.embedding_group", "model.embedding_group.emb_impls.__BASE__.dense_ec.dense_embs"
    tensors = {
        f"{group}.emb_impls.__BASE__.ebc.embedding_bags.user_emb.weight": torch.randn(9, 4),
        f"{group}.emb_impls.__BASE__.ebc.embedding_bags.tags_emb.weight": torch.randn(5, 8),
        f"{group}.seq_emb_impls.__BASE__.ec_dict.4.embeddings.item_emb.weight": torch.randn(9, 4),
        f"{group}.seq_emb_impls.__BASE__.ec_dict.4.embeddings.clicks__item_emb.weight": torch.randn(9, 4),
        f"{dense}.mlp#2.proj_w_a_price.weight": torch.randn(2),
        f"{dense}.mlp#2.proj_w_z_price.weight": torch.randn(2),
        f"{dense}.mlp#2#vdim#2#feature_name#            place.proj_w_place.weight": torch.randn(2, 2),
        f"{dense}.autodis#4#3#0_800000#0_100000.proj_w_auto.weight": torch.randn(3),
        f"{dense}.autodis#4#3#0_800000#0_100000.proj_m_auto.weight": torch.randn(3, 3),
        f"{dense}.autodis#4#3#0_800000#0_100000.meta_emb_auto.weight": torch.randn(3, 4),
        "model.group_variational_dropouts.all.feature_p": torch.randn(9),
        "model.group_variational_dropouts.all.feature_dim_repeat": torch.tensor(WIDTHS + ENCODER_WIDTHS),
    }
    for path, module in twins().items():
        tensors |= {f"model.{path}.{name}": value for name, value in module.state_dict().items()}
    return tensors


def twins() -> dict[str, torch.nn.Module]:
    torch.manual_seed(2)
    encoders = "embedding_group._group_name_to_seq_encoders.all"
    modules = {
        f"{encoders}.0": original.DINEncoder(4, "bn"),
        f"{encoders}.1": original.MultiWindowDINEncoder(4, [2, 4]),
        f"{encoders}.2": original.SelfAttentionEncoder(4, 4, 2),
        "towers.all": original.Mlp(sum(WIDTHS + ENCODER_WIDTHS), [5]),
        "final_mlp": original.Mlp(5, [4]),
        "output_mlp": torch.nn.Linear(4, 1),
    }
    for module in modules.values():
        randomize(module.eval())
    return modules


def original_logits(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """Compute the logits of `rows` from the tensors of the checkpoint, feature by feature."""
    data, modules = rows(), twins()
    tables = {name.rpartition(".embeddings.")[2]: value for name, value in tensors.items() if "seq_emb_impls" in name}
    named = {
        name.rpartition(".")[0].rpartition(".")[2]: value for name, value in tensors.items() if "emb_impls" in name
    }
    price = torch.tensor(data["price"].to_pylist()).unsqueeze(1)
    place = torch.tensor(data["place"].to_pylist())
    pairs = [[part.split(":") for part in text.split("\x1d")] for text in data["tags"].to_pylist()]
    tags = [sum(float(weight) * named["tags_emb"][int(tag)] for tag, weight in row) for row in pairs]
    hidden = torch.nn.functional.leaky_relu(price * named["proj_w_auto"])
    scores = torch.einsum("ij,bj->bi", named["proj_m_auto"], hidden) + 0.8 * hidden
    features = [
        named["user_emb"][data["user"].to_pylist()],
        torch.stack(tags),
        price * named["proj_w_z_price"],
        price * named["proj_w_a_price"],
        place @ named["proj_w_place"],
        (scores / 0.1).softmax(1) @ named["meta_emb_auto"],
    ]
    ids = [[int(word) for word in text.split(";")] for text in data["clicks__item"].to_pylist()]
    lengths = torch.tensor([len(row) for row in ids])
    padded = torch.zeros(6, 6, 4)
    for row, clicked in enumerate(ids):
        padded[row, : len(clicked)] = tables["clicks__item_emb.weight"][clicked]
    query = tables["item_emb.weight"][data["item"].to_pylist()]
    features += [module(query, padded, lengths) for path, module in modules.items() if "seq_encoders" in path]
    keep = 1 - torch.sigmoid(tensors["model.group_variational_dropouts.all.feature_p"])
    x = torch.cat([part * share for part, share in zip(features, keep, strict=True)], 1)
    return modules["output_mlp"](modules["final_mlp"](modules["towers.all"](x)))


def assert_scores_equal(model: RecModel, encoder: FeatureEncoder, expected: torch.Tensor) -> None:
    data = rows().to_batches()[0]
    columns, bad = encoder.encode(data)
    assert not bad
    batch = collate(columns, data.num_rows)
    torch.testing.assert_close(model(batch).logits[""], expected, rtol=1e-5, atol=1e-5)


def old_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename as an old version: numbered widths, one tensor for all features of a kind, and prefixes of wrappers."""
    renamed = {}
    for name, value in tensors.items():
        head, kind, _ = name.partition(".proj_w_")
        name = name.replace("ec_dict.4", "ec_list.0").replace("0_800000#0_100000", "0_8#0_1")
        if kind and "mlp#2.proj" in name:
            renamed[f"{head}.proj_w"] = torch.stack(
                [value for key, value in tensors.items() if f"{head}.proj_w_" in key]
            )
        elif "_auto.weight" in name:
            renamed[name.removesuffix("_auto.weight")] = value.unsqueeze(0)
        else:
            renamed[name.removesuffix("_place.weight")] = value
    return {f"_dmp_wrapped_module.module.{name}": value for name, value in renamed.items()}


@pytest.mark.parametrize("rename", [dict, old_names])
def test_whole_model_with_weights_of_original_computes_its_scores(rename: type, tmp_path: Path) -> None:
    tensors = original_tensors()
    model, encoder = build(parse())
    result = load_original(model, parse(), save_original(tmp_path, rename(tensors)))
    assert result.lines() == [f"loaded      {len(result.loaded)} of {len(result.loaded)} tensors of the model"]
    assert_scores_equal(model, encoder, original_logits(tensors))


def test_import_writes_checkpoint_that_evaluates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(rows(), tmp_path / "rows.parquet")
    config = parse()
    config.train_input_path = config.eval_input_path = str(tmp_path / "rows.parquet")
    config.model_dir = str(tmp_path / "new")
    (tmp_path / "my.config").write_text(dump_config(config))
    checkpoint = save_original(tmp_path / "model.ckpt-7", original_tensors())
    (checkpoint / "optimizer").mkdir()
    flags = ["--pipeline_config", str(tmp_path / "my.config")]
    assert import_checkpoint.main([*flags, "--checkpoint_path", str(checkpoint)]) == 0
    printed = capsys.readouterr().out
    assert "not read    optimizer/ of the checkpoint" in printed
    assert f"wrote       {tmp_path}/new/model.ckpt-0" in printed
    assert evaluate([*flags, "--checkpoint_path", str(tmp_path / "new" / "model.ckpt-0")]) == 0, capsys.readouterr()
    again = import_checkpoint.main([*flags, "--checkpoint_path", str(checkpoint)])
    assert again == 1 and "already holds checkpoints; choose another --model_dir" in capsys.readouterr().err
    assert list_distcp_param.main(["--checkpoint_path", str(checkpoint)]) == 0
    assert "model  model.output_mlp.weight  [1, 4]  float32\n" in capsys.readouterr().out


def test_import_of_other_model_lists_differences_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = original_tensors()
    table = "model.embedding_group.emb_impls.__BASE__.ebc.embedding_bags.user_emb.weight"
    tensors[table] = torch.randn(7, 4)
    tensors["model.final_dnn.bias"] = tensors.pop("model.final_mlp.mlp.0.perceptron.0.bias")
    checkpoint = save_original(tmp_path / "model.ckpt-7", tensors)
    (tmp_path / "my.config").write_text(CONFIG)
    flags = ["--pipeline_config", str(tmp_path / "my.config"), "--model_dir", str(tmp_path / "new")]
    flags += ["--checkpoint_path", str(checkpoint)]
    assert import_checkpoint.main(flags) == 1
    assert not (tmp_path / "new").exists()
    message = capsys.readouterr().err
    lines = [
        "mismatched  embedding_group.emb_impls.__BASE__.ebc.embedding_bags.user_emb.weight: [7, 4] in the checkpoint, "
        "[9, 4] in the model",
        "missing     model.final.layers.0.linear.bias: the checkpoint has no model.final_mlp.mlp.0.perceptron.0.bias",
        "not used    model.final_dnn.bias [4]",
        "--partial writes it all the same, with initial values for these tensors",
    ]
    assert [line for line in lines if line not in message] == []
    assert import_checkpoint.main([*flags, "--partial"]) == 0
    assert (tmp_path / "new" / "model.ckpt-0" / "manifest.json").exists()


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def test_import_of_checkpoint_with_code_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = save_original(tmp_path / "model.ckpt-7", {"model.output_mlp.bias": torch.zeros(1)})
    (checkpoint / "model" / ".metadata").write_bytes(pickle.dumps(Malicious()))
    model, _ = build(parse())
    with pytest.raises(CheckpointError, match=r"mkdir, which no checkpoint needs"):
        load_original(model, parse(), checkpoint)
    assert not Path("executed").exists()
