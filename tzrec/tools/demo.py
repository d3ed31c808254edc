"""`make demo`: run the main job from synthetic data to scores, with a line per step and the results.

Every step is a command of the documentation; its output is written to `experiments/mmoe_taobao.log`.
"""

from __future__ import annotations

import importlib.metadata
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
from tzrec.errors import TrainingError

CONFIG = "examples/configs/mmoe_taobao.config"
DATA = "data/taobao"
MODEL = "experiments/mmoe_taobao"
PACKAGE = f"{MODEL}/export"
SCORES = f"{MODEL}/scores"
LOG = f"{MODEL}.log"
STEPS = 7
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
        DemoStep("export", f"python -m tzrec.export {saved} --export_dir {PACKAGE}", PACKAGE, (r"self-test.*",)),
        DemoStep("predict", f"{launch} tzrec.predict {package} {rows}", SCORES, (r"[\d,]+ rows",)),
    ]


def argv(command: str) -> list[str]:
    """Split a command into words, with the current Python interpreter."""
    words = shlex.split(command)
    launcher = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
    return [*launcher[words[0]], *words[1:]]


def line(number: int, name: str, result: str, seconds: float) -> str:
    """Format one line of the list of steps."""
    return f"[{number}/{STEPS}] {name:<12} {result:<76} {seconds:>5.0f} s"


def run(step: DemoStep, log: Path) -> tuple[str, float]:
    """Run a step.

    Returns:
        the formatted result, and the seconds it took.

    Raises:
        TrainingError: it failed; with the command and the end of its output.
    """
    start = time.monotonic()
    with log.open("a") as out:
        out.write(f"\n$ {step.command}\n")
        out.flush()
        begin = out.tell()
        status = subprocess.run(argv(step.command), stdout=out, stderr=subprocess.STDOUT, check=False).returncode
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
    """Yield lines with reached and attainable AUC, and files to look at next."""
    hints = [f"{MODEL}/report.html", f"{CONFIG}: change num_expert, run step 4 again"]
    yield f"{'':<8}{'AUC reached':>12}{'attainable':>13}   what to look at next"
    for task, hint in zip(attainable, hints, strict=False):
        yield f"  {task:<6}{reached[f'auc_{task}']:>12.4f}{attainable[task]:>13.4f}   {hint}"


def environment() -> str:
    """Format the versions of Python and torch."""
    names = ("torch", "torchrec")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f".venv (python {sys.version_info[0]}.{sys.version_info[1]}, {versions})"


def remove_previous(model: Path, log: Path) -> None:
    """Remove the model directory of an earlier demo, which its log identifies.

    Raises:
        TrainingError: the model directory exists without a log.
    """
    if model.exists():
        if not log.exists():
            raise TrainingError(f"{model} exists and was not written by this demo; move it away")
        shutil.rmtree(model)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and print its results."""
    flags = cli.parser("tools.demo", "The main job on synthetic data: train, evaluate, export, predict.")
    flags.add_argument("--environment_s", type=cli.seconds, default=0.0, help="seconds spent on the environment")
    flags.add_argument("--protos_s", type=cli.seconds, default=0.0, help="seconds spent on compiling the protos")
    args = flags.parse_args(argv)
    log = Path(LOG)
    remove_previous(Path(MODEL), log)
    count = len(list(Path("protos").rglob("*.proto")))
    print(line(1, "environment", environment(), args.environment_s))
    print(line(2, "protos", f"{count} files -> tzrec/protos", args.protos_s), flush=True)
    for number, step in enumerate(steps(ranks=min(2, env.available_cpus())), 3):
        print(line(number, step.name, *run(step, log)), flush=True)
    attainable = json.loads((Path(DATA) / "attainable.json").read_text())
    print("", *table(last_metrics(Path(MODEL) / "eval_result.txt"), attainable), sep="\n")
    return 0


if __name__ == "__main__":
    cli.leave(main())
