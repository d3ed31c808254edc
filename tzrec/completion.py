"""`tzrec completion`: print a script with which a shell completes commands, flags, choices and paths.

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


@cli.run
def main(argv: Sequence[str] | None = None) -> int:
    """Return 0."""
    flags = cli.parser("completion", "Print a script that completes commands and flags; see docs/monitoring.md.")
    flags.add_argument("shell", choices=_SCRIPTS, help='bash: eval "$(tzrec completion bash)" in ~/.bashrc')
    args = flags.parse_args(argv)
    flags_by_command = {command: _flags(command) for command in cli.commands()}
    print(_SCRIPTS[args.shell](flags_by_command), end="")
    return 0


def _flags(command: str) -> list[_Flag]:
    """List the flags of a command, each name of them once."""
    actions = cli.flags_of(command).actions
    return [_describe(action, name) for action in actions for name in action.option_strings if name.startswith("--")]


def _describe(action: argparse.Action, name: str) -> _Flag:
    text = " ".join((action.help or "").replace("%%", "%").split())
    values = _BOOLEANS if action.type is cli.boolean else tuple(map(str, action.choices or ()))
    return _Flag(name, text, values, action.nargs != 0)


def _bash(flags_by_command: Mapping[str, Sequence[_Flag]]) -> str:
    cases = []
    for command, flags in flags_by_command.items():
        values = "".join(f"{flag.name}) values='{' '.join(flag.values)}';; " for flag in flags if flag.values)
        names = " ".join(flag.name for flag in flags)
        cases.append(f"        {command}) flags='{names}'; case $before in {values}esac;;")
    return f"""# bash completion of tzrec; in ~/.bashrc: eval "$(tzrec completion bash)"
_tzrec() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} flags= values=
    [[ $word == = ]] && word=  # bash divides --flag=value at the equals sign
    [[ $before == = ]] && before=${{COMP_WORDS[COMP_CWORD-2]}}
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W '{" ".join(flags_by_command)} --help --version' -- "$word"))
        return
    fi
    case ${{COMP_WORDS[1]}} in
{chr(10).join(cases)}
    esac
    if [[ -n $values ]]; then
        COMPREPLY=($(compgen -W "$values" -- "$word"))
    elif [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
    else
        local IFS=$'\\n'
        compopt -o filenames 2> /dev/null
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -F _tzrec tzrec
"""


def _zsh(flags_by_command: Mapping[str, Sequence[_Flag]]) -> str:
    descriptions = cli.commands()
    commands = " ".join(_quote(f"{command}:{descriptions[command]}") for command in flags_by_command)
    cases = []
    for command, flags in flags_by_command.items():
        values = "".join(f"{flag.name}) values=({' '.join(flag.values)});; " for flag in flags if flag.values)
        names = " ".join(_quote(f"{flag.name}:{flag.description}".replace("\\", "\\\\")) for flag in flags)
        cases.append(f"        {command}) flags=({names}); case $before in {values}esac;;")
    return f"""#compdef tzrec
# zsh completion of tzrec; in ~/.zshrc, after compinit: eval "$(tzrec completion zsh)"
_tzrec() {{
    local before=$words[CURRENT-1] word=$words[CURRENT]
    local -a commands flags values
    if ((CURRENT == 2)); then
        commands=({commands})
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
    else
        _files
    fi
}}
compdef _tzrec tzrec
"""


def _fish(flags_by_command: Mapping[str, Sequence[_Flag]]) -> str:
    descriptions = cli.commands()
    lines = ["# fish completion of tzrec: tzrec completion fish > ~/.config/fish/completions/tzrec.fish"]
    for command, flags in flags_by_command.items():
        text = _fish_quote(descriptions[command])
        lines.append(f"complete -c tzrec -n __fish_use_subcommand -f -a {command} -d {text}")
        for flag in flags:
            condition = f"-n '__fish_seen_subcommand_from {command}'"
            values = f" -x -a '{' '.join(flag.values)}'" if flag.values else " -r" if flag.has_value else ""
            name = flag.name.removeprefix("--")
            lines.append(f"complete -c tzrec {condition} -l {name}{values} -d {_fish_quote(flag.description)}")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """Quote a text for zsh: a quote ends the text, stands for itself, and begins it anew."""
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: Mapping[str, Callable[[Mapping[str, Sequence[_Flag]]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


if __name__ == "__main__":
    cli.leave(main())
