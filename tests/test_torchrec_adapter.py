"""Private names of torch, torchrec and fbgemm: they exist in the releases that the adapter was checked against."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.nn.parallel import DistributedDataParallel
from torchrec.distributed import collective_utils
from torchrec.distributed.batched_embedding_kernel import BaseBatchedEmbeddingBag, BatchedFusedEmbedding
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embedding_lookup import GroupedEmbeddingsLookup, GroupedPooledEmbeddingsLookup
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection

from tzrec import torchrec_adapter
from tzrec.torchrec_adapter import CHECKPOINT_CLASSES, RELEASES, linear_relu, local_shards, map_shards

SOURCE = Path(torchrec_adapter.__file__).read_text()


def test_releases_are_those_installed() -> None:
    fbgemm = importlib.import_module("fbgemm_gpu")
    installed = [".".join(text.split(".")[:2]) for text in (torch.__version__, version("torchrec"), fbgemm.__version__)]
    assert installed in [[release, partner, partner] for release, partner in RELEASES.items()]


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            ShardedEmbeddingBagCollection,
            "_has_uninitialized_input_dist _create_input_dist _has_features_permute _features_order "
            "_features_order_tensor _lookups _embedding_names _embedding_dims _pooling_type_to_rs_features",
        ),
        (
            ShardedEmbeddingCollection,
            "_has_uninitialized_input_dist _create_input_dist _features_order _features_order_tensor _feature_splits "
            "_lookups _embedding_dim _embedding_names_per_sharding",
        ),
        (GroupedPooledEmbeddingsLookup, "_emb_modules"),
        (GroupedEmbeddingsLookup, "_emb_modules"),
        (BaseBatchedEmbeddingBag, "_pg"),
        (BatchedFusedEmbedding, "_pg"),
        (DistributedDataParallel, "_static_graph_delay_allreduce_enqueued"),
        (FileSystemReader, "_get_metadata_path"),
    ],
    ids=lambda value: getattr(value, "__name__", "names"),
)
def test_private_names_occur_in_class(owner: type, names: str) -> None:
    text = "".join(inspect.getsource(base) for base in owner.__mro__ if base.__module__.startswith("torch"))
    for name in names.split():
        assert name in SOURCE, "the adapter does not use it any more"
        assert name in text


def test_exchange_that_torchrec_does_once_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks of which some took part in a run before would otherwise wait for each other; see also test_many_ranks."""
    exchanged = []
    monkeypatch.setattr(collective_utils, "invoke_on_rank_and_broadcast_result", lambda **values: exchanged.append(1))
    for _ in range(2):
        torchrec_adapter.forget_earlier_runs()
        collective_utils.init_collective_validation(pg=None)  # type: ignore[arg-type]
        collective_utils.init_collective_validation(pg=None)  # type: ignore[arg-type]
    assert exchanged == [1, 1]


def test_set_fused_params_attributes_are_read_by_torchrec() -> None:
    text = inspect.getsource(importlib.import_module("torchrec.distributed.embeddingbag"))
    for name in ("_optimizer_classes", "_optimizer_kwargs"):
        assert name in SOURCE
        assert name in text


def test_private_functions_exist() -> None:
    from torch._inductor import cpp_builder, exc
    from torch.distributed._shard.sharded_tensor import Shard, ShardedTensor, ShardedTensorMetadata
    from torch.distributed._shard.sharding_spec import ShardMetadata

    assert Shard and ShardMetadata and ShardedTensorMetadata
    assert callable(ShardedTensor._init_from_local_shards_and_global_metadata)
    assert hasattr(ShardedTensor, "_process_group") or "_process_group" in inspect.getsource(ShardedTensor)
    assert callable(cpp_builder.get_cpp_compiler)
    assert issubclass(exc.InvalidCxxCompiler, Exception)
    assert issubclass(exc.CppCompileError, Exception)
    assert hasattr(torch._C._aoti, "AOTIModelPackageLoader")
    assert callable(torch._inductor.aoti_compile_and_package)


def test_checkpoint_classes_of_torch_exist() -> None:
    for module, name in CHECKPOINT_CLASSES:
        if module.startswith("torch"):
            assert hasattr(importlib.import_module(module), name)


def test_linear_relu_equals_torch() -> None:
    x, weight, bias = torch.randn(3, 5), torch.randn(4, 5), torch.randn(4)
    expected = torch.nn.functional.linear(x, weight, bias).relu()
    torch.testing.assert_close(linear_relu(x, weight, bias), expected)


def test_tensor_that_is_not_sharded_is_its_own_shard() -> None:
    tensor = torch.ones(2)
    assert local_shards(tensor)[0] is tensor
    assert map_shards(tensor, lambda shard: shard + 1).tolist() == [2, 2]
