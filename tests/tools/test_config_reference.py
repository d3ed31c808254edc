"""Config reference: every message and field of protos/, with comments and rules."""

from __future__ import annotations

from pathlib import Path

from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tools import config_reference

ROOT = Path(__file__).parents[2]

PROTO = """
syntax = "proto2";
package tzrec.protos;
// Two
// lines.
message Tower {
  // Name | of it.
  required string name = 1;
  oneof kind {
    // Deep.
    Tower deep = 2;
  }
  // How many.
  repeated uint32 sizes = 3;
  // Joins.
  optional string sep = 4 [default = ";"];
}
enum Mode {
  // Off.
  NONE = 0;
}
message Empty {}
"""


def test_reference_of_a_proto_has_comments_types_and_defaults(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text(PROTO)
    text = config_reference.reference(config_reference.descriptors(tmp_path))
    assert "### Tower\n\nTwo lines.\n" in text
    assert "| `name` | required string |  | Name \\| of it. |" in text
    assert "| `deep` | [Tower](#tower) |  | one of `kind`. Deep. |" in text
    assert "| `sizes` | repeated uint32 |  | How many. |" in text
    assert "| `sep` | string | `';'` | Joins. |" in text
    assert "### Mode\n\n| value | meaning |\n|---|---|\n| `NONE` | Off. |" in text
    assert "### Empty\n\nNo fields." in text


def test_reference_shows_rules_and_fields_without_support() -> None:
    text = config_reference.reference(config_reference.descriptors(ROOT / "protos"))
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert "Rule: in [0, 1]." in rows["sample_mask_prob"]
    assert "Rule: one of `latest`, `best`." in rows["exporter_type"]
    assert "**No effect**: batches are always in the order of the data." in rows["in_order"]
    assert "**Not supported**; leave it out." in rows["delta_embedding_dump_config"]
    assert "**Cannot be read**; write the topic to Parquet" in rows["KafkaDataset"]
    assert "**Not supported.**" in rows["sid_rqvae"]
    assert "### JRCLoss" in text and "For tasks with num_class 2." in text
    assert "options.proto" not in text
    assert "ServerLiveRequest" not in text  # of the server, not of a config


def test_committed_reference_is_up_to_date() -> None:
    generated = config_reference.reference(config_reference.descriptors(ROOT / "protos"))
    assert (ROOT / "docs" / "config_reference.md").read_text() == generated, "run `make docs` and commit the result"


def test_every_field_has_a_comment() -> None:
    text = config_reference.reference(config_reference.descriptors(ROOT / "protos"))
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    fields = [row for row in rows if len(row) == 4]
    assert len(fields) > 1149
    assert [row[0] for row in fields if row[3].strip(" |") == ""] == []
    assert all(f"| `{field.name}` |" in text for field in EasyRecConfig.DESCRIPTOR.fields)
