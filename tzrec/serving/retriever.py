"""Retriever: the index of items in the package of a user tower, for the vectors that the package computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from torch import Tensor

from tzrec.errors import PackageError
from tzrec.retrieval.index_files import ItemIndex, read_index
from tzrec.retrieval.interests import merge_interests, search_interests
from tzrec.serving.package_manifest import OutputSpec, PackageManifest

USER_OUTPUT = "user_tower_emb"
"""Output of a user tower: a vector, or one for each interest."""


class Retriever:
    """Finder of the items nearest to users.

    Args:
        index: of the items.
        output: name of the output with the vectors of users.

    Attributes:
        output: the same.
    """

    def __init__(self, index: ItemIndex, output: str) -> None:
        self.index, self.output = index, output

    @classmethod
    def open(cls, directory: Path, manifest: PackageManifest, outputs: Sequence[OutputSpec]) -> Retriever:
        """Open the index in the directory of a package.

        Args:
            directory: of the package.
            manifest: of the package.
            outputs: of its program.

        Raises:
            PackageError: there is no index, it is damaged, or it does not belong to this package.
            SetupError: it is an index of faiss, which is not installed.
        """
        index = read_index(directory)
        ensure_same_training(directory, manifest, index.manifest.trained)
        return cls(index, user_output(directory, outputs, index.manifest.dimension))

    def retrieve(self, outputs: Mapping[str, Tensor], count: int) -> pa.Table:
        """Find the items nearest to users.

        Args:
            outputs: of the package; the vectors are `(B, D)`, or `(B, I, D)` with several interests.
            count: how many items to find.

        Returns:
            a row per user: `ids` and `scores`, lists with the best item first.
        """
        vectors = outputs[self.output].float()
        interests = vectors.reshape(len(vectors), -1, vectors.shape[-1]).contiguous().numpy()  # (B, I, D)
        neighbours = search_interests(self.index.vectors, interests, count)
        return self.index.to_table(merge_interests(neighbours, interests.shape[1], self.index.vectors.metric))


def ensure_same_training(directory: Path, manifest: PackageManifest, trained: str) -> None:
    """Check that item vectors were computed with the checkpoint of a package of users.

    Args:
        directory: of the package, for the error.
        manifest: of the package.
        trained: digest of the checkpoint of the items; "" if it is not known.

    Raises:
        PackageError: it is another one.
    """
    if trained and manifest.checkpoint and trained != manifest.checkpoint:
        raise PackageError(
            f"the item vectors were computed with another checkpoint than {directory} was exported from, so their "
            "products have no meaning; predict the items with the item package of the same export, then create the "
            "index again: tzrec index"
        )


def user_output(directory: Path, outputs: Sequence[OutputSpec], dimension: int) -> str:
    """Find the output of a package with the vectors of users: USER_OUTPUT, or the only one of this width.

    Raises:
        PackageError: there is none, or it has another width.
    """
    names = [output.name for output in outputs if output.shape and output.dtype.startswith(("float", "bfloat"))]
    if USER_OUTPUT in names:
        names = [USER_OUTPUT]
    shapes = {output.name: output.shape for output in outputs}
    fitting = [name for name in names if shapes[name][-1] == dimension]
    if len(fitting) == 1:
        return fitting[0]
    given = ", ".join(f"{output.name} {list(output.shape)}" for output in outputs)
    raise PackageError(
        f"the items have vectors of {dimension:,}, and {directory} has {'several' if fitting else 'no'} outputs of "
        f"this width (its outputs: {given}); create the index in the package of the user tower of the same model"
    )
