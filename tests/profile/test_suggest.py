"""Suggestions for synthetic data of every feature type: the resulting config encodes that data without bad values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.fixtures.sequence_configs import grouped, tokenizer, ungrouped
from tzrec.data.synthetic import make_table
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.profile.suggest import REFITTABLE, suggest

__all__ = ["tokenizer"]  # a fixture


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
@pytest.mark.parametrize("make", [grouped, ungrouped])
def test_suggest_for_sequences_of_every_type_and_mode_encodes_the_data(
    mode: str, make: Any, tokenizer: Path, tmp_path: Path
) -> None:
    config = make(mode, tokenizer)
    table = make_table(config, 300, seed=3)
    pq.write_table(table, tmp_path / "a.parquet")
    config.train_input_path = str(tmp_path / "a.parquet")
    result = suggest(config, refit=REFITTABLE, threads=1)
    paths = [item.path for item in result.suggestions]
    fields = {path.rpartition(".")[2] for path in paths}
    assert "embedding_dim" in fields
    assert ("hash_bucket_size" in fields) == (mode != "FG_NONE")  # where all 50 rows are in use already
    assert ("normalizer" in fields) == (mode in ("FG_NORMAL", "FG_DAG"))
    kinds = {path.split(".")[-2].removeprefix("sequence_") for path in paths}
    computed = {"combo_feature", "lookup_feature", "match_feature", "expr_feature", "kv_dot_product"}
    assert (len(kinds & computed) >= 3) == (mode in ("FG_NORMAL", "FG_DAG"))
    _, bad = FeatureEncoder.from_config(result.config.feature_configs, result.config.data_config).encode(table)
    assert not bad
