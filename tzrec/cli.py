"""Command line: the flag parser of all commands, and `tzrec <command>`, which dispatches to the module of a command.

The module of a command contains

    @cli.run
    def main(argv: Sequence[str] | None = None) -> int:
        flags = cli.parser("train", "Train and evaluate a model.")
        flags.config()
        flags.switch("--continue_train", "resume from the last checkpoint in model_dir")
        args = flags.parse_args(argv)
        ...

    if __name__ == "__main__":
        cli.leave(main())

This module does not import torch, so that `tzrec --help` is fast.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import logging
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, get_args

from tzrec import env, log
from tzrec.config.json_text import read_json
from tzrec.config.names import did_you_mean
from tzrec.errors import ConfigError, TzrecError, UsageError, explain, indent_lines, is_encodable, shorten_middle
from tzrec.live_line import live_line
from tzrec.version import __version__

COMMANDS = {
    "train": ("tzrec.train_eval", "train a model from a config and evaluate it"),
    "tune": ("tzrec.tune", "search for better values of a config"),
    "eval": ("tzrec.eval", "evaluate a checkpoint"),
    "export": ("tzrec.export", "compile a checkpoint into a package for serving"),
    "inspect": ("tzrec.inspect", "print what a package holds"),
    "predict": ("tzrec.predict", "score files with a package or a checkpoint"),
    "serve": ("tzrec.serve", "answer requests with a package"),
    "replay": ("tzrec.replay", "score the logged requests of a server again, and compare the scores"),
    "materialize": ("tzrec.materialize", "write columns that a server adds to requests into a feature store"),
    "init": ("tzrec.tools.init", "write a first config from a data set"),
    "suggest": ("tzrec.tools.suggest", "suggest values for the fields that a config leaves open"),
    "fg": ("tzrec.tools.fg_encode", "encode the features of a data set once"),
    "index": ("tzrec.index", "build an index of items, to retrieve those nearest to users"),
    "report": ("tzrec.tools.report", "write the report of a run, or compare several runs"),
    "plan": ("tzrec.plan", "plan a model for a number of ranks, without data or GPU"),
    "demo": ("tzrec.demo", "run the main job on synthetic data, in a new folder"),
    "check": ("tzrec.check", "report all problems of a config and its data"),
    "new": ("tzrec.new", "write a commented config for a model"),
    "format": ("tzrec.format", "write configs in their canonical layout"),
    "diff": ("tzrec.diff", "compare two configs or runs by their meaning"),
    "schema": ("tzrec.schema", "print the JSON Schema of configs, for editors"),
    "completion": ("tzrec.completion", "print a script with which a shell completes commands and flags"),
    "doctor": ("tzrec.doctor", "find problems of this installation and their fixes"),
}
"""Command -> (module, description); `commands` lists those whose module exists."""

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")
_BROKEN_PIPE = 141
"""Exit status of a command whose output is no longer read, as of one that SIGPIPE ends: 128 + 13."""

_MAIN_PRINTS_S = 1.0
"""Head start of rank 0 for printing an error that all ranks raise."""


class _Edit(argparse.Action):
    """Adds edits to those of the flags before; the last edit of a path counts."""

    def __call__(self, parser: object, args: argparse.Namespace, values: Any, flag: object = None) -> None:
        earlier = {path: value for path, value in getattr(args, self.dest).items() if path not in values}
        setattr(args, self.dest, earlier | values)


class Flags(argparse.ArgumentParser):
    """argparse parser without abbreviations: an unknown flag is an error that suggests the nearest known one.

    Attributes:
        is_listing: `flags_of` reads the flags of a command, which is not to run.
        added: all flags and arguments.
        words_by_argument: functions that list what a shell offers for an argument which is no flag, by its name.
    """

    is_listing = False

    def __init__(self, **arguments: Any) -> None:
        self.added: list[argparse.Action] = []
        self.words_by_argument: dict[str, Callable[[], Iterable[str]]] = {}
        super().__init__(**arguments)

    def add_argument(self, *names: Any, **arguments: Any) -> argparse.Action:
        action = super().add_argument(*names, **arguments)
        self.added.append(action)
        return action

    def config(self, required: bool = True, help: str = "config text or JSON") -> None:
        """Add `--pipeline_config`, with the alias `--pipeline_config_path`, as `args.pipeline_config`."""
        names = ("--pipeline_config", "--pipeline_config_path")
        self.add_argument(*names, dest="pipeline_config", metavar="FILE", required=required, help=help)

    def switch(self, name: str, help: str) -> None:
        """Add a boolean flag that accepts `--name`, `--name true` and `--name=false`; False if absent."""
        self.add_argument(name, nargs="?", const=True, default=False, type=boolean, metavar="true|false", help=help)

    def reject(self, reason: str, *names: str) -> None:
        """Add flags of TorchEasyRec that have no meaning here; using one is an error that gives the reason."""

        class Refuse(argparse.Action):
            def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> NoReturn:
                raise UsageError(f"{parser.prog}: {self.option_strings[0]}: {reason}")

        for name in names:
            self.add_argument(name, nargs="?", action=Refuse, help=argparse.SUPPRESS)

    def edits(self) -> None:
        """Add `--set` and `--edit_config_json`, as `args.edit_config_json`, a dict of path -> value."""
        edits: dict[str, Any] = {"action": _Edit, "dest": "edit_config_json", "default": {}}
        text = "a change to the config, such as train_config.num_epochs=3; may be repeated"
        self.add_argument("--set", type=path_and_value, metavar="PATH=VALUE", help=text, **edits)
        text = 'changes to the config, {"path": value, ...}'
        self.add_argument("--edit_config_json", type=json_object, metavar="JSON", help=text, **edits)

    @property
    def actions(self) -> Sequence[argparse.Action]:
        """Flags and arguments of the command that are shown in its help."""
        return [action for action in self.added if action.help != argparse.SUPPRESS]

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse a command line.

        Raises:
            UsageError: unknown flags (all of them at once), missing ones, or a value of the wrong type.
        """
        if self.is_listing:
            raise _Listed(self)
        words = list(sys.argv[1:] if args is None else args)
        for word in words:
            if not is_encodable(word):
                self.error(f"an argument must be UTF-8 without NUL characters; received {shorten_middle(word)!r}")
        self._ensure_known(words)
        known, extra = self.parse_known_args(words, namespace)
        if extra:
            self.error(f"unexpected argument{'s' if len(extra) > 1 else ''} {' '.join(map(repr, extra))}")
        return known

    def _ensure_known(self, words: list[str]) -> None:
        # before argparse, which would report a mistyped required flag as missing
        known = [name for action in self.added for name in action.option_strings]
        given = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
        unknown = [name for name in given if name not in known]
        if unknown:
            self.error("; ".join(f"unknown flag {name}{did_you_mean(name, known, limit=0)}" for name in unknown))

    def error(self, message: str) -> Any:
        raise UsageError(f"{self.prog}: {message}\n{self.prog} --help lists the flags.")


