"""Whole runs with embedded numbers and variational dropout."""

from __future__ import annotations

import pytest

from tests.integration.small import Job, assert_equal, tensors

EDITS = {
    "feature_configs[3].raw_feature.embedding_dim": 4,
    "feature_configs[3].raw_feature.autodis": "num_channels: 3",
    "model_config.variational_dropout": "regularization_lambda: 0.5",
}
SOFT = "model/embedding_group.dense_impls.embeddings.0.vectors"
LOGITS = "model/feature_dropout.dropouts.0.logits"


@pytest.mark.parametrize("precision", ["", "BF16"])
def test_five_steps_and_five_more_are_ten(job: Job, precision: str) -> None:
    """Noise goes on where it was, and what is learned lies in the checkpoint with its optimizer state."""
    edits = EDITS | {"train_config.mixed_precision": precision}
    whole, whole_log = job("whole", train_config__num_steps=10, **edits)
    job("parts", train_config__num_steps=5, **edits)
    parts, parts_log = job("parts", go_on=True, train_config__num_steps=10, **edits)
    assert_equal(tensors(whole, 9), tensors(parts, 9))
    assert parts_log.losses == whole_log.losses[5:]
    assert all("all_feature_p_loss" in losses for losses in whole_log.losses)
    found = tensors(whole, 9)
    assert found[SOFT].shape == (1, 3, 4)
    assert found[LOGITS].abs().min() > 0  # Adam has moved each of the four
    moments = [name for name in found if "exp_avg" in name and (SOFT[6:] in name or LOGITS[6:] in name)]
    assert len(moments) == 4
