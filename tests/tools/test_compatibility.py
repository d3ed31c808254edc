"""tools/compatibility.py: verdicts of configs in the dialect of published ones, crashes, time limits, the table."""

from __future__ import annotations

import json
import textwrap
import time
from pathlib import Path

import compatibility
import compatibility_case
import pytest
from compatibility import Runner, Verdict
from compatibility_config import BATCH_SIZE, MAX_TABLE_ROWS, small_copy

from tests.fixtures.dialect import BROKEN, PUBLISHED, UNSUPPORTED
from tzrec.config.load import load_config
from tzrec.protos.data_pb2 import ParquetDataset


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def checked(tmp_path: Path, text: str) -> dict[str, object]:
    config, result = write(tmp_path / "a.config", text), tmp_path / "check.json"
    compatibility_case.check(str(config), result)
    return json.loads(result.read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", PUBLISHED)
def test_text_of_each_kind_passes_check(tmp_path: Path, name: str) -> None:
    verdict = checked(tmp_path, PUBLISHED[name])
    assert (verdict["parses"], verdict["errors"], verdict["unsupported"]) == (True, [], [])


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_text_with_an_unsupported_part_has_no_other_error(tmp_path: Path, name: str) -> None:
    verdict = checked(tmp_path, UNSUPPORTED[name])
    assert verdict["parses"]
    assert verdict["errors"] == []
    (unsupported,) = verdict["unsupported"]  # type: ignore[misc]
    assert f"{name}: is not supported" in unsupported
    assert "a.config" not in unsupported


def test_text_with_an_unknown_field_does_not_parse(tmp_path: Path) -> None:
    verdict = checked(tmp_path, BROKEN["misspelled"])
    assert not verdict["parses"]
    assert "no such field" in str(verdict["errors"])


def small(tmp_path: Path, name: str) -> object:
    return small_copy(load_config(str(write(tmp_path / "a.config", PUBLISHED[name]))), tmp_path, 20)


def test_small_copy_is_short_and_reads_files(tmp_path: Path) -> None:
    config = small(tmp_path, "warehouse")
    assert (config.train_config.num_steps, config.train_config.num_epochs) == (20, 0)  # type: ignore[attr-defined]
    data = config.data_config  # type: ignore[attr-defined]
    assert (data.batch_size, data.dataset_type) == (BATCH_SIZE, ParquetDataset)
    assert config.train_input_path == str(tmp_path / "data" / "train")  # type: ignore[attr-defined]


def test_small_copy_limits_tables_and_keeps_defaults_and_shared_tables_valid(tmp_path: Path) -> None:
    shared = 'num_buckets: 9000000 embedding_dim: 8 embedding_name: "t" %s'
    text = PUBLISHED["warehouse"].replace("num_buckets: 40000000 embedding_dim: 8", shared % 'default_value: "5000"', 1)
    text = text.replace("hash_bucket_size: 3000000 embedding_dim: 8", shared % "", 1)
    features = small_copy(load_config(str(write(tmp_path / "a.config", text))), tmp_path, 20).feature_configs
    assert [features[index].id_feature.num_buckets for index in (0, 1)] == [5001, 5001]
    alone = small(tmp_path, "warehouse").feature_configs  # type: ignore[attr-defined]
    assert alone[1].id_feature.num_buckets == alone[0].id_feature.hash_bucket_size == MAX_TABLE_ROWS


def test_small_copy_writes_missing_vocabularies(tmp_path: Path) -> None:
    config = small(tmp_path, "dssm")
    feature = config.feature_configs[4].tokenize_feature  # type: ignore[attr-defined]
    assert (Path(feature.asset_dir) / feature.vocab_file).is_file()
    assert config.data_config.negative_sampler.num_sample == 16  # type: ignore[attr-defined]


CASE = """
    import json, os, sys, time
    verb, *words = sys.argv[1:]
    name = {name}
    with open({calls!r}, "a") as calls:
        calls.write(f"{{verb}} {{name}}\\n")
    if name == "hangs" and verb == "run":
        time.sleep(60)
    if name == "dies" and verb == "run":
        open(words[-1], "w").write(json.dumps({{"stages": [{{"name": "train", "reason": "the process ended"}}]}}))
        os._exit(9)
    if verb == "check":
        value = {{"parses": name != "no", "errors": ["1:2 x: bad"] * 2 * (name == "no"), "warnings": ["w"]}}
        value["unsupported"] = ["zch: is not supported"] * (name == "zch")
    else:
        names = ["data"] if verb == "data" else {stages!r}
        reason = "1 | 2" if name == "fails" else ""
        value = {{"stages": [{{"name": stage, "reason": reason, "seconds": 1}} for stage in names]}}
    open(words[-1], "w").write(json.dumps(value))
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the program of one config by one that does what the config's name says."""
    path = tmp_path / "calls.txt"
    name = 'next(part for part in sys.argv[2].split("/") if part.endswith(".config")).removesuffix(".config")'
    text = CASE.format(name=name, calls=str(path), stages=list(compatibility.STAGES))
    monkeypatch.setattr(compatibility, "CASE", write(tmp_path / "case.py", textwrap.dedent(text)))
    return path


def test_table_has_a_line_per_config_and_the_reason_of_each_failure(tmp_path: Path, calls: Path) -> None:
    for name in ("works", "fails", "dies", "no", "zch"):
        write(tmp_path / "configs" / "sub" / f"{name}.config", name)
    write(tmp_path / "configs" / ".git" / "hidden.config", "")
    words = ["--configs", str(tmp_path / "configs"), "--work_dir", str(tmp_path / "work"), "--ranks", "1"]
    out = tmp_path / "table.md"
    assert compatibility.main([*words, "--out", str(out)]) == 1
    lines = [line for line in out.read_text().splitlines() if line.startswith("| sub/")]
    died = f"train: exit status 9, see {tmp_path}/work/sub/dies.config/ranks_1/run.log"
    assert lines == [
        f"| sub/dies.config | yes | passes, 1 warning | fails: train |  | {died} |",
        "| sub/fails.config | yes | passes, 1 warning | fails: data |  | data: 1 \\| 2 |",
        "| sub/no.config | no |  |  |  | 1:2 x: bad (and 1 more) |",
        "| sub/works.config | yes | passes, 1 warning | works |  |  |",
        "| sub/zch.config | yes | 1 error, 1 warning |  |  | zch: is not supported |",
    ]
    assert "5 configs: 1 work, 1 use parts that are not supported, 3 fail." in out.read_text()

    before = calls.read_text()
    assert compatibility.main([*words, "--out", str(out)]) == 1
    assert calls.read_text() == before  # finished configs are not examined again
    write(tmp_path / "configs" / "sub" / "works.config", "changed")
    compatibility.main([*words, "--out", str(out), "--only", "works.config"])
    assert calls.read_text().removeprefix(before).split() == ["check", "works", "data", "works", "run", "works"]


def test_exit_status_is_zero_if_only_unsupported_parts_stand_in_the_way(tmp_path: Path, calls: Path) -> None:
    for name in ("works", "zch"):
        write(tmp_path / "configs" / f"{name}.config", name)
    words = ["--configs", str(tmp_path / "configs"), "--work_dir", str(tmp_path / "work"), "--check_only"]
    assert compatibility.main([*words, "--out", str(tmp_path / "table.md")]) == 0
    assert calls.read_text().split() == ["check", "works", "check", "zch"]
    assert compatibility.main(["--configs", str(tmp_path / "none")]) == 2


def test_process_that_takes_too_long_is_ended(tmp_path: Path, calls: Path) -> None:
    config, start = write(tmp_path / "hangs.config", ""), time.monotonic()
    verdict = Runner(tmp_path / "work", (1,), 2.0).verdict(config, "hangs.config")
    assert verdict.failures == {"1": "train: ran longer than 2 s"}
    assert time.monotonic() - start < 30


def test_runs_on_two_ranks_have_a_column_of_their_own() -> None:
    verdict = Verdict("a", "", parses=True, failures={"1": "", "2": "export: no"})
    assert verdict.row() == ["a", "yes", "passes", "works", "fails: export", "export: no"]
    assert not verdict.works


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_text_of_each_kind_runs_on_one_rank_and_on_two(tmp_path: Path, name: str) -> None:
    config = write(tmp_path / f"{name}.config", PUBLISHED[name])
    verdict = Runner(tmp_path / "work", (1, 2), 900).verdict(config, config.name)
    assert verdict.failures == {"1": "", "2": ""}
