"""The command line: one kind of parser for all verbs, and `tzrec <verb>`, which only chooses among them.

A verb's file holds

    @cli.run
    def main(argv: Sequence[str] | None = None) -> int:
        flags = cli.parser("train", "Train and evaluate a model.")
        flags.config()
        flags.switch("--continue_train", "go on from the last checkpoint in model_dir")
        args = flags.parse_args(argv)
        ...

    if __name__ == "__main__":
        cli.leave(main())

Nothing here imports torch, so `tzrec --help` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import importlib
import importlib.util
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tzrec import env, log
from tzrec.errors import ConfigError, TzrecError, UsageError
from tzrec.version import __version__

# verb -> (module, what it does); the ones whose module exists are offered
VERBS = {
    "train": ("tzrec.train_eval", "train a model from a config and evaluate it"),
    "eval": ("tzrec.eval", "evaluate a checkpoint"),
    "export": ("tzrec.export", "turn a checkpoint into a package for serving"),
    "predict": ("tzrec.predict", "score rows with a package or a checkpoint"),
    "serve": ("tzrec.serve", "answer requests with a package"),
    "init": ("tzrec.tools.init", "write a first config from a data set"),
    "suggest": ("tzrec.tools.suggest", "suggest values for the fields that a config leaves open"),
    "fg": ("tzrec.tools.fg_encode", "encode the features of a data set once"),
    "check": ("tzrec.check", "find everything that is wrong with a config"),
    "doctor": ("tzrec.doctor", "find what is wrong with this installation"),
}

_CHIEF_SPEAKS_S = 1.0


class Flags(argparse.ArgumentParser):
    """An argparse parser that never guesses: unknown flags are errors that name the nearest known ones."""

    def __init__(self, **arguments: Any) -> None:
        self._flags: list[str] = []
        super().__init__(**arguments)

    def add_argument(self, *names: Any, **arguments: Any) -> argparse.Action:
        action = super().add_argument(*names, **arguments)
        self._flags += action.option_strings
        return action

    def config(self, required: bool = True, help: str = "config text or JSON") -> None:
        """Add `--pipeline_config`, which is also `--pipeline_config_path`; read it as `args.pipeline_config`."""
        names = ("--pipeline_config", "--pipeline_config_path")
        self.add_argument(*names, dest="pipeline_config", metavar="FILE", required=required, help=help)

    def switch(self, name: str, help: str) -> None:
        """Add a boolean flag that reads `--name`, `--name true`, `--name=false`; absent is False."""
        self.add_argument(name, nargs="?", const=True, default=False, type=boolean, metavar="true|false", help=help)

    def refuse(self, reason: str, *names: str) -> None:
        """Know flags of TorchEasyRec that have no meaning here, and say why when they are given."""

        class Refuse(argparse.Action):
            def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> NoReturn:
                raise UsageError(f"{parser.prog}: {self.option_strings[0]}: {reason}")

        for name in names:
            self.add_argument(name, nargs="?", action=Refuse, help=argparse.SUPPRESS)

    def edits(self) -> None:
        """Add `--edit_config_json`; read it as `args.edit_config_json`, a dict of path -> value."""
        text = 'changes to the config, {"path": value, ...}'
        self.add_argument("--edit_config_json", type=json_object, default={}, metavar="JSON", help=text)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse a command line.

        Raises:
            UsageError: unknown flags (all of them at once), missing ones, or a value of the wrong type.
        """
        words = list(sys.argv[1:] if args is None else args)
        self._refuse_unknown(words)
        known, extra = self.parse_known_args(words, namespace)
        if extra:
            self.error(f"unexpected argument{'s' if len(extra) > 1 else ''} {' '.join(map(repr, extra))}")
        return known

    def _refuse_unknown(self, words: list[str]) -> None:
        # before argparse looks: a mistyped required flag would only be reported as missing
        known = self._flags
        named = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
        unknown = [name for name in named if name not in known]
        if unknown:
            self.error("; ".join(f"unknown flag {name}{did_you_mean(name, known)}" for name in unknown))

    def error(self, message: str) -> Any:
        raise UsageError(f"{self.prog}: {message}\n{self.prog} --help lists the flags.")


def parser(verb: str, description: str) -> Flags:
    """The parser of one verb, without flags yet."""
    return Flags(prog=f"tzrec {verb}", description=description, allow_abbrev=False)


def boolean(text: str) -> bool:
    """Read `true` or `false` (any case, also 1 and 0)."""
    word = text.lower()
    if word not in ("true", "1", "false", "0"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return word in ("true", "1")


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object; nothing at all is an empty one."""
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is JSON, but not an object of path and value")
    return value


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`, did you mean X?` for the nearest known word, or nothing when none is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def run(main: Callable[[Sequence[str] | None], int | None]) -> Callable[..., int]:
    """Wrap a verb: errors a user can cause become their text on stderr and their exit status; no traceback."""

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        log.setup()
        try:
            return main(argv) or 0
        except TzrecError as error:
            _say(error)
            return error.exit_code
        except KeyboardInterrupt:
            return 130

    return wrapped


def _say(error: TzrecError) -> None:
    """Print an error: what all ranks find alike is said once, by the chief."""
    where = env.rank_info()
    if isinstance(error, (ConfigError, UsageError)):
        if not where.is_main:
            # torchrun stops the others as soon as one rank ends: let the chief speak first
            time.sleep(_CHIEF_SPEAKS_S)
            return
        print(error, file=sys.stderr, flush=True)
    else:
        rank = f"rank {where.rank}: " if where.world_size > 1 else ""
        print(f"{rank}{error}", file=sys.stderr, flush=True)


def verbs() -> dict[str, str]:
    """The verbs this installation has, with what they do."""
    return {verb: text for verb, (module, text) in VERBS.items() if importlib.util.find_spec(module)}


def usage() -> str:
    """The text of `tzrec --help`."""
    lines = [f"  {verb:<9}{text}" for verb, text in verbs().items()]
    return "\n".join(
        [
            "usage: tzrec <verb> [flags]",
            "",
            "Recommendation models from a config text.",
            "",
            *lines,
            "",
            "tzrec <verb> --help lists the flags of a verb. `python -m tzrec.train_eval` is `tzrec train`, and so on;",
            "on several ranks: torchrun --nproc-per-node=2 -m tzrec.train_eval ...",
        ]
    )


def leave(status: int) -> NoReturn:
    """End the process with everything printed, without letting Python take it apart.

    All a verb has opened is closed by then. The threads of torch's process group sometimes outlive it and abort the
    process ("terminate called without an active exception") while the interpreter shuts down: seen in one of six
    evaluations on two ranks, each of which had done all of its work.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@run
def main(argv: Sequence[str] | None = None) -> int:
    """`tzrec <verb> ...`: hand the rest of the line to the verb."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] == "--version":
        print(f"tzrec {__version__}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in verbs():
        raise UsageError(f"tzrec: unknown verb {verb!r}{did_you_mean(verb, list(verbs()))}\n\n{usage()}")
    return importlib.import_module(VERBS[verb][0]).main(rest)


def console() -> NoReturn:
    """The `tzrec` command."""
    leave(main())
