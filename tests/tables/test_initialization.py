"""Initializers compared with torch.nn.init, and shards with the whole table."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch import nn

from tzrec.errors import ConfigError
from tzrec.features.base import Table
from tzrec.tables import initialization as table_module
from tzrec.tables.initialization import BLOCK_VALUES, Initializer, init_table, initializer_of, parse_initializer


@pytest.mark.parametrize(
    ("text", "draw"),
    [
        ("nn.init.uniform_,a=-0.01,b=0.01", lambda w: nn.init.uniform_(w, -0.01, 0.01)),
        ("torch.nn.init.uniform_, a = -1e-2, b=1e-2", lambda w: nn.init.uniform_(w, -0.01, 0.01)),
        ("nn.init.normal_,mean=0.5,std=0.1", lambda w: nn.init.normal_(w, 0.5, 0.1)),
        ("nn.init.trunc_normal_,std=0.02,a=-0.04,b=0.04", lambda w: nn.init.trunc_normal_(w, 0.0, 0.02, -0.04, 0.04)),
        ("nn.init.constant_,val=0.25", lambda w: nn.init.constant_(w, 0.25)),
        ("nn.init.zeros_", nn.init.zeros_),
        ("nn.init.ones_", nn.init.ones_),
        ("nn.init.xavier_uniform_,gain=2", lambda w: nn.init.xavier_uniform_(w, 2.0)),
        ("nn.init.xavier_normal_", nn.init.xavier_normal_),
        ("nn.init.kaiming_uniform_,a=1,mode='fan_out'", lambda w: nn.init.kaiming_uniform_(w, 1.0, "fan_out")),
        ('nn.init.kaiming_normal_,nonlinearity="relu"', lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")),
    ],
)
def test_parsed_initializer_equals_torch(text: str, draw: object) -> None:
    torch.manual_seed(5)
    expected = draw(torch.empty(40, 8))  # type: ignore[operator]
    init = parse_initializer(text)
    torch.manual_seed(5)
    torch.testing.assert_close(init(torch.empty(40, 8)), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system", "unknown initializer"),
        ("nn.init.unifrom_,a=0", "unknown initializer"),
        ("nn.init.uniform_,low=0", 'takes a, b; received "low"'),
        ("nn.init.uniform_,a=one", "a is a number, received one"),
        ("nn.init.uniform_,a=1,b=0", "torch rejects"),
        ("nn.init.kaiming_uniform_,mode='fan'", "torch rejects"),
        ("nn.init.zeros_,val=1", "takes no arguments"),
        ("nn.init.constant_", "needs val"),
    ],
)
def test_invalid_initializer_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_initializer(text)
    assert message in str(caught.value)
    assert f'"{text}"' in str(caught.value)


def test_default_initializer_is_uniform_within_one_over_root_of_rows() -> None:
    assert initializer_of(Table("t", 100, 8)) == Initializer("uniform_", {"a": -0.1, "b": 0.1})
    weight = init_table(torch.empty(10_000, 8), Table("t", 10_000, 8), seed=1)
    assert 0.00999 < weight.max() <= 0.01
    assert -0.01 <= weight.min() < -0.00999
    assert abs(weight.mean()) < 4 * 0.01 / math.sqrt(3 * weight.numel())


@pytest.mark.parametrize("init_fn", ["", "nn.init.normal_,std=0.1", "nn.init.xavier_uniform_"])
def test_shard_equals_slice_of_whole_table(init_fn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards that begin and end inside blocks, by rows and by columns."""
    monkeypatch.setattr(table_module, "BLOCK_VALUES", 80)  # 10 rows of 8
    table = Table("t", 57, 8, init_fn=init_fn)
    table_values = init_table(torch.empty(57, 8), table, seed=1)
    assert len(table_values.unique()) > 450  # no two blocks are equal
    for rows, columns in [
        ((0, 29), (0, 8)),
        ((29, 57), (0, 8)),
        ((13, 17), (4, 8)),
        ((0, 57), (0, 4)),
        ((57, 57), (0, 8)),
    ]:
        shard = torch.empty(rows[1] - rows[0], columns[1] - columns[0])
        init_table(shard, table, 1, row=rows[0], column=columns[0])
        assert torch.equal(shard, table_values[slice(*rows), slice(*columns)])


def test_fans_of_block_are_those_of_whole_table() -> None:
    """Of (4000, 8): sqrt(6 / 4008) = 0.0387; a block alone would have larger values."""
    table = Table("t", 4000, 8, init_fn="nn.init.xavier_uniform_")
    shard = init_table(torch.empty(10, 8), table, 1)
    assert shard.abs().max() < math.sqrt(6 / 4008)


def test_values_depend_on_seed_and_name() -> None:
    reference, equal, other_seed, other_name = (
        init_table(torch.empty(9, 4), Table(name, 9, 4), seed)
        for name, seed in [("a", 1), ("a", 1), ("a", 2), ("b", 1)]
    )
    assert torch.equal(reference, equal)
    assert not torch.equal(reference, other_seed)
    assert not torch.equal(reference, other_name)


def test_half_precision_values_are_rounded_float32() -> None:
    table = Table("t", 50, 8, data_type="FP16")
    assert torch.equal(
        init_table(torch.empty(50, 8, dtype=torch.half), table, 1), init_table(torch.empty(50, 8), table, 1).half()
    )


def test_init_table_of_three_million_rows_is_fast() -> None:
    """3.1 M rows of 16 took 0.17 s on one core; the bound leaves room for a busy machine."""
    weight = torch.zeros(3_100_000, 16)
    began = time.process_time()
    init_table(weight, Table("t", 3_100_000, 16), 1)
    assert time.process_time() - began < 2
    assert weight.numel() > 40 * BLOCK_VALUES
