"""Bytes of tables against the tables of the model, and the limit of memory."""

from __future__ import annotations

import math

import pytest
from google.protobuf import text_format

from tests.fixtures.small_model import CONFIG
from tzrec import env
from tzrec.config.checker import Checker
from tzrec.config.load import ConfigSource
from tzrec.config.rules.table_bytes import check_table_bytes, table_sizes
from tzrec.errors import ConfigError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.session import Session
from tzrec.tables.layout import build_layouts


def parse(*pairs: str) -> EasyRecConfig:
    text = CONFIG
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    return text_format.Parse(text, EasyRecConfig())


def test_table_sizes_equal_those_of_the_model() -> None:
    config = parse()
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    message = getattr(config.model_config, config.model_config.WhichOneof("model"))
    layouts = build_layouts(
        encoder.features, config.model_config.feature_groups, getattr(message, "wide_embedding_dim", None)
    )
    expected = {
        shared.full_name: (shared.table.rows, shared.table.dim, 2 if shared.table.data_type == "FP16" else 4)
        for layout in layouts.values()
        for shared in layout.all_tables.values()
    }
    sizes = table_sizes(Checker(ConfigSource(config)))
    assert {size.name: (size.rows, size.dim, size.weights // (size.rows * size.dim)) for size in sizes} == expected
    assert all(size.state == 4 * size.rows * size.dim for size in sizes)  # Adagrad
    assert [size.weights + size.state for size in sizes] == sorted((s.weights + s.state for s in sizes), reverse=True)


def test_table_bytes_above_memory_are_an_error_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse('"user" expression: "user:user" hash_bucket_size: 50', '"user" hash_bucket_size: 1000000000')
    checker = Checker(ConfigSource(config))
    needed = sum(size.weights + size.state for size in table_sizes(checker))
    for memory, machines, has_state, count in (
        (needed, 1, True, 0),
        (needed - 1, 1, True, 1),
        (needed / 2, 2, True, 0),
        (needed / 2, 1, False, 0),
        (math.inf, 1, True, 0),
    ):
        monkeypatch.setattr(env, "available_memory", lambda memory=memory: memory)
        ranks = env.RankInfo(0, 2 * machines, 0, 2, True)
        monkeypatch.setattr(env, "rank_info", lambda ranks=ranks: ranks)
        checker.problems.clear()
        check_table_bytes(checker, has_state)
        assert len(checker.problems) == count
    monkeypatch.setattr(env, "available_memory", lambda: 8e9)
    monkeypatch.setattr(env, "rank_info", lambda: env.RankInfo(0, 1, 0, 1, False))
    check_table_bytes(checker)
    (problem,) = checker.problems
    assert problem.message.startswith(
        "the embedding tables need 32 GB (weights 16 GB, adagrad_optimizer 16 GB), and this machine has 8.0 GB free. "
        "The largest: user_emb 1,000,000,000 x 4 = 16 GB + 16 GB of the optimizer; "
    )
    with pytest.raises(ConfigError, match="the embedding tables need 32 GB"):
        Session.new(config)
    cuda = Checker(ConfigSource(config), "cuda")
    check_table_bytes(cuda)
    assert cuda.problems == []
