"""Fitting goes with made-up data: whatever is proposed encodes the data that it was proposed for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.data.test_synth_sequences import alone, grouped, tokenizer
from tzrec.data.synthetic import make_table
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.profile.suggest import fit_config
from tzrec.tools.fit import REFITTED

__all__ = ["tokenizer"]  # a fixture


@pytest.mark.parametrize("mode", ["FG_NONE", "FG_BUCKETIZE", "FG_NORMAL", "FG_DAG"])
@pytest.mark.parametrize("make", [grouped, alone])
def test_sequences_of_every_type_and_mode(mode: str, make: Any, tokenizer: Path, tmp_path: Path) -> None:
    config = make(mode, tokenizer)
    table = make_table(config, 300, seed=3)
    pq.write_table(table, tmp_path / "a.parquet")
    config.train_input_path = str(tmp_path / "a.parquet")
    fit = fit_config(config, 1, (), REFITTED)
    paths = [each.path for each in fit.proposals]
    fields = {path.rpartition(".")[2] for path in paths}
    assert "embedding_dim" in fields
    assert ("hash_bucket_size" in fields) == (mode != "FG_NONE")  # where all 50 rows are in use already
    assert ("normalizer" in fields) == (mode in ("FG_NORMAL", "FG_DAG"))
    kinds = {path.split(".")[-2].removeprefix("sequence_") for path in paths}
    computed = {"combo_feature", "lookup_feature", "match_feature", "expr_feature", "kv_dot_product"}
    assert (len(kinds & computed) >= 3) == (mode in ("FG_NORMAL", "FG_DAG"))
    _, bad = FeatureEncoder.from_config(fit.config.feature_configs, fit.config.data_config).encode(table)
    assert not bad
