from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.assets import locate_assets, pack_assets


def make(text: str) -> EasyRecConfig:
    head = 'train_input_path: "a" eval_input_path: "b" model_dir: "c" '
    return text_format.Parse(head + text, EasyRecConfig())


def test_pack_assets_of_tokenizers_and_locate_assets_in_moved_package(tmp_path: Path) -> None:
    source, package, moved = (tmp_path / name for name in ("source", "package", "moved"))
    for directory in (source, package, moved):
        directory.mkdir()
    (source / "t.json").write_text("one")
    (source / "stop").write_text("!")
    clean = f'text_normalizer {{ stop_char_file: "{source}/stop" }}'
    asset_dir, start = (
        f'asset_dir: "{source}"',
        'feature_configs { tokenize_feature { expression: "user:t" embedding_dim: 4 vocab_file: "t.json" ',
    )
    config = make(
        f'{start} feature_name: "x" {asset_dir} {clean} }} }} {start} feature_name: "y" {asset_dir} }} }}'
        'feature_configs { id_feature { feature_name: "z" expression: "user:z" embedding_dim: 4 num_buckets: 2 } }'
    )
    before = config.SerializeToString(deterministic=True)
    packed = pack_assets(config, package)
    assert config.SerializeToString(deterministic=True) == before
    assert {path.name: path.read_text() for path in package.iterdir()} == {
        "x.t.json": "one", "y.t.json": "one", "x.stop.stop": "!"
    }  # fmt: skip
    assert str(source) not in text_format.MessageToString(packed)

    for path in package.iterdir():
        path.rename(moved / path.name)
    x, y, z = locate_assets(packed, moved).feature_configs
    for message in (x.tokenize_feature, y.tokenize_feature):
        assert (Path(message.asset_dir) / message.vocab_file).read_text() == "one"
    assert Path(x.tokenize_feature.text_normalizer.stop_char_file).read_text() == "!"
    assert not y.tokenize_feature.HasField("text_normalizer")
    assert z == config.feature_configs[2]
