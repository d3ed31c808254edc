"""`tzrec demo`: run the main job from synthetic data to scores in a folder of its own, with a line per step.

Every step is a command of the documentation, run in that folder; `demo.log` there has the commands and their output.
The folder also gets the example configs, so that the commands of the documentation can be tried there.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tzrec import cli, env
from tzrec.config.template import example_configs
from tzrec.errors import TrainingError, UsageError

CONFIG = "examples/configs/mmoe_taobao.config"
DATA = "data/taobao"
MODEL = "experiments/mmoe_taobao"
PACKAGE = f"{MODEL}/export"
SCORES = f"{MODEL}/scores"
LOG = "demo.log"
TAIL_LINES = 20


@dataclass(frozen=True)
class DemoStep:
    """One line of the demo.

    Attributes:
        name: first word of the line.
        command: the command line.
        location: path of its result.
        patterns: regular expressions; the last match of each in the output is printed.
    """

    name: str
    command: str
    location: str
    patterns: tuple[str, ...] = ()

    def result(self, output: str) -> str:
        """Format the location and the matches of the patterns."""
        matches = [re.findall(pattern, output)[-1:] for pattern in self.patterns]
        return "  ".join([self.location, ", ".join(text for texts in matches for text in texts)]).rstrip()


def steps(ranks: int) -> list[DemoStep]:
    """List the steps of the main job; the model is trained on `ranks` ranks."""
    launch = f"torchrun --nproc-per-node={ranks} -m"
    saved = f"--pipeline_config {MODEL}/pipeline.config"
    package = f"--model_path {PACKAGE} --reserved_columns user_id,clk"
    rows = f"--predict_input_path '{DATA}/eval/*.parquet' --predict_output_path {SCORES}"
    return [
        DemoStep(
            "data", f"python -m tzrec.tools.make_taobao --output_dir {DATA}", DATA, (r"[\d,]+ \w+ rows.*seed \d+",)
        ),
        DemoStep(
            "train", f"{launch} tzrec.train_eval --pipeline_config {CONFIG}", MODEL, (r"\d+ steps", r"\S+ samples/s")
        ),
        DemoStep("eval", f"{launch} tzrec.eval {saved}", f"{MODEL}/eval_result.txt", (r"[\d,]+ rows",)),
        DemoStep("export", f"python -m tzrec.export {saved} --export_dir {PACKAGE}", PACKAGE, (r"self-test.*? = \S+",)),
        DemoStep("predict", f"{launch} tzrec.predict {package} {rows}", SCORES, (r"[\d,]+ rows",)),
    ]


def argv(command: str) -> list[str]:
    """Split a command into words, with the current Python interpreter."""
    words = shlex.split(command)
    launcher = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
    return [*launcher[words[0]], *words[1:]]


def run(step: DemoStep, directory: Path) -> tuple[str, float]:
    """Run a step in the folder of the demo.

    Returns:
        the formatted result, and the seconds it took.

    Raises:
        TrainingError: it failed; with the command and the end of its output.
    """
    start = time.monotonic()
    log = directory / LOG
    with log.open("a") as out:
        out.write(f"\n$ {step.command}\n")
        out.flush()
        begin = out.tell()
        status = subprocess.run(
            argv(step.command), stdout=out, stderr=subprocess.STDOUT, cwd=directory, check=False
        ).returncode
    output = log.read_text()[begin:]
    if status:
        tail = "\n".join(_without_torchrun(output).splitlines()[-TAIL_LINES:])
        raise TrainingError(
            f"{tail}\n\nstep {step.name} failed with status {status}: {step.command}\nfull output: {log}"
        )
    return step.result(output), time.monotonic() - start


def _without_torchrun(output: str) -> str:
    """Remove the report of torchrun about a failed rank, which does not contain the cause."""
    return re.split(r"^E\d+ .*/elastic/.*failed", output, flags=re.MULTILINE)[0]


def last_metrics(path: Path) -> dict[str, float]:
    """Read the last line of a result file."""
    return json.loads(path.read_text().splitlines()[-1])


def table(reached: dict[str, float], attainable: dict[str, float]) -> Iterator[str]:
    """Yield lines with reached and attainable AUC by task."""
    yield f"{'':<8}{'AUC reached':>12}{'attainable':>13}"
    for task in attainable:
        yield f"  {task:<6}{reached[f'auc_{task}']:>12.4f}{attainable[task]:>13.4f}"


def prepare(directory: Path) -> None:
    """Make the folder of the demo with the example configs; remove the model of an earlier demo.

    A config that is there already is kept: it may have been edited.

    Raises:
        UsageError: the folder was not made by a demo.
    """
    log = directory / LOG
    if directory.exists() and any(directory.iterdir()) and not log.exists():
        raise UsageError(
            f"tzrec demo: {directory} has files that no demo wrote; choose an empty or new folder with --output_dir"
        )
    configs = directory / Path(CONFIG).parent
    configs.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    for example in example_configs().glob("*.config"):
        if not (configs / example.name).exists():
            shutil.copy(example, configs)
    shutil.rmtree(directory / MODEL, ignore_errors=True)


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and print its results."""
    flags = cli.parser("demo", "Train, evaluate, export and predict on synthetic data, in a new folder; two minutes.")
    flags.add_argument("--output_dir", default="demo", metavar="DIR", help="folder of everything it writes [demo]")
    args = flags.parse_args(argv)
    directory = Path(args.output_dir)
    prepare(directory)
    job = steps(ranks=min(2, env.available_cpus()))
    for number, step in enumerate(job, 1):
        result, seconds = run(step, directory)
        print(f"[{number}/{len(job)}] {step.name:<8} {result:<80} {seconds:>5.0f} s", flush=True)
    attainable = json.loads((directory / DATA / "attainable.json").read_text())
    print("", *table(last_metrics(directory / MODEL / "eval_result.txt"), attainable), sep="\n")
    print(
        f"\nreport    {directory / MODEL}/report.html\n"
        f"commands  {directory / LOG}; they run in {directory}, as those of the documentation do\n"
        f"next      edit {directory / CONFIG} and run the command of step 2 with another --model_dir"
    )
    return 0


if __name__ == "__main__":
    cli.leave(main())
