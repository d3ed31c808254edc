"""Fixtures of the tests of features."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.tokenizers import write_bpe


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BPE tokenizer with the tokens 0, a, b and ab."""
    pytest.importorskip("tokenizers")
    return write_bpe(tmp_path_factory.mktemp("bpe"), {"0": 0, "a": 1, "b": 2, "ab": 3}, ["a b"])
