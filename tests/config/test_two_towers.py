"""Rules of match models: towers, losses, metrics, negatives and corrections."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.checked_config import field_problems_of, replaced
from tzrec.config.check import inspect
from tzrec.config.load import load_source

EXAMPLES = Path(__file__).parents[2] / "examples" / "configs"
DSSM, MIXED, V2, DAT, MIND = (
    (EXAMPLES / f"{name}_taobao.config").read_text() for name in ("dssm", "dssm_in_batch", "dssm_v2", "dat", "mind")
)
LOSS, METRIC = "losses { softmax_cross_entropy {} }", "metrics { recall_at_k { top_k: 1 } }"
SAMPLER = DSSM[DSSM.index("  negative_sampler {") : DSSM.index("feature_configs")].removesuffix("}\n\n")
IDS = "      mask_positive_items: true\n"


@pytest.mark.parametrize("text", [DSSM, MIXED, V2, DAT, MIND])
def test_examples_are_valid(text: str, tmp_path: Path) -> None:
    assert field_problems_of(tmp_path, text) == []


WIDTHS = "is not above 0; without it the vectors of users are 64 wide and those of items {}: set it, or make them equal"
ITEM_MLP = 'input: "item" mlp { hidden_units: [128, 64] }'
CASES = [
    (DSSM, (ITEM_MLP, 'input: "item" mlp { hidden_units: 48 }', "output_dim: 32", ""),
     "model_config.dssm.output_dim: " + WIDTHS.format(48)),
    (DSSM, (ITEM_MLP, 'input: "item"', "output_dim: 32", "output_dim: 0"),
     "model_config.dssm.output_dim: " + WIDTHS.format(33)),
    (MIND, (ITEM_MLP, 'input: "item" mlp { hidden_units: 32 }', "output_dim: 32", ""),
     "model_config.mind.output_dim: " + WIDTHS.format(32)),
    (
        DSSM,
        (LOSS, "losses { binary_cross_entropy {} }"),
        "model_config.losses[0].binary_cross_entropy: dssm compares an item with negatives; its loss is "
        "softmax_cross_entropy",
    ),
    (DSSM, (LOSS, f"{LOSS} {LOSS}"), "model_config.losses: 2 losses; dssm has one, softmax_cross_entropy"),
    (DSSM, (LOSS, ""), "model_config.losses: is empty; the loss of dssm is softmax_cross_entropy"),
    (MIND, (METRIC, "metrics { auc {} }"), "model_config.metrics[0].auc: mind ranks candidates; its metric is "
     "recall_at_k"),
    (DSSM, ("train_metrics { recall_at_k { top_k: 10 }", "train_metrics { auc {}"),
     "model_config.train_metrics[0].auc: dssm ranks candidates; its metric is recall_at_k"),
    (DSSM, ("top_k: 1 }", "top_k: 0 }"), "model_config.metrics[0].recall_at_k.top_k: 0 is below 1, the number of "
     "highest scores that count"),
    (DSSM, (SAMPLER, ""), "model_config.dssm.in_batch_negative: the items have no negatives to be compared with; set "
     "data_config.negative_sampler, or in_batch_negative to true"),
    (DSSM, ('item_tower { input: "item"', 'item_tower { input: "user"'), "model_config.dssm.item_tower.input: group "
     '"user" is also model_config.dssm.user_tower.input; give each a group of its own'),
    (DSSM, ("temperature: 0.1", "temperature: 0"), "model_config.dssm.temperature: 0 is not above 0"),
    (DAT, ('"user_augment" expression: "user:user_id" hash_bucket_size: 100000 embedding_dim: 32',
           '"user_augment" expression: "user:user_id" hash_bucket_size: 100000 embedding_dim: 16'),
     'model_config.dat.user_tower.augment_input: group "user_augment" is 16 wide, the vector of the item_tower that it '
     "learns 32; make them equal"),
    (MIND, ('history_input: "clicks"', 'history_input: "item"'), "model_config.mind.user_tower.history_input: group "
     '"item" is DEEP; this input needs group_type SEQUENCE'),
    (MIND, ('input: "user"', 'input: "clicks"'), "model_config.mind.user_tower.input: group "
     '"clicks" is SEQUENCE; this input needs group_type DEEP'),
    (MIXED, (SAMPLER.replace("1024", "512").replace("dssm_taobao", "dssm_in_batch_taobao"), ""),
     "model_config.dssm.candidate_correction.item_id_feature: is not set; mask_positive_items compares items by their "
     "ids"),
    (MIXED, (SAMPLER.replace("1024", "512").replace("dssm_taobao", "dssm_in_batch_taobao"), ""),
     "model_config.dssm.candidate_correction.correct_sampled: there is no data_config.negative_sampler whose items it "
     "corrects"),
    (MIXED, ("    in_batch_negative: true\n", ""), "model_config.dssm.candidate_correction.streaming_frequency: "
     "corrects items of the batch, which are negatives with in_batch_negative only; for sampled items use "
     "correct_sampled"),
    (MIXED, (IDS, f'{IDS} frequency_feature: "price" '), "model_config.dssm.candidate_correction.frequency_feature: "
     "streaming_frequency is set as well; choose one"),
    (MIXED, (IDS, f'{IDS} frequency_feature: "cate_id" '), "model_config.dssm.candidate_correction.frequency_feature: "
     '"cate_id" is not a dense feature of one number'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "change", "problem"), CASES)
def test_wrong_config_is_explained(text: str, change: tuple[str, ...], problem: str, tmp_path: Path) -> None:
    assert problem in field_problems_of(tmp_path, replaced(text, *change))


@pytest.mark.parametrize(
    ("text", "change", "warning"),
    [
        (DSSM, ("similarity: COSINE", "similarity: EUCLID"), "EUCLID has no effect: the dot product is computed, as in "
         "TorchEasyRec; use INNER_PRODUCT"),
        (DSSM, ("  dssm {", '  feature_groups { group_name: "x" group_type: DEEP feature_names: "price" }\n  dssm {'),
         'no tower reads the group "x"'),
    ],
)  # fmt: skip
def test_input_without_effect_is_a_warning(text: str, change: tuple[str, str], warning: str, tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text(replaced(text, *change))
    checker = inspect(load_source(str(path)))
    assert checker.problems == []
    assert warning in [problem.message for problem in checker.warnings]


def test_towers_that_share_tables_have_one_data_group(tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text(replaced(V2, "  force_base_data_group: true\n", ""))
    source = load_source(str(path))
    assert source.config.data_config.force_base_data_group
    (warning,) = source.warnings
    assert str(warning).endswith("is true here: dssm_v2 needs equal numbers of rows of all features")
