"""`tzrec completion`: print a script with which a shell completes commands, words, flags, choices and paths.

The script is static, so that a key press starts no Python: print it anew after an update.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tzrec import cli

_BOOLEANS = ("true", "false")


@dataclass(frozen=True)
class _Flag:
    """A flag of a command.

    Attributes:
        name: with its hyphens.
        description: without line breaks.
        values: that it takes; none for a path or any other text.
        has_value: False if it stands alone.
    """

    name: str
    description: str
    values: tuple[str, ...]
    has_value: bool


@dataclass(frozen=True)
class _Command:
    """A command.

    Attributes:
        name: of the command.
        description: of the command.
        flags: each name of them once.
        words: that its argument without a flag takes, such as the models of `tzrec new`; none for paths.
    """

    name: str
    description: str
    flags: tuple[_Flag, ...]
    words: tuple[str, ...]

    @property
    def path_flags(self) -> str:
        """Flags that a path or any other text follows, as a pattern of a shell."""
        return "|".join(flag.name for flag in self.flags if flag.has_value and not flag.values)


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0."""
    flags = cli.parser("completion", "Print a script that completes commands and flags; see docs/monitoring.md.")
    flags.add_argument("shell", choices=_SCRIPTS, help='bash: eval "$(tzrec completion bash)" in ~/.bashrc')
    args = flags.parse_args(argv)
    print(script(args.shell), end="")
    return 0


def script(shell: str) -> str:
    """Return the script of a shell."""
    return _SCRIPTS[shell]([_command(name, text) for name, text in cli.commands().items()])


def _command(name: str, description: str) -> _Command:
    flags = cli.flags_of(name)
    listed = [_describe(action, flag) for action in flags.actions for flag in action.option_strings if flag[1] == "-"]
    words = [word for action in flags.actions if not action.option_strings for word in _words(flags, action)]
    return _Command(name, description, tuple(listed), tuple(words))


def _words(flags: cli.Flags, action: argparse.Action) -> tuple[str, ...]:
    """List the words that an argument without a flag takes; none for paths."""
    listed = flags.words_by_argument.get(action.dest)
    return tuple(listed()) if listed else tuple(map(str, action.choices or ()))


def _describe(action: argparse.Action, name: str) -> _Flag:
    text = " ".join((action.help or "").replace("%%", "%").split())
    values = _BOOLEANS if action.type is cli.boolean else tuple(map(str, action.choices or ()))
    return _Flag(name, text, values, action.nargs != 0)


def _values_cases(command: _Command, value_format: str) -> str:
    """Cases of the word before: the values of a flag, or none of the words of the command."""
    values = "".join(
        f"{flag.name}) {value_format.format(' '.join(flag.values))};; " for flag in command.flags if flag.values
    )
    return values + (f"{command.path_flags}) names=;; " if command.words else "")


def _bash(commands: Sequence[_Command]) -> str:
    cases = []
    for command in commands:
        flags, names = (" ".join(names) for names in ((flag.name for flag in command.flags), command.words))
        values = _values_cases(command, "values='{}'")
        cases.append(f"        {command.name}) flags='{flags}' names='{names}'; case $before in {values}esac;;")
    return f"""# bash completion of tzrec; in ~/.bashrc: eval "$(tzrec completion bash)"
_tzrec() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} flags= names= values=
    [[ $word == = ]] && word=  # bash divides --flag=value at the equals sign
    [[ $before == = ]] && before=${{COMP_WORDS[COMP_CWORD-2]}}
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W '{" ".join(command.name for command in commands)} --help --version' -- "$word"))
        return
    fi
    case ${{COMP_WORDS[1]}} in
{chr(10).join(cases)}
    esac
    if [[ -n $values ]]; then
        COMPREPLY=($(compgen -W "$values" -- "$word"))
    elif [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
    elif [[ -n $names ]]; then
        COMPREPLY=($(compgen -W "$names" -- "$word"))
    else
        local IFS=$'\\n'
        compopt -o filenames 2> /dev/null
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -F _tzrec tzrec
"""


def _zsh(commands: Sequence[_Command]) -> str:
    names = " ".join(_quote(f"{command.name}:{command.description}") for command in commands)
    cases = []
    for command in commands:
        flags = " ".join(_quote(f"{flag.name}:{flag.description}".replace("\\", "\\\\")) for flag in command.flags)
        values = _values_cases(command, "values=({})")
        words = f" names=({' '.join(command.words)})" if command.words else ""
        cases.append(f"        {command.name}) flags=({flags}){words}; case $before in {values}esac;;")
    return f"""#compdef tzrec
# zsh completion of tzrec; in ~/.zshrc, after compinit: eval "$(tzrec completion zsh)"
_tzrec() {{
    local before=$words[CURRENT-1] word=$words[CURRENT]
    local -a commands flags names values
    if ((CURRENT == 2)); then
        commands=({names})
        _describe command commands
        return
    fi
    if [[ $word == --*=* ]]; then
        before=${{word%%=*}}
        compset -P '*='
    fi
    case $words[2] in
{chr(10).join(cases)}
    esac
    if (($#values)); then
        compadd -- $values
    elif [[ $word == -* && $word != *=* ]]; then
        _describe flag flags
    elif (($#names)); then
        compadd -- $names
    else
        _files
    fi
}}
compdef _tzrec tzrec
"""


def _fish(commands: Sequence[_Command]) -> str:
    lines = ["# fish completion of tzrec: tzrec completion fish > ~/.config/fish/completions/tzrec.fish"]
    for command in commands:
        text = _fish_quote(command.description)
        lines.append(f"complete -c tzrec -n __fish_use_subcommand -f -a {command.name} -d {text}")
        condition = f"-n '__fish_seen_subcommand_from {command.name}'"
        if command.words:
            lines.append(f"complete -c tzrec {condition} -f -a '{' '.join(command.words)}'")
        path = " -r -F" if command.words else " -r"
        for flag in command.flags:
            values = f" -x -a '{' '.join(flag.values)}'" if flag.values else path if flag.has_value else ""
            name = flag.name.removeprefix("--")
            lines.append(f"complete -c tzrec {condition} -l {name}{values} -d {_fish_quote(flag.description)}")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """Quote a text for zsh: a quote ends the text, stands for itself, and begins it anew."""
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: Mapping[str, Callable[[Sequence[_Command]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


if __name__ == "__main__":
    cli.leave(main())
