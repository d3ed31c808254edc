"""Config reference: every message and field of protos/, with comments and rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool, message_factory

from tzrec.config.example_text import example_texts
from tzrec.config.parser import parse
from tzrec.config.syntax import Body, parse_tree
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


def generated() -> dict[str, str]:
    files = config_reference.descriptors(ROOT / "protos")
    return config_reference.reference(files, example_texts(ROOT / "examples" / "configs"))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return generated()


def test_page_of_a_proto_has_comments_types_defaults_and_examples(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text(PROTO)
    documents = config_reference.reference(config_reference.descriptors(tmp_path), {"Tower": "tower { sizes: [1] }\n"})
    assert sorted(documents) == ["config/a.md", "config_reference.md"]
    text = documents["config/a.md"]
    assert "### Tower\n\nTwo lines.\n" in text
    assert "Used in [Tower](#tower).deep.\n" in text
    assert "| `name` | required string |  | Name \\| of it. |" in text
    assert "| `deep` | [Tower](#tower) |  | one of `kind`. Deep. |" in text
    assert "| `sizes` | repeated uint32 |  | How many. |" in text
    assert "| `sep` | string | `';'` | Joins. |" in text
    assert "### Mode\n\n| value | meaning |\n|---|---|\n| `NONE` | Off. |" in text
    assert "### Empty\n\n**Not implemented**: no field that is supported has this type.\n\nNo fields." in text
    assert "Example:\n\n```proto\ntower { sizes: [1] }\n```\n" in text
    assert "- [Tower](config/a.md#tower) (not implemented): Two lines." in documents["config_reference.md"]


def test_pages_show_rules_and_fields_without_support(pages: dict[str, str]) -> None:
    text = "".join(pages.values())
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert "Rule: in [0, 1]." in rows["sample_mask_prob"]
    assert "Rule: one of `latest`, `best`." in rows["exporter_type"]
    assert "**No effect**: batches are always in the order of the data." in rows["in_order"]
    assert "**Not supported**; leave it out." in rows["delta_embedding_dump_config"]
    assert "**Cannot be read**; write the topic to Parquet" in rows["KafkaDataset"]
    assert "**Not supported.**" in rows["sid_rqvae"]
    assert "### JRCLoss" in text
    assert "For tasks with num_class 2." in text
    assert "options.proto" not in text
    assert "ServerLiveRequest" not in text  # of the server, not of a config


def test_index_marks_messages_without_implementation(pages: dict[str, str]) -> None:
    lines = pages["config_reference.md"].splitlines()
    assert any(line.startswith("- [SidRqvae](config/models.md#sidrqvae) (not implemented): ") for line in lines)
    marked = [line for line in lines if "(not implemented)" in line]
    assert not any(name in line for line in marked for name in ("MMoE", "DataConfig", "ServeConfig", "TuneConfig"))
    assert len(lines) - len(marked) > 150


def test_every_link_leads_to_a_title(pages: dict[str, str]) -> None:
    anchors = {
        name: {line[4:].lower() for line in text.splitlines() if line[:4] == "### "} for name, text in pages.items()
    }
    for name, text in pages.items():
        for target, anchor in re.findall(r"\]\(([\w/.]*)#(\w+)\)", text):
            page = str(Path(name).parent / target) if target else name
            assert anchor in anchors[page], f"{name}: {target}#{anchor}"


def test_examples_are_values_of_their_messages() -> None:
    texts = example_texts(ROOT / "examples" / "configs")
    assert texts["NegativeSampler"].startswith("negative_sampler {")
    assert len(texts) > 100
    for name, text in texts.items():
        (entry,) = parse_tree(text).entries
        (body,) = entry.values
        assert isinstance(body, Body), name
        message = message_factory.GetMessageClass(
            descriptor_pool.Default().FindMessageTypeByName(f"tzrec.protos.{name}")
        )()
        parsed = parse(text[text.index("{", entry.start) + 1 : body.end], message, name)
        assert parsed.problems == []


def test_committed_pages_are_up_to_date(pages: dict[str, str]) -> None:
    committed = [ROOT / "docs" / "config_reference.md", *(ROOT / "docs" / "config").iterdir()]
    texts = {str(path.relative_to(ROOT / "docs")): path.read_text() for path in committed}
    assert texts == pages, "run `make docs` and commit the result"


def test_every_field_has_a_comment(pages: dict[str, str]) -> None:
    rows = [line.split(" | ") for text in pages.values() for line in text.splitlines() if line.startswith("| `")]
    fields = [row for row in rows if len(row) == 4]
    assert len(fields) > 1149
    assert [row[0] for row in fields if row[3].strip(" |") == ""] == []
    assert all(f"| `{field.name}` |" in pages["config/pipeline.md"] for field in EasyRecConfig.DESCRIPTOR.fields)
