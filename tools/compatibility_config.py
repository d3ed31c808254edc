"""Small copies of configs: the same features and model on tables, data and runs that fit on a laptop."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.checker import children
from tzrec.config.datasets import advice_for_unreadable
from tzrec.config.schema import fields_of, messages_around
from tzrec.data.synthetic import make_tables
from tzrec.data.synthetic.cells import WORDS
from tzrec.data.tree.attributes import TREE_LEVEL
from tzrec.errors import DataError
from tzrec.protos.data_pb2 import ParquetDataset
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tools.tdm import init_tree

MAX_TABLE_ROWS = 1000
BATCH_SIZE = 32
INNER_NODES = 4
"""Rows of tables per item of a tree: its inner nodes have ids above those of the items."""
NUM_NEGATIVES = 16
NUM_HARD_NEGATIVES = 2
SAVE_EVERY = 10
"""Steps between two checkpoints."""

_NUMBER = re.compile(r"\d+")


def small_copy(config: EasyRecConfig, directory: Path, num_steps: int) -> EasyRecConfig:
    """Copy a config with smaller tables and batches, a short run, and paths below a directory.

    Tables of a warehouse, topics, sampler tables and files that do not exist are replaced; vocabulary files are written
    here, data is not.

    Args:
        config: a valid config.
        directory: exists.
        num_steps: length of the run.
    """
    small = EasyRecConfig()
    small.CopyFrom(config)
    small.train_input_path = str(directory / "data" / "train")
    small.eval_input_path = str(directory / "data" / "eval")
    small.model_dir = str(directory / "model")
    _shorten(small, num_steps)
    _shrink_data(small)
    features = list(_features(small))
    has_tree = small.data_config.WhichOneof("sampler") == "tdm_sampler"
    _shrink_tables(features, MAX_TABLE_ROWS * (INNER_NODES if has_tree else 1))
    for index, message in enumerate(features):
        _write_vocabulary(message, directory / f"vocabulary_{index}")
    return small


def _shorten(config: EasyRecConfig, num_steps: int) -> None:
    train = config.train_config
    for name in ("num_epochs", "save_checkpoints_epochs", "fine_tune_checkpoint", "fine_tune_ckpt_param_map"):
        train.ClearField(name)  # type: ignore[arg-type]
    train.num_steps, train.save_checkpoints_steps, train.log_step_count_steps = num_steps, SAVE_EVERY, SAVE_EVERY
    config.eval_config.ClearField("num_steps")


def _shrink_data(config: EasyRecConfig) -> None:
    data = config.data_config
    data.batch_size = min(data.batch_size, BATCH_SIZE)
    data.ClearField("eval_batch_size")
    data.num_workers = 1
    if advice_for_unreadable(data):
        data.dataset_type = ParquetDataset
    member = registry.oneof_member(data, "sampler")
    if member is None:
        return
    sampler: Any = member[1]
    for name in fields_of(sampler):
        if name in ("num_sample", "num_eval_sample"):
            setattr(sampler, name, min(getattr(sampler, name), NUM_NEGATIVES))
        elif name == "num_hard_sample":
            sampler.num_hard_sample = min(sampler.num_hard_sample or 1, NUM_HARD_NEGATIVES)


def write_tables(config: EasyRecConfig, directory: Path, rows: pa.Table) -> EasyRecConfig:
    """Write the tables of items, users and edges, or the tree, that the sampler of a small copy reads.

    Args:
        config: a small copy.
        directory: of the tables.
        rows: all rows of the data.

    Returns:
        The config with their paths.
    """
    if config.data_config.WhichOneof("sampler") == "tdm_sampler":
        _write_tree(config, directory, rows)
        return config
    edited = EasyRecConfig()
    edited.CopyFrom(config)
    for path, value in make_tables(config, directory).items():
        setattr(messages_around(edited, path)[-1], path.rpartition(".")[2], value)
    return edited


def _write_tree(config: EasyRecConfig, directory: Path, rows: pa.Table) -> None:
    """Write a binary tree of the items of the data; the counts of its levels are the first ones of the config."""
    sampler = config.data_config.tdm_sampler
    ids = rows.column(sampler.item_id_field)
    first = {item: row for row, item in reversed(list(enumerate(ids.to_pylist()))) if item is not None}
    items_path = directory / "items.parquet"
    items_path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows.take(sorted(first.values())), items_path)
    names = [name for name in dict.fromkeys(sampler.attr_fields) if name in rows.column_names]
    names = [name for name in names if name != sampler.item_id_field]
    numbers = [name for name in names if pa.types.is_floating(rows.column(name).type)]
    words = [name for name in names if name not in numbers]
    flags = {
        "item_input_path": items_path,
        "item_id_field": sampler.item_id_field,
        "cate_id_field": (words or [sampler.item_id_field])[0],
        "attr_fields": ",".join(words),
        "raw_attr_fields": ",".join(numbers),
        "attr_delimiter": sampler.attr_delimiter,
        "node_edge_output_file": directory,
    }
    argv = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    if init_tree.main(argv):
        raise DataError("the tree of the items could not be built")
    sampler.attr_fields[:] = [TREE_LEVEL, sampler.item_id_field, *words, *numbers]  # the order in the table
    sampler.item_input_path = str(directory / "node_table.txt")
    sampler.edge_input_path = str(directory / "edge_table.txt")
    sampler.predict_edge_input_path = str(directory / "predict_edge_table.txt")
    num_levels = math.ceil(math.log2(len(first))) + 1
    counts = list(sampler.layer_num_sample)
    sampler.layer_num_sample[:] = [
        min(counts[min(level, len(counts) - 1)], 2**level - 1) for level in range(num_levels)
    ]


def _features(message: Message) -> Iterator[Any]:
    """Iterate over the messages of all features, also those of sequences."""
    if "feature_name" in message.DESCRIPTOR.fields_by_name:
        yield message
    for _, child in children("", message):
        yield from _features(child)


def _shrink_tables(features: list[Any], limit: int) -> None:
    """Limit the rows of tables; features with one table keep equal numbers, and defaults stay valid ids."""
    by_table: dict[str, list[Any]] = defaultdict(list)
    for index, message in enumerate(features):
        by_table[getattr(message, "embedding_name", "") or f"{message.feature_name} {index}"].append(message)
    for sharing in by_table.values():
        rows = max([limit, *(_largest_default(message) + 1 for message in sharing)])
        for message in sharing:
            for name in ("num_buckets", "hash_bucket_size"):
                if name in fields_of(message) and message.HasField(name):
                    setattr(message, name, min(getattr(message, name), rows))
            for name, size in (("zch", "zch_size"), ("dynamicemb", "max_capacity")):
                if name in fields_of(message) and message.HasField(name):
                    table = getattr(message, name)
                    setattr(table, size, min(getattr(table, size), rows))


def _largest_default(message: Any) -> int:
    texts = (getattr(message, name, "") for name in ("default_value", "fg_encoded_default_value"))
    values = [int(number) for text in texts for number in _NUMBER.findall(text)]
    return max([*values, *getattr(message, "value_map", {}).values()], default=0)


def _write_vocabulary(message: Any, path: Path) -> None:
    """Write the vocabulary of a feature, and the characters that its normalizer removes, if these files are missing."""
    if getattr(message, "vocab_file", "") and not (Path(message.asset_dir) / message.vocab_file).is_file():
        message.asset_dir, message.vocab_file = str(path.parent), path.name
        if "tokenizer_type" not in fields_of(message):
            path.write_text("\n".join(WORDS))
        elif message.tokenizer_type == "sentencepiece":
            _train_sentencepiece(path)
        else:
            _write_tokenizer(path)
    if "text_normalizer" in fields_of(message) and message.text_normalizer.stop_char_file:
        stop_path = Path(message.text_normalizer.stop_char_file)
        if not stop_path.is_file():
            stop_path = path.with_suffix(".stop")
            stop_path.write_text(".,;\n")
            message.text_normalizer.stop_char_file = str(stop_path)


def _write_tokenizer(path: Path) -> None:
    vocabulary = {"[UNK]": 0} | {letter: index for index, letter in enumerate(sorted(set("".join(WORDS))), 1)}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": "[UNK]"}
    path.write_text(json.dumps({"version": "1.0", "model": model, "added_tokens": []}))


def _train_sentencepiece(path: Path) -> None:
    import sentencepiece

    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(WORDS * 10), model_writer=file, vocab_size=20, hard_vocab_limit=False, minloglevel=2
        )
