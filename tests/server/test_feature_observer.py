from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format

from tests.fixtures.small_model import exported_package, small_batch, small_encoder, small_rows
from tzrec.errors import DataError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.profile.training_profile import BatchSampler, TrainingProfile
from tzrec.protos.observation_pb2 import FeatureStatistics
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.server.feature_observer import FeatureObserver, FeatureTotals, ModelTotals

USER = ["user", "friend", "scores", "place", "clicks__item", "clicks__tags", "clicks__price"]

VOCABULARY = """
data_config { fg_mode: FG_DAG }
feature_configs { id_feature { feature_name: "city" expression: "user:city" vocab_list: ["a", "b"] embedding_dim: 4 } }
feature_configs {
  combo_feature { feature_name: "pair" expression: ["user:city", "item:kind"] hash_bucket_size: 9 embedding_dim: 4 }
}
"""


def profile() -> TrainingProfile:
    sampler = BatchSampler()
    sampler.add(small_batch(small_rows(256)))
    return sampler.samples.profile()


def observer(min_requests: int = 1) -> tuple[FeatureObserver, ModelTotals]:
    totals = ModelTotals()
    config = FeatureStatistics(min_requests=min_requests)
    return FeatureObserver(small_encoder(), profile(), config, totals), totals


def test_observer_of_training_rows_finds_no_drift() -> None:
    one, totals = observer()
    one.observe(small_rows(256))
    assert max(one.drift().values()) == 0.0 and set(one.drift()) == set(small_encoder().outputs)
    assert totals.requests == 1 and totals.features["item"].rows == 256


def test_observer_finds_the_feature_that_drifts() -> None:
    one, _ = observer()
    rows = small_rows(256)
    price = rows.column_names.index("price")
    one.observe(rows.set_column(price, "price", pa.array(np.linspace(0.9, 5, 256))))
    drift = one.drift()
    assert drift.pop("price") > 2 and drift.pop("unused_price") > 2
    assert max(drift.values()) == 0.0


def test_observer_of_other_rows_of_the_same_kind_finds_little_drift() -> None:
    one, _ = observer()
    for num_rows in range(100, 120):
        one.observe(small_rows(num_rows))
    drift = one.drift()
    for name in ("user", "friend"):  # the first rows of each have the same names
        drift.pop(name)
    assert max(drift.values()) < 0.25  # 0.1 by chance: 25 bins of 256 rows


def test_observer_has_no_drift_of_too_few_requests() -> None:
    one, _ = observer(min_requests=3)
    for count in range(3):
        assert one.drift() == {}
        one.observe(small_rows(9 + count))
    assert one.drift() != {}


def test_observer_counts_missing_rows_of_a_user_once() -> None:
    one, totals = observer()
    rows = small_rows(10)  # users 4 and 9 are missing
    one.observe(rows)
    one.observe(rows.drop_columns(USER), rows.slice(4, 1).select(USER))
    assert (totals.features["user"].missing, totals.features["user"].rows) == (3, 11)
    assert totals.features["item"].rows == 20 and totals.features["item"].missing == 0


def test_observer_counts_null_empty_text_and_empty_lists_as_missing() -> None:
    one, totals = observer()
    rows = small_rows(12)
    expected = sum(not value for value in rows["tags"].to_pylist())
    empty_text = sum(not value for value in rows["scores"].to_pylist())
    one.observe(rows)
    assert totals.features["tags"].missing == expected > 0
    assert totals.features["scores"].missing == empty_text > 0
    one.observe(rows.set_column(rows.column_names.index("tags"), "tags", pa.nulls(12)))
    assert totals.features["tags"].missing == expected + 12


def test_observer_counts_values_out_of_the_vocabulary() -> None:
    config = text_format.Merge(VOCABULARY, EasyRecConfig())
    totals = ModelTotals()
    encoder = FeatureEncoder.from_config(config.feature_configs, config.data_config)
    one = FeatureObserver(encoder, None, FeatureStatistics(), totals)
    one.observe(pa.table({"city": ["a", "x", "", "b", None, "y"], "kind": ["k", "", "", "k", None, "k"]}))
    assert totals.features["city"] == FeatureTotals(rows=6, missing=2, values=4, unlisted=2)
    assert totals.features["pair"] == FeatureTotals(rows=6, missing=2)  # all of its columns
    assert one.drift() == {}


def test_observer_refuses_what_cannot_be_read() -> None:
    one, totals = observer()
    rows = small_rows(5)
    with pytest.raises(DataError, match='"price"'):
        one.observe(rows.set_column(rows.column_names.index("price"), "price", pa.array([{"a": 1}] * 5)))
    assert totals.requests == 0


def test_package_has_the_profile_of_its_features() -> None:
    read = TrainingProfile.read(exported_package() / "profile.json")
    assert set(read.features) == set(small_encoder().outputs)
