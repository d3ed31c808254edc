from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.fixtures.small_model import exported_package, small_config, small_encoder, small_model, small_rows
from tests.retrieval.test_index import vectors
from tzrec.errors import PackageError, UsageError
from tzrec.retrieval.index import build_index
from tzrec.retrieval.index_files import write_index
from tzrec.retrieval.options import IndexOptions
from tzrec.retrieval.vectors import ItemVectors
from tzrec.serving.package_manifest import OutputSpec, PackageManifest
from tzrec.serving.predictor import Predictor, load
from tzrec.serving.retriever import Retriever, user_output
from tzrec.serving.servable import Servable

USER = OutputSpec("user_tower_emb", "float32", (3,))


def write(directory: Path, dimension: int = 3, trained: str = "", index_type: str = "FlatIP") -> ItemVectors:
    """Write an index of 50 items with the ids 100 to 149."""
    items = ItemVectors.of(pa.array(range(100, 150)), vectors(50, dimension))
    options = IndexOptions(index_type)
    write_index(directory, build_index(items.values, options), items, options, trained)
    return items


def manifest(checkpoint: str = "") -> PackageManifest:
    return PackageManifest("dssm", 3, "FP32", {}, checkpoint=checkpoint)


@pytest.mark.parametrize("num_interests", [0, 1, 4])
def test_retrieve_equals_products_in_float64(num_interests: int, tmp_path: Path) -> None:
    """Vectors `(B, D)` and `(B, I, D)`; of several interests, the best product of each item counts."""
    items = write(tmp_path)
    shape = (6, num_interests, 3) if num_interests else (6, 3)
    users = torch.from_numpy(vectors(18 * max(num_interests, 1), 1, seed=4)).reshape(shape)
    if num_interests:
        users[2, 1:] = 0
    table = Retriever.open(tmp_path, manifest(), [USER]).retrieve({"user_tower_emb": users}, 8)
    for user, ids, scores in zip(users.double(), table["ids"].to_pylist(), table["scores"].to_pylist()):
        products = items.values.astype(np.float64) @ user.reshape(-1, 3).numpy().T  # (N, I)
        products = products[:, user.reshape(-1, 3).any(dim=1).numpy()].max(axis=1)
        order = np.argsort(-products)[:8]
        assert ids == (100 + order).tolist()
        np.testing.assert_allclose(scores, products[order], atol=1e-5)


def test_retrieve_of_cosine_and_distance_indexes(tmp_path: Path) -> None:
    items = write(tmp_path, index_type="ExactL2")
    users = torch.from_numpy(items.values[:2])
    table = Retriever.open(tmp_path, manifest(), [USER]).retrieve({"user_tower_emb": users}, 2)
    assert [ids[0] for ids in table["ids"].to_pylist()] == [100, 101]
    assert [scores[0] for scores in table["scores"].to_pylist()] == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize(("checkpoint", "trained"), [("a", "a"), ("", "a"), ("a", ""), ("", "")])
def test_retriever_of_same_or_unknown_training_opens(checkpoint: str, trained: str, tmp_path: Path) -> None:
    write(tmp_path, trained=trained)
    assert Retriever.open(tmp_path, manifest(checkpoint), [USER]).output == "user_tower_emb"


def test_retriever_of_another_training_is_refused(tmp_path: Path) -> None:
    write(tmp_path, trained="b")
    with pytest.raises(PackageError, match=r"another checkpoint than .* was exported from.*index again: tzrec index$"):
        Retriever.open(tmp_path, manifest("a"), [USER])


def test_retriever_without_index_says_how_to_create_one(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="has no index of items: create one with `tzrec index`"):
        Retriever.open(tmp_path, manifest(), [USER])


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([USER], "user_tower_emb"),
        ([OutputSpec("user_tower_emb", "float32", (4, 3))], "user_tower_emb"),
        ([OutputSpec("a", "float32", (3,)), USER], "user_tower_emb"),
        ([OutputSpec("a", "float32", (3,)), OutputSpec("b", "float32", ()), OutputSpec("c", "int64", (3,))], "a"),
    ],
)
def test_user_output_is_the_named_one_or_the_only_one_of_the_width(outputs: list[OutputSpec], expected: str) -> None:
    assert user_output(Path("export"), outputs, 3) == expected


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (
            [OutputSpec("user_tower_emb", "float32", (4,))],
            r"of 3, and export has no .*: user_tower_emb \[4\]\)",
        ),
        (
            [OutputSpec("a", "float32", (3,)), OutputSpec("b", "float32", (3,))],
            r"has several outputs of .* a \[3\], b",
        ),
    ],
)
def test_user_output_that_is_not_clear_is_an_error(outputs: list[OutputSpec], message: str) -> None:
    with pytest.raises(PackageError, match=message):
        user_output(Path("export"), outputs, 3)


def predictor(directory: Path) -> Predictor:
    """A predictor whose output `probs_kind`, of width 3, is taken as the vector of a user."""
    spec = OutputSpec("probs_kind", "float32", (3,))
    servable = Servable.from_model(small_model())
    return Predictor(servable, small_config(), small_encoder(), lambda: Retriever.open(directory, manifest(), [spec]))


@pytest.mark.parametrize("frame", [lambda table: table, lambda table: table.to_pydict()], ids=["table", "dict"])
def test_retrieve_of_predictor_equals_products_of_its_output(frame: object, tmp_path: Path) -> None:
    items, rows = write(tmp_path), small_rows(20)
    finder = predictor(tmp_path)
    table = finder.retrieve(rows, 50)
    probs = np.stack(finder.predict(rows)["probs_kind"].to_numpy()).astype(np.float64)
    products = probs @ items.values.astype(np.float64).T
    assert table["ids"].to_pylist() == (100 + np.argsort(-products, axis=1)).tolist()
    np.testing.assert_allclose(np.stack(table["scores"].to_numpy()), -np.sort(-products, axis=1), atol=1e-5)


def test_retrieve_by_several_threads_opens_the_index_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    finder, opened = predictor(tmp_path), []
    original = Retriever.open
    monkeypatch.setattr(Retriever, "open", lambda *arguments: opened.append(1) or original(*arguments))
    frames = [small_rows(40).slice(first, 5) for first in range(0, 40, 5)]
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(lambda frame: finder.retrieve(frame, 7), frames))
    assert opened == [1]
    assert tables == [finder.retrieve(frame, 7) for frame in frames]


@pytest.mark.parametrize("k", [0, -1, 2.0, True, "3"])
def test_retrieve_of_invalid_number_is_a_usage_error(k: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="k must be a whole number from 1 up; received"):
        predictor(tmp_path).retrieve(small_rows(1), k)  # type: ignore[arg-type]


def test_retrieve_of_package_without_index_is_a_package_error() -> None:
    with pytest.raises(PackageError, match="has no index of items: create one with `tzrec index`"):
        load(exported_package()).retrieve(small_rows(1), 3)
