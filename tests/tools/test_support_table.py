"""Table of the supported parts of the schema."""

from __future__ import annotations

import support_table

from tzrec.config.schema import message_type


def test_table_lists_every_member_once() -> None:
    cells = [cell for line in support_table.table().splitlines()[2:] for cell in line.split(" | ")[1:]]
    row = next(line for line in support_table.table().splitlines() if line.startswith("| models"))
    oneof = support_table.messages()["ModelConfig"].oneofs_by_name["model"]
    assert all(row.count(f"`{field.name}`") == 1 for field in oneof.fields)
    assert len(cells) == 2 * 13


def test_models_are_supported_or_not() -> None:
    supported, rest = next(
        line.split(" | ")[1:] for line in support_table.table().splitlines() if line.startswith("| models")
    )
    assert "`mmoe`" in supported
    assert "`dlrm_hstu`" in rest
    assert "`dlrm_hstu`" not in supported


def test_fields_without_effect_are_listed() -> None:
    row = next(line for line in support_table.table().splitlines() if "no effect" in line)
    assert "`TrainConfig.is_profiling`" in row
    assert "`TrainConfig.num_steps`" not in row


def test_fields_of_supported_messages_that_are_not_supported_are_listed() -> None:
    last = support_table.table().splitlines()[-1]
    assert '`LookupFeature.combiner: "gap_min"`' in last
    assert "`KvDotProduct.kv_delimiter`" in last
    hstu = message_type(support_table.messages()["ModelConfig"].fields_by_name["dlrm_hstu"])
    assert f"`{hstu.name}." not in last
