"""Report of the bad rows of all parts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from tzrec.data.bad_rows import SAMPLE_ROWS
from tzrec.data.parts.directory import write_file
from tzrec.data.parts.part import PartResult
from tzrec.storage.path import AnyPath

BAD_ROWS = "_bad_rows.jsonl"


def report_bad_values(results: Sequence[PartResult], directory: AnyPath) -> str:
    """Write a sample of the bad values to `_bad_rows.jsonl`; return their counts as text, "" if there are none."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update({f"{column}: {reason}": count for column, reason, count in result.bad})
    sample = [line for result in results for line in result.sample][:SAMPLE_ROWS]
    if sample:
        write_file(directory, BAD_ROWS, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in sample))
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
