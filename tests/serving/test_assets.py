from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.assets import packed, unpacked


def make(text: str) -> EasyRecConfig:
    head = 'train_input_path: "a" eval_input_path: "b" model_dir: "c" '
    return text_format.Parse(head + text, EasyRecConfig())


def test_tokenizers_travel_with_the_package(tmp_path: Path) -> None:
    here, package, there = (tmp_path / name for name in ("here", "package", "there"))
    for folder in (here, package, there):
        folder.mkdir()
    (here / "t.json").write_text("one")
    (here / "stop").write_text("!")
    clean = f'text_normalizer {{ stop_char_file: "{here}/stop" }}'
    place, start = (
        f'asset_dir: "{here}"',
        'feature_configs { tokenize_feature { expression: "user:t" embedding_dim: 4 vocab_file: "t.json" ',
    )
    config = make(
        f'{start} feature_name: "x" {place} {clean} }} }} {start} feature_name: "y" {place} }} }}'
        'feature_configs { id_feature { feature_name: "z" expression: "user:z" embedding_dim: 4 num_buckets: 2 } }'
    )
    before = config.SerializeToString(deterministic=True)
    whole = packed(config, package)
    assert config.SerializeToString(deterministic=True) == before
    assert {path.name: path.read_text() for path in package.iterdir()} == {
        "x.t.json": "one", "y.t.json": "one", "x.stop.stop": "!"
    }  # fmt: skip
    assert str(here) not in text_format.MessageToString(whole)

    for path in package.iterdir():
        path.rename(there / path.name)
    x, y, z = unpacked(whole, there).feature_configs
    for message in (x.tokenize_feature, y.tokenize_feature):
        assert (Path(message.asset_dir) / message.vocab_file).read_text() == "one"
    assert Path(x.tokenize_feature.text_normalizer.stop_char_file).read_text() == "!"
    assert not y.tokenize_feature.HasField("text_normalizer")
    assert z == config.feature_configs[2]
