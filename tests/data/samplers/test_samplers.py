"""Samplers: numbers of rows, distributions, exclusions and repeatability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tests.fixtures.item_tables import EDGES, FIELDS, NODES, appended, batch, make, nodes, sampled, table
from tzrec.errors import DataError

__all__ = ["table"]

Table = Callable[..., str]


def simple(path: str, num: int = 8, more: str = "") -> str:
    return f'negative_sampler {{ input_path: "{path}" num_sample: {num} {FIELDS} {more} }}'


def hard(items: str, edges: str, num: int = 8, num_hard: int = 8) -> str:
    return (
        f'hard_negative_sampler {{ user_input_path: "-" item_input_path: "{items}" hard_neg_edge_input_path: "{edges}" '
        f'num_sample: {num} num_hard_sample: {num_hard} {FIELDS} user_id_field: "user_id" }}'
    )


def second(items: str, edges: str, num: int = 8, more: str = "") -> str:
    return (
        f'negative_sampler_v2 {{ user_input_path: "-" item_input_path: "{items}" pos_edge_input_path: "{edges}" '
        f'num_sample: {num} {FIELDS} user_id_field: "user_id" {more} }}'
    )


def test_simple_sampler_with_hundred_items_adds_eight_rows(table: Table) -> None:
    rows = appended(make(simple(table("items", NODES, nodes(100)))).sample(batch([0, 1, 2, 3]), 1))
    assert rows.columns.schema.names == ["item_id", "price"]
    assert rows.num_rows == rows.negatives.num_sampled == 8
    ids = rows.columns.column("item_id").to_pylist()
    assert rows.columns.column("price").to_pylist() == pytest.approx([i / 10 for i in ids])
    assert rows.negatives.positive_ids.tolist() == [0, 1, 2, 3]
    assert rows.negatives.sampled_ids.tolist() == ids == [int(rows.id_text(row)) for row in range(8)]
    assert rows.negatives.hard_index.shape == (0, 2)


@pytest.mark.parametrize("positives", [1, 3, 8, 20])
def test_number_of_rows_does_not_depend_on_the_positives(table: Table, positives: int) -> None:
    sampler = make(simple(table("items", NODES, nodes(100))))
    assert len(sampled(sampler, batch(list(range(positives))))) == 8


def test_hard_sampler_adds_neighbours_in_the_order_of_the_edges(table: Table) -> None:
    edges = table("edges", EDGES, [(7, 3, 1), (5, 99, 1), (7, 9, 1), (7, 1, 1)])
    sampler = make(hard(table("items", NODES, nodes(100)), edges, num_hard=2))
    rows = appended(sampler.sample(batch([0, 1, 2], users=[7, 6, 5]), 1))
    assert rows.num_rows == 8 + 3
    assert rows.columns.column("item_id").to_pylist()[8:] == [3, 9, 99]
    assert rows.negatives.hard_index.tolist() == [[0, 0], [0, 1], [2, 0]]
    assert rows.negatives.sampled_ids.tolist()[8:] == [3, 9, 99]
    assert (rows.negatives.num_sampled, rows.negatives.num_hard, len(rows.negatives.log_probability)) == (8, 3, 8)


def test_hard_sampler_with_an_edge_per_user_has_an_index(table: Table) -> None:
    edges = table("edges", EDGES, [(i, 99 - i, 1) for i in range(100)])
    rows = appended(make(hard(table("items", NODES, nodes(100)), edges)).sample(batch([0, 1, 2, 3], [0, 1, 2, 3]), 1))
    assert rows.columns.column("item_id").to_pylist()[8:] == [99, 98, 97, 96]
    assert rows.negatives.hard_index.tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]


@pytest.mark.parametrize("header", [EDGES, ""])
def test_hard_sampler_without_edges_adds_simple_rows_only(table: Table, header: str) -> None:
    sampler = make(hard(table("items", NODES, nodes(100)), table("edges", header)))
    rows = appended(sampler.sample(batch([0, 1], users=[0, 1]), 1))
    assert (rows.num_rows, rows.negatives.num_hard) == (8, 0)


def test_second_hard_sampler_joins_both_kinds_of_edges(table: Table) -> None:
    items = table("items", NODES, nodes(20))
    positive = table("positive", EDGES, [(1, i, 1) for i in range(10)] + [(2, i, 1) for i in range(5, 15)])
    text = second(items, positive).replace("negative_sampler_v2 {", "hard_negative_sampler_v2 {")
    text = text.replace("num_sample", f'hard_neg_edge_input_path: "{table("hard", EDGES, [(1, 19, 1)])}" num_sample')
    sampler = make(text.replace("num_sample: 8", "num_sample: 8 num_hard_sample: 3"))
    ids = sampled(sampler, batch([0], users=[1]))
    assert set(ids[:8]) <= {10, 11, 12, 13, 14}, "targets of edges, and none of user 1"
    assert ids[8:] == [19]


@pytest.mark.parametrize(("stage", "field", "expected"), [("eval", "num_eval_sample: 3", 3), ("eval", "", 8)])
def test_evaluation_has_its_own_number(table: Table, stage: str, field: str, expected: int) -> None:
    items = table("items", NODES, nodes(30))
    assert len(sampled(make(simple(items, more=field), "eval"), batch([1]))) == expected
    assert len(sampled(make(simple(items, more="num_eval_sample: 0"), "eval"), batch([1]))) == 8
    assert len(sampled(make(simple(items, more=field)), batch([1]))) == 8


def test_large_pool_gives_no_item_of_the_batch(table: Table) -> None:
    sampler = make(simple(table("items", NODES, nodes(49))))
    drawn = {i for key in range(2000) for i in sampled(sampler, batch([0, 1, 2, 3]), key)}
    assert drawn == set(range(4, 49))


def test_small_pool_gives_what_is_left(table: Table) -> None:
    """The batch has all but one item: tries at random would not end."""
    lines = [*nodes(999, weight=1000.0), (999, 1e-9, "999:1")]
    sampler = make(simple(table("items", NODES, lines)))
    rows = appended(sampler.sample(batch(list(range(999))), 1))
    assert rows.columns.column("item_id").to_pylist() == [999] * 8
    assert rows.negatives.log_probability.tolist() == [0.0] * 8


def test_rows_left_over_are_drawn_by_weight(table: Table) -> None:
    lines = [*nodes(97, weight=1e6), (97, 1, "97:1"), (98, 3, "98:1")]
    ids = sampled(make(simple(table("items", NODES, lines), num=4000)), batch(list(range(97))))
    assert set(ids) == {97, 98}
    assert abs(ids.count(98) / 4000 - 0.75) < 3 * np.sqrt(0.75 * 0.25 / 4000)


def test_pool_of_one_item_that_is_in_the_batch_is_repeated(table: Table) -> None:
    assert sampled(make(simple(table("items", NODES, nodes(1)))), batch([0])) == [0] * 8


def test_frequencies_follow_the_weights(table: Table) -> None:
    weights = {1: 1.0, 2: 2.0, 3: 0.0, 4: 5.0, 5: 0.5, 6: 1e-9}
    items = table("items", NODES, [(i, w, f"{i}:0") for i, w in weights.items()])
    draws = 30_000
    rows = appended(make(simple(items, draws)).sample(batch([2]), 5))
    ids = rows.columns.column("item_id").to_pylist()
    counts, total = Counter(ids), sum(weights.values()) - weights[2]
    for item in (1, 4, 5):
        p = weights[item] / total
        assert abs(counts[item] / draws - p) < 3 * np.sqrt(p * (1 - p) / draws)
    assert counts[2] == counts[3] == 0
    log_p = rows.negatives.log_probability.tolist()
    assert all(x == pytest.approx(np.log(weights[i] / total), abs=1e-6) for i, x in zip(ids, log_p, strict=True))


def test_last_item_is_drawn_like_the_others(table: Table) -> None:
    ids = sampled(make(simple(table("items", NODES, nodes(10)), 20_000)), batch([77]))
    assert np.allclose(np.bincount(ids) / 20_000, 0.1, atol=3 * np.sqrt(0.09 / 20_000))


def test_unknown_item_is_excluded_by_value_only(table: Table) -> None:
    sampler = make(simple(table("items", NODES, nodes(5)), 500))
    assert set(sampled(sampler, batch([1234, None]))) == {1, 2, 3, 4}, "null counts as 0"
    assert set(sampled(sampler, batch([1234]))) == set(range(5))


def test_second_sampler_excludes_neighbours_of_all_users(table: Table) -> None:
    edges = [(user, item, 1) for user, item in [(1, 0), (1, 1), (2, 2), (2, 3), (3, 4), (3, 5), (3, 6), (4, 0)]]
    sampler = make(second(table("items", NODES, nodes(20)), table("edges", EDGES, edges), 300))
    assert set(sampled(sampler, batch([4, 9], users=[1, 2]))) == {5, 6}
    assert set(sampled(sampler, batch([9], users=[1]))) == {2, 3, 4, 5, 6}, "only targets of edges"


def test_second_sampler_treats_unknown_user_as_without_edges(table: Table) -> None:
    edges = [(1, 0, 1), (1, 1, 1)]
    sampler = make(second(table("items", NODES, nodes(20)), table("edges", EDGES, edges), 300))
    assert set(sampled(sampler, batch([9], users=[77]))) == {0, 1}
    assert set(sampled(sampler, batch([9], users=[1]))) == {0, 1}, "nothing is left: all targets"


@pytest.mark.parametrize(("more", "expected"), [("", 0.75), ("is_uniform: true", 0.5)])
def test_second_sampler_draws_by_weight_unless_uniform(table: Table, more: str, expected: float) -> None:
    items = table("items", NODES, [(0, 1, "0:0"), (1, 3, "1:0"), (2, 9, "2:0")])
    sampler = make(second(items, table("edges", EDGES, [(1, 0, 1), (1, 1, 1), (2, 1, 1)]), 4000, more))
    ids = sampled(sampler, batch([9], users=[77]))
    assert abs(ids.count(1) / 4000 - expected) < 3 * np.sqrt(expected * (1 - expected) / 4000)


def test_equal_keys_draw_the_same_rows(table: Table) -> None:
    text, raw = simple(table("items", NODES, nodes(1000)), 50), batch([1, 2])
    first = make(text)
    assert sampled(first, raw, 3) == sampled(make(text), raw, 3)
    assert sampled(first, raw, 3) != sampled(first, raw, 4)


def test_string_ids_of_table_and_batch_are_matched(table: Table) -> None:
    items = table("items", NODES.replace("int64", "string"), [(f"i{i}", 1, f"i{i}:0") for i in range(5)])
    rows = appended(make(simple(items, 300)).sample(batch(["i0", "other", None]), 1))
    assert set(rows.columns.column("item_id").to_pylist()) == {"i1", "i2", "i3", "i4"}
    assert {rows.id_text(row) for row in range(300)} == {"i1", "i2", "i3", "i4"}
    assert rows.negatives.positive_ids[2] == 0
    assert len(set(rows.negatives.sampled_ids.tolist())) == 4


def test_ids_of_another_type_are_converted(table: Table) -> None:
    numbers = make(simple(table("items", NODES, nodes(3)), 50))
    assert set(sampled(numbers, batch(["0", "1", None]))) == {"2"}
    texts = make(simple(table("texts", NODES.replace("int64", "string"), nodes(3)), 50))
    assert set(sampled(texts, batch([0, 1]))) == {2}


def test_text_that_is_no_id_is_reported(table: Table) -> None:
    rows = make(simple(table("items", NODES, nodes(3)))).sample(batch(["0", "x"]), 1)
    assert rows.bad.reports[0][:2] == ("item_id", "not an integer")
    assert rows.bad.mask.tolist() == [False, True]


def test_column_of_lists_is_rejected_as_id(table: Table) -> None:
    with pytest.raises(DataError, match=r'column "item_id" is list<.*>; a sampler needs one integer or text per row'):
        make(simple(table("items", NODES, nodes(3)))).sample(batch([[0], [1]]), 1)


def test_lists_of_encoded_data_are_split_by_its_separator(table: Table) -> None:
    items = table("items", NODES, [(1, 1, "1:4\x035"), (2, 1, "2:6\x1d7")])
    text = f'{simple(items, 30)} fg_encoded_multival_sep: "\\x03"'
    raw = batch([9], price=pa.array([[1]], pa.list_(pa.int64())))
    rows = appended(make(text, mode="FG_NONE").sample(raw, 1)).columns.to_pylist()
    assert {(row["item_id"], tuple(row["price"])) for row in rows} == {(1, (4, 5)), (2, (6, 7))}
    with_bad = appended(make(text, mode="FG_DAG").sample(raw, 1))
    assert {reason for _, reason, _, _ in with_bad.bad.reports} == {"not an integer"}


def test_negatives_of_rows_that_are_left_out_go_with_them(table: Table) -> None:
    edges = table("edges", EDGES, [(7, 3, 1), (5, 99, 1), (7, 9, 1), (6, 1, 1)])
    rows = make(hard(table("items", NODES, nodes(100)), edges)).sample(batch([0, 1, 2], users=[7, 6, 5]), 1)
    kept = rows.keep(np.array([False, True, True]))
    negatives = appended(kept).negatives
    assert negatives.hard_index.tolist() == [[0, 0], [1, 0]]
    assert negatives.positive_ids.tolist() == [1, 2]
    assert negatives.sampled_ids.tolist()[8:] == [1, 99] == appended(kept).columns.column("item_id").to_pylist()[8:]
    assert (kept.raw.num_rows, kept.origin.tolist(), appended(kept).id_text(9)) == (2, [1, 2], "99")
