"""Training runs with embedded numbers and variational dropout."""

from __future__ import annotations

import pytest

from tests.fixtures.small_run import Job, assert_equal, tensors

EDITS = {
    "feature_configs[3].raw_feature.embedding_dim": 4,
    "feature_configs[3].raw_feature.autodis": "num_channels: 3",
    "model_config.variational_dropout": "regularization_lambda: 0.5",
}
SOFT = "model/embedding_group.dense_impls.embeddings.0.vectors"
LOGITS = "model/feature_dropout.dropouts.0.logits"


@pytest.mark.parametrize("precision", ["", "BF16"])
def test_resumed_run_equals_uninterrupted_run(job: Job, precision: str) -> None:
    """The checkpoint has the random state and the learned parameters with their optimizer state."""
    edits = EDITS | {"train_config.mixed_precision": precision}
    whole, whole_log = job("whole", train_config__num_steps=10, **edits)
    job("parts", train_config__num_steps=5, **edits)
    parts, parts_log = job("parts", resume=True, train_config__num_steps=10, **edits)
    assert_equal(tensors(whole, 9), tensors(parts, 9))
    assert parts_log.losses == whole_log.losses[5:]
    assert all("all_feature_p_loss" in losses for losses in whole_log.losses)
    stored = tensors(whole, 9)
    assert stored[SOFT].shape == (1, 3, 4)
    assert stored[LOGITS].abs().min() > 0  # Adam has moved each of the four
    moments = [name for name in stored if "exp_avg" in name and (SOFT[6:] in name or LOGITS[6:] in name)]
    assert len(moments) == 4
