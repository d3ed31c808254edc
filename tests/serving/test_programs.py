"""A package with two programs, `user` and `item`, assembled by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from google.protobuf import text_format

from tzrec.checkpoint.file_record import FileRecord
from tzrec.errors import PackageError
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.models.base import RecModel
from tzrec.models.build import build_model
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.serving.compile import compile_program, example_inputs, trace_servable
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package import WEIGHTS, installed_versions, open_package, portable_path, program_path
from tzrec.serving.package_manifest import OutputSpec, PackageManifest, ProgramSpec
from tzrec.serving.portable import write_portable
from tzrec.serving.selftest import difference
from tzrec.serving.servable import Servable
from tzrec.serving.stored_tables import stored_tables
from tzrec.serving.weights import write_weights

CONFIG = """
train_input_path: "none" eval_input_path: "none" model_dir: "none"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  num_steps: 1
}}
data_config {{ dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 16 label_fields: "clk" }}
feature_configs {{
  id_feature {{ feature_name: "{side}" expression: "{side}:id" num_buckets: {rows} embedding_dim: 4 }}
}}
model_config {{
  feature_groups {{ group_name: "{side}" feature_names: "{side}" group_type: DEEP }}
  multi_tower {{
    towers {{ input: "{side}" mlp {{ hidden_units: 4 }} }}
    final {{ hidden_units: 2 }}
  }}
  losses {{ binary_cross_entropy {{}} }}
}}
"""


class Side:
    """A tower of one side: its features and its model."""

    def __init__(self, side: str, rows: int) -> None:
        config = text_format.Parse(CONFIG.format(side=side, rows=rows), EasyRecConfig())
        self.features = FeatureEncoder.from_config(config.feature_configs, config.data_config).features
        torch.manual_seed(rows)
        self.model: RecModel = build_model(config, self.features).eval()


SIDES = {"user": Side("user", 20), "item": Side("item", 30)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose tables are shared and whose other weights carry the name of their program."""
    path = tmp_path_factory.mktemp("package")
    tables, constants, programs = {}, {}, {}
    for name, side in SIDES.items():
        servable = Servable.from_model(side.model)
        program = trace_servable(servable)
        write_portable(program, portable_path(path, name))
        compile_program(program, program_path(path, name))
        own_tables = {f"tables.{table}": weight for table, weight in stored_tables(side.model).rows.items()}
        tables.update(own_tables)
        constants.update({f"{name}.{key}": value for key, value in servable.state_dict().items() if key != "tables"})
        outputs = servable.predict(example_inputs(servable.signature))
        specs = tuple(OutputSpec.from_tensor(output, outputs[output]) for output in sorted(outputs))
        programs[name] = ProgramSpec(servable.signature, tuple(own_tables), specs)
    order = sorted(constants, key=lambda key: -constants[key].itemsize)
    wide = {key: constants[key] for key in order if constants[key].itemsize >= 4}
    narrow = {key: constants[key] for key in order if constants[key].itemsize < 4}
    write_weights(path / WEIGHTS, {**wide, **tables, **narrow})
    manifest = PackageManifest("two_tower", 7, "FP32", programs, versions=installed_versions())
    replace(manifest, files={file.name: FileRecord.of(file) for file in path.iterdir()}).write(path)
    return path


@pytest.mark.parametrize("name", SIDES)
def test_program_of_two_predicts_as_its_model(directory: Path, name: str) -> None:
    package = open_package(directory)
    assert list(package.programs) == ["user", "item"]
    program, side = package.program(name), SIDES[name]
    assert program.signature.sparse == (name,)
    assert [output.name for output in program.outputs] == ["logits", "probs"]
    assert difference(program, side.model, side.features) < 1e-6


def test_package_without_program_model_raises(directory: Path) -> None:
    with pytest.raises(PackageError, match='has no program "model"; it has user, item'):
        open_package(directory).program()


def test_open_package_with_program_without_checksum_raises(directory: Path, tmp_path: Path) -> None:
    manifest = PackageManifest.read(directory)
    replace(manifest, programs={"../user": manifest.programs["user"]}).write(tmp_path)
    for name in manifest.files:
        (tmp_path / name).symlink_to(directory / name)
    with pytest.raises(PackageError, match=r"manifest.json has no checksum of \.\./user.pt2"):
        open_package(tmp_path)


def test_manifest_of_two_programs_lists_them_and_round_trips(directory: Path) -> None:
    value = json.loads((directory / MANIFEST).read_text())
    assert value["format"] == 4 and not {"signature", "inputs", "outputs", "tables"} & set(value)
    assert list(value["programs"]["item"]) == ["inputs", "signature", "tables", "outputs"]
    manifest = PackageManifest.read(directory)
    assert manifest.programs["item"].tables == ("tables.item_emb",)
    manifest.write(directory)
    assert json.loads((directory / MANIFEST).read_text()) == value