class _Listed(Exception):  # noqa: N818 - not an error
    """Raised instead of running a command, with its flags."""


def flags_of(command: str) -> Flags:
    """Return the flags of a command, which does not run."""
    main = importlib.import_module(COMMANDS[command][0]).main
    Flags.is_listing = True
    try:
        main.__wrapped__([])
    except _Listed as listed:
        flags: Flags = listed.args[0]
        return flags
    finally:
        Flags.is_listing = False
    raise AssertionError(f"{command} does not parse flags")


def parser(command: str, description: str) -> Flags:
    """Create the parser of a command, with the flags of log lines and without any other."""
    flags = Flags(prog=f"tzrec {command}", description=description, allow_abbrev=False)
    _add_log_flags(flags, flags.add_argument_group("log lines"))
    return flags


def _add_log_flags(flags: Flags, group: Any) -> None:
    """Add the flags of log lines to a group of flags."""
    text = "form of the log lines: plain, time (in front of each line) or json (an object per line); default: plain"
    flags.added += [
        group.add_argument("--quiet", action="store_true", help="log warnings and errors only"),
        group.add_argument(
            "--log_file", default="", metavar="FILE", help="append all log lines to a file, with their time"
        ),
        group.add_argument("--log_format", choices=get_args(log.LineFormat), default="plain", help=text),
    ]


def _log_options(words: Sequence[str]) -> log.LogOptions:
    """Read the flags of log lines, before the command is imported that parses all flags."""
    flags = Flags(prog="tzrec", allow_abbrev=False, add_help=False)
    _add_log_flags(flags, flags.add_argument_group())
    args, _ = flags.parse_known_args([word for word in words if is_encodable(word)])
    return log.LogOptions(args.quiet, args.log_format, args.log_file)


def boolean(text: str) -> bool:
    """Parse `true` or `false` in any case, also 1 and 0."""
    word = text.lower()
    if word not in ("true", "1", "false", "0"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return word in ("true", "1")


def whole_number(smallest: int, largest: int = 2**31 - 1) -> Callable[[str], int]:
    """Create a parser of whole numbers within bounds, for the `type` of a flag."""

    def parse(text: str) -> int:
        if not _WHOLE_NUMBER.fullmatch(text) or not smallest <= int(text) <= largest:
            bounds = f"a whole number from {smallest} to {largest}"
            raise argparse.ArgumentTypeError(f"{shorten_middle(text)!r} is not {bounds}")
        return int(text)

    return parse


positive = whole_number(1)
"""Parser of whole numbers from 1 up."""


def size(text: str) -> int:
    """Parse a number of bytes with a decimal unit: `80GB`, `1.5TB`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([kMGT]?B)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size, such as 80GB or 1.5TB")
    return int(float(match[1]) * 1000 ** ("B", "kB", "MB", "GB", "TB").index(match[2]))


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; an empty text is an empty object."""
    try:
        value = read_json(text or "{}")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shorten_middle(text)!r} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{shorten_middle(text)!r} is not a JSON object of paths and values")
    return value


def path_and_value(text: str) -> dict[str, Any]:
    """Parse `path=value`; the value is converted to the type of the field where the edit is applied."""
    from tzrec.config.edit import parse_set  # imports protobuf

    try:
        path, value = parse_set(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shorten_middle(text)!r} {error}") from None
    return {path: value}


