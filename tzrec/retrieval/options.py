"""Kinds of an index and their parameters, without the packages that build one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Metric = Literal["IP", "L2"]
IVF, HNSW = "IVFFlat", "HNSWFlat"

INDEX_TYPES = ("ExactIP", "ExactL2", "FlatIP", "FlatL2", "IVFFlatIP", "IVFFlatL2", "HNSWFlatIP", "HNSWFlatL2")
"""Kind and metric: exact in NumPy; of faiss: exact, lists around centroids, a graph of neighbours."""


READERS = ("ParquetReader", "CsvReader", "OrcReader", "ArrowReader")
"""Formats of tables, for `--reader_type`: CsvReader for text with a header and commas."""


@dataclass(frozen=True)
class IndexOptions:
    """Kind of an index and its parameters; those of other kinds are not read.

    Attributes:
        index_type: one of INDEX_TYPES.
        nlist: IVF: number of lists, at most that of the items.
        nprobe: IVF: number of lists that a search reads, at most `nlist`.
        num_links: HNSW: links of an item in the graph, `M`.
        ef_construction: HNSW: candidates that are considered when an item is added.
        ef_search: HNSW: candidates that a search considers, at least the number of items to find.
    """

    index_type: str = "FlatIP"
    nlist: int = 1000
    nprobe: int = 80
    num_links: int = 32
    ef_construction: int = 200
    ef_search: int = 128

    @property
    def kind(self) -> str:
        """`Exact`, `Flat`, `IVFFlat` or `HNSWFlat`."""
        return self.index_type[:-2]

    @property
    def metric(self) -> Metric:
        """`IP`, the inner product, or `L2`, the squared distance."""
        return "IP" if self.index_type.endswith("IP") else "L2"

    def for_items(self, num_items: int) -> IndexOptions:
        """Limit the number of lists to that of the items, and the lists read to the lists there are."""
        if self.kind != IVF:
            return self
        nlist = min(self.nlist, num_items)
        return IndexOptions(**asdict(self) | {"nlist": nlist, "nprobe": min(self.nprobe, nlist)})

    def to_json(self) -> dict[str, Any]:
        """Kind and the parameters that it reads."""
        names = {IVF: ("nlist", "nprobe"), HNSW: ("num_links", "ef_construction", "ef_search")}.get(self.kind, ())
        return {"index_type": self.index_type, **{name: getattr(self, name) for name in names}}

    def __str__(self) -> str:
        details = {IVF: f", {self.nprobe:,} of {self.nlist:,} lists", HNSW: f", {self.num_links} links"}
        return self.index_type + details.get(self.kind, "")
