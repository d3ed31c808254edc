"""What the schema declares and nothing implements yet, each with what to do instead.

A field is only refused when it is set to something else than its default. Whole members of a oneof (models, features,
losses ...) are not listed: they are there as soon as their class is.
"""

from __future__ import annotations

from collections.abc import Mapping

_LATER = "is not implemented yet"
_HASH = f"{_LATER}; use hash_bucket_size"
_SAMPLER = f"{_LATER}; bring the negatives as rows of the data"
_TIMESTAMPS = f"{_LATER}; use save_checkpoints_steps or save_checkpoints_epochs"

# Message.field -> what is said when it is set
FIELDS: Mapping[str, str] = {
    **{f"{name}.zch": _HASH for name in ("ComboFeature", "LookupFeature", "MatchFeature")},
    **{f"{name}.dynamicemb": _HASH for name in ("ComboFeature", "LookupFeature", "MatchFeature")},
    "CustomFeature.zch": _HASH,
    "CustomFeature.dynamicemb": _HASH,
    "BoolMaskFeature.zch": _HASH,
    "BoolMaskFeature.dynamicemb": _HASH,
    "IdFeature.zch": _HASH,
    "IdFeature.dynamicemb": _HASH,
    "DataConfig.negative_sample_mask_prob": f"{_LATER}; leave it out",
    "DataConfig.batch_cost_size": f"{_LATER}; use batch_size",
    "TrainConfig.save_checkpoints_timestamp_interval": _TIMESTAMPS,
    "TrainConfig.save_checkpoints_timestamps": _TIMESTAMPS,
    "TrainConfig.delta_embedding_dump_config": f"{_LATER}; leave it out",
    "TrainConfig.is_profiling": f"{_LATER}; leave it out",
}

# Message.field -> value -> what is said
VALUES: Mapping[str, Mapping[str, str]] = {
    "DataConfig.dataset_type": {
        "OdpsDataset": f"{_LATER}; export the table to Parquet and use ParquetDataset",
        "OdpsDatasetV1": f"{_LATER}; export the table to Parquet and use ParquetDataset",
        "KafkaDataset": f"{_LATER}; write the stream to Parquet and use ParquetDataset",
    },
    "ModelConfig.kernel": {
        "TRITON": f"{_LATER}; use PYTORCH, the default",
        "CUTLASS": f"{_LATER}; use PYTORCH, the default",
    },
}

# oneof -> package whose classes implement its members; None where nothing does
PACKAGES: Mapping[str, str | None] = {
    "ModelConfig.model": "tzrec.models",
    "FeatureConfig.feature": "tzrec.features.types",
    "SeqFeatureConfig.feature": "tzrec.features.types",
    "SeqEncoderConfig.seq_module": "tzrec.embedding.encoders",
    "LossConfig.loss": "tzrec.losses",
    "LossConfig.sid_loss": "tzrec.losses",
    "MetricConfig.metric": "tzrec.metrics",
    "TrainMetricConfig.metric": "tzrec.metrics",
    "SparseOptimizer.learning_rate": "tzrec.optim.schedule",
    "DenseOptimizer.learning_rate": "tzrec.optim.schedule",
    "PartOptimizer.learning_rate": "tzrec.optim.schedule",
    "DataConfig.sampler": None,
}

# oneof -> what is said of all its members that nothing implements
INSTEAD: Mapping[str, str] = {"DataConfig.sampler": _SAMPLER}