def merge_edits(args: argparse.Namespace, value_by_path: Mapping[str, Any]) -> dict[str, Any]:
    """Turn flags that replace fields of the config into edits; `--edit_config_json` has precedence.

    Args:
        args: parsed flags, with `edit_config_json`.
        value_by_path: field -> value of its flag, None if it is absent.
    """
    return {path: value for path, value in value_by_path.items() if value is not None} | args.edit_config_json


def run(main: Callable[[Sequence[str] | None], int | None]) -> Callable[..., int]:
    """Decorate the main function of a command: a TzrecError becomes a line on stderr and an exit status.

    Any other error is one of this package, or of a custom class of the config: it is raised, after a line that says so.
    """

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> int:
        words = sys.argv[1:] if argv is None else argv
        try:
            log.setup(_log_options(words))
        except UsageError as error:  # the variables of torchrun, which tell the ranks apart, may not be valid, too
            print(error, file=sys.stderr, flush=True)
            return error.exit_code
        try:
            return main(argv) or 0
        except TzrecError as error:
            _print_error(error)
            return error.exit_code
        except KeyboardInterrupt:
            return 130
        except SystemExit as stop:  # of --help
            return stop.code if isinstance(stop.code, int) else 0
        except Exception as error:
            status = _foreign(error, words)
            if status is None:
                raise
            return status
        finally:
            live_line.keep()

    return wrapped


def _foreign(error: Exception, words: Sequence[str]) -> int | None:
    """Print an error that no code expected; return the exit status, or None for one that is a bug."""
    if isinstance(error, BrokenPipeError) and _is_output_closed():
        return _BROKEN_PIPE
    explained = explain(error, _values(words))
    if explained is not None:
        _print_error(explained)
        return explained.exit_code
    bug = "this is a bug in tzrec, or in a custom class that the config names; please report it with these lines"
    log.log_final(indent_lines(f"unexpected {type(error).__name__}: {error}\n{bug}"), error)
    return None


def _print_error(error: TzrecError) -> None:
    """Print an error; one that all ranks raise alike only on rank 0."""
    rank_info = env.rank_info()
    if isinstance(error, (ConfigError, UsageError)):
        if not rank_info.is_main:
            # torchrun stops all ranks as soon as one of them ends
            time.sleep(_MAIN_PRINTS_S)
            return
        log.log_final(str(error))
    else:
        rank = f"rank {rank_info.rank}: " if rank_info.world_size > 1 else ""
        log.log_final(indent_lines(f"{rank}{error}"))


def commands() -> dict[str, str]:
    """Map the commands of this installation to their descriptions."""
    return {command: text for command, (module, text) in COMMANDS.items() if importlib.util.find_spec(module)}


def usage() -> str:
    """Format the text of `tzrec --help`."""
    lines = [f"  {command:<12}{text}" for command, text in commands().items()]
    return "\n".join(
        [
            "usage: tzrec <command> [flags]",
            "",
            "Train, evaluate, export and serve recommendation models from a text config.",
            "",
            *lines,
            "",
            "tzrec <command> --help lists its flags. `python -m tzrec.train_eval` is `tzrec train`, and so on;",
            "on several ranks: torchrun --nproc-per-node=2 -m tzrec.train_eval ...",
        ]
    )


def leave(status: int) -> NoReturn:
    """Flush all output and exit without the interpreter's shutdown.

    A command has closed all its resources at this point. Threads of torch's process group sometimes outlive it and
    abort the process ("terminate called without an active exception") during the shutdown: seen in one of six
    evaluations on two ranks, all of which had completed.
    """
    logging.shutdown()
    failure = _flush()
    os._exit(status or failure)


def _values(words: Sequence[str]) -> dict[str, str]:
    """Map the flags of a command line to their values."""
    value_by_flag: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], ""]):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            value_by_flag[name] = value if equals else following
    return value_by_flag


def _is_output_closed() -> bool:
    """Return True if the standard output is a pipe that no one reads."""
    poll = select.poll()
    poll.register(1, select.POLLERR)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _flush() -> int:
    """Flush all output; return 0, or the exit status of a command whose output cannot be written."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # closed by the shell
                stream.flush()
    except BrokenPipeError:
        return _BROKEN_PIPE
    except OSError as error:
        print(f"cannot write the output: {error.strerror}", file=sys.stderr)
        return TzrecError.exit_code
    return 0


@run
def main(argv: Sequence[str] | None = None) -> int:
    """Run `tzrec <command> ...`: pass the remaining arguments to the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] == "--version":
        print(f"tzrec {__version__}")
        return 0
    command, rest = words[0], words[1:]
    if command not in commands():
        raise UsageError(f"tzrec: unknown command {command!r}{did_you_mean(command, commands(), limit=0)}\n\n{usage()}")
    module = importlib.import_module(COMMANDS[command][0])
    return module.main.__wrapped__(rest) or 0  # errors are printed here, once


def console() -> NoReturn:
    """Entry point of the `tzrec` command."""
    leave(main())
