"""Typical mistakes of configs and data: `check` names the field of each, and what to do."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.fixtures.checked_config import replaced
from tzrec.errors import ConfigError, DataError
from tzrec.run.check import check

Columns = Mapping[str, Any]
CONFIG = """
train_input_path: "DIR/train.parquet"
eval_input_path: "DIR/eval.parquet"
model_dir: "DIR/model"
train_config {
    sparse_optimizer { adagrad_optimizer { lr: 0.01 } constant_learning_rate {} }
    dense_optimizer { adam_optimizer { lr: 0.001 } constant_learning_rate {} }
    num_epochs: 1
}
data_config {
    batch_size: 64
    dataset_type: ParquetDataset
    fg_mode: FG_DAG
    label_fields: "clk"
    label_fields: "buy"
    num_workers: 1
}
feature_configs { id_feature { feature_name: "user_id" expression: "user:user_id" num_buckets: 100 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "cate" expression: "item:cate" hash_bucket_size: 50 embedding_dim: 4 } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" } }
feature_configs {
    sequence_feature {
        sequence_name: "hist" sequence_length: 10 sequence_delim: ";"
        features {
            id_feature { feature_name: "cate" expression: "item:cate" hash_bucket_size: 50 embedding_dim: 4 }
        }
    }
}
model_config {
    feature_groups {
        group_name: "all"
        feature_names: ["user_id", "cate", "price"]
        group_type: DEEP
        sequence_groups { group_name: "seq" feature_names: "cate" feature_names: "hist__cate" }
        sequence_encoders { din_encoder { input: "seq" attn_mlp { hidden_units: 8 } } }
    }
    mmoe {
        expert_mlp { hidden_units: 16 }
        num_expert: 2
        task_towers {
            tower_name: "ctr" label_name: "clk"
            mlp { hidden_units: 8 } metrics { auc {} } losses { binary_cross_entropy {} }
        }
        task_towers {
            tower_name: "cvr" label_name: "buy"
            mlp { hidden_units: 8 } metrics { auc {} } losses { binary_cross_entropy {} }
        }
    }
}
"""
CSV = ("ParquetDataset", "CsvDataset with_header: true", "train.parquet", "train.csv", "eval.parquet", "eval.csv")
CLASSES = (
    "metrics { auc {} } losses { binary_cross_entropy {} }",
    "metrics { accuracy {} } losses { softmax_cross_entropy {} } num_class: 3",
)
TOLERANT = ("num_workers: 1", "num_workers: 1 bad_row_policy: DEFAULT")
NO_EVAL = ('eval_input_path: "DIR/eval.parquet"', "")
WEIGHT = ("num_workers: 1", 'num_workers: 1 sample_weight_fields: "w"')
READ_WEIGHT = ('label_name: "clk"', 'label_name: "clk" sample_weight_name: "w"')
SPACE = 'task_space_indicator_label: "clk" out_task_space_weight: 0'
CLK, BUY, PRICE, CATE = (
    "data_config.label_fields[0]",
    "data_config.label_fields[1]",
    "feature_configs[2].raw_feature",
    "feature_configs[1].id_feature",
)
POLICY = "data_config.bad_row_policy"
LOSS = "binary_cross_entropy_cvr"
ADAM = "train_config.dense_optimizer.adam_optimizer.lr"


def columns(num_rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(num_rows)
    clk = rng.integers(0, 2, num_rows)
    return {
        "user_id": rng.integers(0, 100, num_rows),
        "cate": [f"c{i}" for i in rng.integers(0, 20, num_rows)],
        "price": rng.gamma(2, 10, num_rows).round(2),
        "hist__cate": [";".join(f"c{j}" for j in rng.integers(0, 20, rng.integers(0, 12))) for _ in range(num_rows)],
        "clk": clk,
        "buy": clk * rng.integers(0, 2, num_rows),
    }


def changed(**new: Callable[[Columns], Any]) -> Callable[[Columns], Columns]:
    return lambda old: {**old, **{name: make(old) for name, make in new.items()}}


def headless(name: str) -> Callable[[Columns], Columns]:
    """The file without its header, as text."""
    return lambda old: {name: "\n".join(",".join(map(str, row)) for row in zip(*old.values(), strict=True))}


def bought_if_clicked(old: Columns) -> Any:
    return [int(buy) if clk else None for buy, clk in zip(old["buy"], old["clk"], strict=True)]


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        pairs: old and new parts of the config in turn.
        field: that the message names.
        message: pattern of the message.
        is_problem: true for a problem, false for a warning.
        train: changes the training data.
        eval: changes the evaluation data; default: as the training data.
    """

    pairs: tuple[str, ...]
    field: str
    message: str
    is_problem: bool = True
    train: Callable[[Columns], Columns] = dict
    eval: Callable[[Columns], Columns] | None = field(default=None)


MISTAKES = {
    "train_path_missing": Mistake(
        ("train.parquet", "no.parquet"), "train_input_path", 'no file matches ".*no.parquet"', False
    ),
    "eval_path_missing": Mistake(
        ("eval.parquet", "no.parquet"), "eval_input_path", 'no file matches ".*no.parquet"', False
    ),
    "vocabulary_missing": Mistake(
        ("hash_bucket_size: 50", 'vocab_file: "DIR/no.txt" default_bucketize_value: 0'),
        f"{CATE}.vocab_file",
        'there is no file ".*no.txt"',
        False,
    ),
    "first_weights_missing": Mistake(
        ("num_epochs: 1", 'num_epochs: 1 fine_tune_checkpoint: "DIR/no"'),
        "train_config.fine_tune_checkpoint",
        'there is no directory ".*no"',
        False,
    ),
    "evaluation_of_the_training_rows": Mistake(
        ("eval.parquet", "train.parquet"), "eval_input_path", "is trained on as well.*eval_split", False
    ),
    "label_is_text": Mistake(
        (),
        CLK,
        'is string; it must be.*label_values { label: "clk" values: ."no", "yes". } } ."yes" is 1, by its word',
        train=changed(clk=lambda c: ["yes" if clk else "no" for clk in c["clk"]]),
    ),
    "label_is_1_and_2": Mistake(
        (), CLK, "binary_cross_entropy.*write 0 and 1 in place of 1 and 2", train=changed(clk=lambda c: c["clk"] + 1)
    ),
    "label_is_minus_1_and_1": Mistake(
        (), CLK, "write 0 and 1 in place of -1 and 1", train=changed(clk=lambda c: 2 * c["clk"] - 1)
    ),
    "label_is_an_amount": Mistake((), CLK, "99.* % of the rows.*use l2_loss", train=changed(clk=lambda c: c["price"])),
    "label_is_a_count": Mistake(
        (),
        CLK,
        "for 9 classes use softmax_cross_entropy and num_class: 9, for counts l2_loss",
        train=changed(clk=lambda c: c["user_id"] % 9),
    ),
    "label_is_a_share": Mistake(
        (), CLK, "fractions.*auc counts all above 0 as positive", False, changed(clk=lambda c: c["user_id"] / 100)
    ),
    "more_classes_than_num_class": Mistake(
        CLASSES, CLK, "from 0 to 2 for softmax.*set num_class: 6$", train=changed(clk=lambda c: c["user_id"] % 6)
    ),
    "classes_from_1": Mistake(
        CLASSES, CLK, "num_class: 4, or count from 0: write 1 as 0", train=changed(clk=lambda c: 1 + c["user_id"] % 3)
    ),
    "far_fewer_classes_than_num_class": Mistake(
        (CLASSES[0], CLASSES[1].replace("3", "9")),
        "model_config.mmoe.task_towers[0].num_class",
        '9 classes, but "clk" is at most 2',
        False,
        changed(clk=lambda c: c["user_id"] % 3),
    ),
    "few_labels_are_wrong": Mistake(
        (), CLK, "2 % of the rows.*correct these rows", train=changed(clk=lambda c: np.where(c["user_id"] < 2, 7, 1))
    ),
    "label_is_constant": Mistake(
        (), CLK, '"clk" is 0 in all 600 rows; there is nothing to learn', False, changed(clk=lambda c: 0 * c["clk"])
    ),
    "label_is_constant_in_the_evaluation": Mistake(
        (), CLK, 'eval.parquet: "clk" is 0 in all 200 rows', False, dict, changed(clk=lambda c: 0 * c["clk"])
    ),
    "label_is_missing_where_another_is_0": Mistake(
        (),
        POLICY,
        f"buy null label.*{SPACE} metrics_in_task_space: true",
        train=changed(buy=bought_if_clicked),
    ),
    "rows_left_out_make_a_label_constant": Mistake(
        TOLERANT, CLK, '"clk" is 1 in all .* rows that are left, of 600', train=changed(buy=bought_if_clicked)
    ),
    "rows_left_out_for_a_missing_label": Mistake(
        TOLERANT,
        BUY,
        'of 600 rows have no valid "buy", and all tasks leave these rows out',
        False,
        changed(buy=lambda c: [int(buy) if i % 3 else None for i, buy in enumerate(c["buy"])]),
    ),
    "label_is_a_feature": Mistake(
        ("item:price", "item:clk"), f"{PRICE}.expression", 'is the label "clk", which is not known', False
    ),
    "feature_tells_the_label": Mistake(
        (), PRICE, 'alone tells the label "clk" .AUC 1.000.; remove', False, changed(price=lambda c: 2.5 * c["clk"])
    ),
    "label_is_not_read": Mistake(
        ('label_name: "buy"', 'label_name: "clk"'), BUY, 'no task reads "buy"; rows .* are skipped', False
    ),
    "labels_in_one_string": Mistake(
        ('label_fields: "clk"\n    label_fields: "buy"', 'label_fields: "clk,buy"'),
        "model_config.mmoe.task_towers[0].label_name",
        r'"clk,buy" there is one name: write \["clk", "buy"\]',
    ),
    "feature_in_no_group": Mistake((', "price"]', "]"), PRICE, 'no feature group lists "price"', False),
    "feature_is_constant": Mistake(
        (), PRICE, "is the same in all 600 rows: remove", False, changed(price=lambda c: 0 * c["price"])
    ),
    "feature_is_null": Mistake(
        (), CATE, "its column holds no values", False, changed(cate=lambda c: pa.nulls(len(c["clk"]), pa.string()))
    ),
    "vocabulary_has_no_value": Mistake(
        ("hash_bucket_size: 50", 'vocab_list: ["a", "b"]'), CATE, "its column does vary .*check its vocabulary", False
    ),
    "boundaries_are_beyond": Mistake(
        ('"item:price"', '"item:price" boundaries: [5000, 6000] embedding_dim: 4'),
        PRICE,
        "check its vocabulary, boundaries",
        False,
    ),
    "numbers_are_huge": Mistake(
        (), PRICE, 'set normalizer: "method=log10', False, changed(price=lambda c: c["price"] * 1e12)
    ),
    "numbers_are_huge_and_negative": Mistake(
        (), PRICE, 'set normalizer: "method=zscore,mean=-', False, changed(price=lambda c: c["price"] * -1e9)
    ),
    "hash_is_far_too_small": Mistake(
        ("hash_bucket_size: 50", "hash_bucket_size: 2"),
        f"{CATE}.hash_bucket_size",
        "20 values .* share 2 rows .* at least 40",
        False,
    ),
    "num_buckets_too_small": Mistake(
        ("num_buckets: 100", "num_buckets: 50"), POLICY, 'for "user_id" set num_buckets to at least 100'
    ),
    "num_buckets_too_small_and_tolerated": Mistake(
        ("num_buckets: 100", "num_buckets: 50", *TOLERANT),
        "feature_configs[0].id_feature.expression",
        r'% of "user_id" cannot be read: out of range \[0, 50\)',
        False,
    ),
    "negative_ids": Mistake(
        (), POLICY, "below 0, use hash_bucket_size", train=changed(user_id=lambda c: c["user_id"] - 50)
    ),
    "num_buckets_of_text": Mistake(
        ("hash_bucket_size: 50", "num_buckets: 50"), POLICY, 'the text of "cate" use hash_bucket_size'
    ),
    "number_of_text": Mistake(("item:price", "item:cate"), POLICY, 'the text of "cate" use id_feature'),
    "word_for_missing": Mistake(
        CSV,
        POLICY,
        'null_values: "N/A"',
        train=changed(price=lambda c: ["N/A" if i % 20 == 0 else str(x) for i, x in enumerate(c["price"])]),
        eval=dict,
    ),
    "fg_mode_forgotten": Mistake(("fg_mode: FG_DAG", ""), POLICY, "for raw columns set fg_mode: FG_DAG"),
    "learning_rate_absurd": Mistake(("lr: 0.001", "lr: 10"), ADAM, "10 is unusual: most runs diverge above 0.2", False),
    "learning_rate_zero": Mistake(("lr: 0.001", "lr: 0"), ADAM, "0 is unusual: below 1e-07 hardly", False),
    "sequence_without_length": Mistake(
        ("sequence_length: 10", ""),
        "feature_configs[3].sequence_feature.features[0].id_feature.sequence_length",
        "no limit of elements",
        False,
    ),
    "sequence_delimiter_wrong": Mistake(
        ('sequence_delim: ";"', 'sequence_delim: "|"'),
        "feature_configs[3].sequence_feature.features[0].id_feature",
        "hold ';'.*set sequence_delim: ';'",
        False,
    ),
    "batch_larger_than_data": Mistake(
        ("batch_size: 64", "batch_size: 8192"), "data_config.batch_size", "only 600 rows, less than one batch", False
    ),
    "weights_are_zero": Mistake(
        (*WEIGHT, *READ_WEIGHT), "data_config.sample_weight_fields[0]", '"w" is 0 in all 600 rows', False,
        changed(w=lambda c: [0.0] * len(c["clk"])),
    ),
    "weights_are_not_read": Mistake(
        WEIGHT, "data_config.sample_weight_fields[0]", 'no task reads the weights "w"', False,
        changed(w=lambda c: [1.0] * len(c["clk"])),
    ),
    "task_without_loss": Mistake(
        ('label_name: "buy"', f'label_name: "buy" {SPACE} in_task_space_weight: 0'),
        "model_config.mmoe.task_towers[1].in_task_space_weight",
        "the task has no loss; set it to 1",
    ),
    "better_is_worse": Mistake(
        ("num_epochs: 1", 'num_epochs: 1 early_stopping { metric: "binary_cross_entropy_ctr" }'),
        "train_config.early_stopping.larger_is_better",
        "larger values of binary_cross_entropy_ctr count as better",
        False,
    ),
    "best_is_worst": Mistake(
        ("data_config {", f'export_config {{ exporter_type: "best" best_exporter_metric: "{LOSS}" }} data_config {{'),
        "export_config.metric_larger_is_better",
        "set it to false",
        False,
    ),
    "split_holds_nothing_out": Mistake(
        (*NO_EVAL, "num_workers: 1", 'num_workers: 1 eval_split { column: "price" from: "1e9" }'),
        "data_config.eval_split.from",
        "no row is held out to evaluate",
    ),
    "split_holds_all_out": Mistake(
        (*NO_EVAL, "num_workers: 1", 'num_workers: 1 eval_split { column: "price" from: "-1" }'),
        "data_config.eval_split.from",
        "no row is left to train on",
    ),
    "split_of_another_type": Mistake(
        (*NO_EVAL, "num_workers: 1", 'num_workers: 1 eval_split { column: "price" from: "2024-01-01" }'),
        "data_config.eval_split.from",
        "'2024-01-01' cannot be compared",
    ),
    "delimiter_wrong": Mistake(
        (*CSV, "with_header: true", 'with_header: true delimiter: ";"'),
        "data_config.delimiter",
        "';' does not divide the names .* set it to ','",
    ),
    "header_missing": Mistake(
        CSV, "data_config.with_header", "holds none of the 6 columns.*with_header: false", train=headless("text")
    ),
    "column_misspelt": Mistake(
        ("item:price", "item:prise"), f"{PRICE}.expression", 'no column "prise" .* did you mean "price"'
    ),
    "column_missing_in_the_evaluation": Mistake(
        (), f"{PRICE}.expression", 'eval.parquet: no column "price"', train=dict,
        eval=lambda c: {name: values for name, values in c.items() if name != "price"},
    ),
    "parquet_read_as_text": Mistake(
        ("ParquetDataset", "CsvDataset with_header: true"), "", "It is a Parquet file: set .* to ParquetDataset"
    ),
}  # fmt: skip


def write(path: Path, rows: Columns) -> None:
    if "text" in rows:
        path.write_text(rows["text"])
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(pa.table(rows), path)
    else:
        pq.write_table(pa.table(rows), path)


def write_run(folder: Path, mistake: Mistake) -> str:
    text = replaced(CONFIG, *mistake.pairs)
    suffix = "csv" if "CsvDataset" in text and "train.csv" in text else "parquet"
    write(folder / f"train.{suffix}", mistake.train(columns(600)))
    write(folder / f"eval.{suffix}", (mistake.eval or mistake.train)(columns(200)))
    path = folder / "my.config"
    path.write_text(text.replace("DIR", str(folder)))
    return str(path)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_reported_with_its_place_and_cure(tmp_path: Path, name: str) -> None:
    mistake = MISTAKES[name]
    result = check(write_run(tmp_path, mistake), device="cpu")
    found = result.problems if mistake.is_problem else result.warnings
    messages = [problem.message for problem in found if problem.field == mistake.field]
    assert any(re.search(mistake.message, message, re.DOTALL) for message in messages), [*map(str, found)]
    places = [problem.location for problem in found if problem.field == mistake.field]
    assert all(re.search(r"my.config:\d+:\d+$|\.parquet$", place) for place in places), places


def test_config_without_a_mistake_has_neither_problems_nor_warnings(tmp_path: Path) -> None:
    result = check(write_run(tmp_path, Mistake((), "", "")), device="cpu")
    assert ([*result.problems], [*result.warnings]) == ([], [])


@pytest.mark.parametrize(("part", "name"), [("train", "train_input_path"), ("eval", "eval_input_path")])
def test_train_without_data_names_the_field_before_anything_starts(tmp_path: Path, part: str, name: str) -> None:
    path = write_run(tmp_path, Mistake((f"{part}.parquet", "no.parquet"), "", ""))
    with pytest.raises(ConfigError, match=rf'{name}: no file matches ".*/no.parquet"'):
        tzrec.train(path)
    assert not (tmp_path / "model").exists()


def test_train_without_data_and_tables_of_a_sampler_names_all_of_them(tmp_path: Path) -> None:
    path = write_run(tmp_path, Mistake(("train.parquet", "no.parquet"), "", ""))
    sampler = {"input_path": str(tmp_path / "items.txt"), "num_sample": 8, "attr_fields": ["cate"]}
    edits = {"data_config.negative_sampler": {**sampler, "item_id_field": "cate"}}
    with pytest.raises(ConfigError) as caught:
        tzrec.train(path, edit=edits)
    assert [problem.field for problem in caught.value.problems] == [
        "train_input_path",
        "data_config.negative_sampler.input_path",
    ]


def warnings_of_training(caplog: pytest.LogCaptureFixture, path: str, **edits: Any) -> tuple[list[str], Any]:
    with caplog.at_level(logging.WARNING, logger="tzrec"):
        run = tzrec.train(path, edit=edits)
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING], run


def test_metric_without_a_value_is_a_warning_of_the_evaluation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_run(tmp_path, MISTAKES["label_is_constant_in_the_evaluation"])
    warnings, run = warnings_of_training(caplog, path)
    assert np.isnan(run.metrics["auc_ctr"])
    assert any(line.startswith("eval   auc_ctr: nan over 200 rows") for line in warnings), warnings


def test_rows_left_out_for_a_missing_label_are_a_warning_of_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_run(tmp_path, MISTAKES["rows_left_out_for_a_missing_label"])
    warnings, _ = warnings_of_training(caplog, path)
    lost = "data   rows without a valid label or weight are left out of all tasks: buy: null label"
    assert f"{lost} 200; 400 rows are trained on" in warnings
    assert f"{lost} 67; 133 rows are evaluated" in warnings


def test_training_with_all_rows_held_out_names_the_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no row was trained: data_config.eval_split holds all of them out"):
        tzrec.train(write_run(tmp_path, MISTAKES["split_holds_all_out"]))
