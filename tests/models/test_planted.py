"""The experiment experiments/planted covers every model; two of them are run here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import tzrec.models
from tzrec.protos.seq_encoder_pb2 import SeqEncoderConfig
from tzrec.registry import is_implemented

FOLDER = Path(__file__).parents[2] / "experiments" / "planted"
NOT_MODELS = {"__init__", "base", "build", "two_towers"}


def test_every_model_is_in_the_experiment() -> None:
    spec = importlib.util.spec_from_file_location("planted_models", FOLDER / "models.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = {path.stem for path in Path(tzrec.models.__path__[0]).glob("*.py")} - NOT_MODELS
    match_models = {path.stem for path in (FOLDER / "match").glob("*.config")}
    assert files == set(module.MODELS) | match_models


def test_every_sequence_encoder_is_in_the_experiment() -> None:
    members = SeqEncoderConfig.DESCRIPTOR.oneofs_by_name["seq_module"].fields
    files = {path.stem for path in (FOLDER / "sequence_encoders").glob("*.config")}
    assert files == {member.name for member in members if is_implemented(member)}


@pytest.mark.slow
def test_attention_finds_the_element_of_the_candidate() -> None:
    command = [sys.executable, str(FOLDER / "sequences.py"), "--encoders", "din_encoder", "pooling_encoder"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    assert "2 of 2 pass" in ran.stdout


@pytest.mark.slow
def test_two_models_overfit_and_find_the_signal() -> None:
    command = [sys.executable, str(FOLDER / "planted.py"), "--models", "deepfm", "mmoe"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    assert "2 of 2 pass" in ran.stdout


@pytest.mark.slow
def test_match_model_finds_planted_clusters() -> None:
    command = [sys.executable, str(FOLDER / "clusters.py"), "--models", "mind"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    assert "| mind |" in ran.stdout
