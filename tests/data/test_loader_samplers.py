"""Batches of a loader with a sampler: rows of each data group, masks, bad rows and repeatability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.fixtures.item_tables import table
from tests.fixtures.two_tower_config import open_loader, two_tower_config
from tzrec.data.batch import BASE, CNEG, NEG, Batch, Cursor
from tzrec.errors import DataError
from tzrec.protos import data_pb2

__all__ = ["table"]
pytestmark = pytest.mark.usefixtures("table")  # converted tables are kept in the folder of the test


def items(batch: Batch) -> list[int]:
    """Item ids of all rows of the group NEG."""
    return batch.sparse[NEG]["item_id"].values().tolist()  # type: ignore[no-any-return]


def prints(batches: list[Batch]) -> list[list[int]]:
    return [items(batch) for batch in batches]


def test_batch_has_positives_then_simple_then_hard_rows(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    batch = next(open_loader(config, tmp_path).epoch())
    negatives = batch.negatives
    assert negatives is not None
    num_hard = negatives.num_hard
    assert (negatives.num_sampled, batch.rows, len(negatives.positive_ids)) == (8, 16, 16)
    assert 0 < num_hard <= 32
    assert batch.rows_by_data_group == {NEG: 24 + num_hard, CNEG: 24 + num_hard}
    assert batch.sparse[BASE].keys() == ["user_id"]
    assert batch.sparse[BASE].stride() == 16
    assert batch.dense[NEG].values().shape == (24 + num_hard, 1)
    assert items(batch) == negatives.positive_ids.tolist() + negatives.sampled_ids.tolist()
    assert not set(negatives.positive_ids.tolist()) & set(negatives.sampled_ids[:8].tolist())
    assert batch.labels["clk"].shape == (16,)


def test_hard_rows_are_edges_of_the_user_of_their_row(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    edges: dict[int, list[int]] = {}
    for line in (tmp_path / "edges.txt").read_text().splitlines()[1:]:
        edges.setdefault(int(line.split("\t")[0]), []).append(int(line.split("\t")[1]))
    for batch in open_loader(config, tmp_path).epoch():
        assert batch.negatives is not None
        users = batch.sparse[BASE]["user_id"].to_padded_dense(1)[:, 0].tolist()  # a missing user is user 0
        hard = [(row, item) for row, user in enumerate(users) for item in edges.get(user, [])[:2]]
        rows = batch.negatives.hard_index[:, 0].tolist()
        assert list(zip(rows, batch.negatives.sampled_ids[8:].tolist(), strict=True)) == hard


def test_crosses_of_negatives_have_the_user_of_a_hard_row_and_none_of_a_simple_one(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    batch = next(open_loader(config, tmp_path).epoch())
    assert batch.negatives is not None
    lengths = batch.sparse[CNEG]["pair"].lengths()
    assert lengths[16:24].tolist() == [0] * 8
    assert lengths[24:].tolist() == [1] * batch.negatives.num_hard


def test_attributes_of_negatives_are_those_of_the_table(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    prices = {}
    for line in (tmp_path / "items.txt").read_text().splitlines()[1:]:
        item, _, attributes = line.split("\t")
        prices[int(item)] = float(attributes.split(":")[2])
    batch = next(open_loader(config, tmp_path).epoch())
    expected = torch.tensor([[prices[item]] for item in items(batch)])
    torch.testing.assert_close(batch.dense[NEG].values(), expected)


@pytest.mark.parametrize("threads", [0, 4])
def test_batches_do_not_depend_on_threads(tmp_path: Path, threads: int) -> None:
    config = two_tower_config(tmp_path)
    expected = prints(list(open_loader(config, tmp_path).epoch()))
    config.data_config.num_workers = threads
    assert prints(list(open_loader(config, tmp_path).epoch())) == expected


def test_resumed_epoch_draws_the_same_negatives(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    batches = list(open_loader(config, tmp_path).epoch())
    rest = list(open_loader(config, tmp_path).epoch(batches[2].cursor))
    assert prints(rest) == prints(batches[3:])


def test_epochs_seeds_and_stages_draw_others(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path, more="shuffle: false")
    first = next(open_loader(config, tmp_path).epoch())
    others = [
        next(open_loader(config, tmp_path).epoch(Cursor(epoch=1))),
        next(open_loader(config, tmp_path, seed=2).epoch()),
        next(open_loader(config, tmp_path, "eval").epoch()),
    ]
    for other in others:
        assert items(other)[:16] == items(first)[:16]
        assert items(other)[16:24] != items(first)[16:24]


def test_ranks_draw_different_negatives(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    ranks = [next(open_loader(config, tmp_path, rank=rank, world_size=2).epoch()) for rank in range(2)]
    assert items(ranks[0])[16:24] != items(ranks[1])[16:24]


def test_ranks_share_one_copy_of_the_tables(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    for rank in range(2):
        open_loader(config, tmp_path, rank=rank, world_size=2)
    kept = [path for path in (tmp_path / "cache/tzrec/samplers").iterdir() if path.is_dir()]
    assert len(kept) == 3, "items, edges and alias table"


def test_forced_base_group_pads_features_of_the_batch(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path, more="force_base_data_group: true")
    batch = next(open_loader(config, tmp_path).epoch())
    assert batch.negatives is not None
    rows = 24 + batch.negatives.num_hard
    assert batch.rows_by_data_group == {}
    assert set(batch.sparse) | set(batch.dense) | set(batch.sequences) == {BASE}
    assert batch.sparse[BASE].stride() == rows
    assert batch.sparse[BASE]["user_id"].lengths()[16:].tolist() == [0] * (rows - 16)
    assert batch.sequences[BASE]["click__item_id"].lengths()[16:].tolist() == [0] * (rows - 16)
    age = batch.dense[BASE]["age"]
    assert age.shape == (rows, 1)
    assert age[16:].eq(0).all()
    assert batch.dense[BASE]["price"][16:].gt(0).any()
    assert batch.rows == 16


def test_masks_empty_sampled_rows_with_their_own_probability(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path, rows=400, more="negative_sample_mask_prob: 0.5 bad_row_policy: DEFAULT")
    positives, negatives = [], []
    for batch in open_loader(config, tmp_path).epoch():
        lengths = batch.sparse[NEG]["item_id"].lengths()
        positives.append(lengths[: batch.rows])
        negatives.append(lengths[batch.rows :])
        assert batch.dense[BASE]["age"].ne(0).all(), "a feature of the batch"
    assert torch.cat(positives).eq(1).all()
    empty = torch.cat(negatives).eq(0).double()
    assert abs(empty.mean() - 0.5) < 3 * 0.5 / np.sqrt(len(empty))
    evaluation = next(open_loader(config, tmp_path, "eval").epoch())
    assert evaluation.sparse[NEG]["item_id"].lengths().eq(1).all()


def test_mask_of_samples_leaves_negatives(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path, more="sample_mask_prob: 1.0 bad_row_policy: DEFAULT")
    batch = next(open_loader(config, tmp_path).epoch())
    lengths = batch.sparse[NEG]["item_id"].lengths()
    assert lengths[:16].eq(0).all()
    assert lengths[16:].eq(1).all()
    assert batch.dense[BASE]["age"].eq(0).all()


def break_rows(path: Path) -> None:
    """Give every fifth row an item that no table has a row for."""
    for part in path.glob("data/*.parquet"):
        rows = pq.read_table(part)
        ids = [999_999 if row % 5 == 0 else item for row, item in enumerate(rows["item_id"].to_pylist())]
        at = rows.schema.get_field_index("item_id")
        pq.write_table(rows.set_column(at, "item_id", [ids]), part)


def test_skipped_rows_take_their_hard_negatives_with_them(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path, more="bad_row_policy: SKIP_ROW")
    break_rows(tmp_path)
    loader = open_loader(config, tmp_path)
    num_rows = 0
    for batch in loader.epoch():
        negatives = batch.negatives
        assert negatives is not None
        num_rows += batch.rows
        assert items(batch) == negatives.positive_ids.tolist() + negatives.sampled_ids.tolist()
        assert len(negatives.sampled_ids) == 8 + negatives.num_hard
        assert negatives.hard_index[:, 0].max() < batch.rows
    assert num_rows == 80


def test_bad_attribute_of_the_table_is_an_error_that_names_the_item(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path)
    lines = (tmp_path / "items.txt").read_text().splitlines()
    lines[1:] = [line.rsplit(":", 2)[0] + ":cheap:0" for line in lines[1:]]
    (tmp_path / "items.txt").write_text("\n".join(lines))
    with pytest.raises(
        DataError, match=r"item \d+ of the sampler's table: attribute \"price\" has 'cheap': not a number"
    ):
        next(open_loader(config, tmp_path).epoch())
    config.data_config.bad_row_policy = data_pb2.DEFAULT
    batch = next(open_loader(config, tmp_path).epoch())
    assert batch.dense[NEG].values()[16:].eq(0).all()


def test_unknown_attribute_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_loader(two_tower_config(tmp_path), tmp_path)
    assert "hard_negative_sampler.attr_fields: the data has no column unknown; this attribute" in caplog.text


def test_repeated_row_of_a_rank_without_rows_is_sampled_too(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path, rows=17, more="shuffle: false")
    last = list(open_loader(config, tmp_path, rank=1, world_size=2).epoch())[-1]
    assert last.negatives is not None
    assert len(items(last)) == max(last.rows, 1) + 8 + last.negatives.num_hard


def test_csv_rows_are_sampled_like_those_of_parquet(tmp_path: Path) -> None:
    config = two_tower_config(tmp_path, more="shuffle: false")
    expected = prints(list(open_loader(config, tmp_path).epoch()))
    config.data_config.dataset_type = data_pb2.CsvDataset
    config.data_config.with_header = True
    for part in sorted((tmp_path / "data").glob("*.parquet")):
        rows = pq.read_table(part).drop_columns(["click__item_id"]).to_pylist()
        names = list(rows[0])
        text = [",".join("" if row[name] is None else str(row[name]) for name in names) for row in rows]
        part.with_suffix(".csv").write_text("\n".join([",".join(names), *text]) + "\n")
        part.unlink()
    del config.feature_configs[-1]
    assert prints(list(open_loader(config, tmp_path, extension="csv").epoch())) == expected
