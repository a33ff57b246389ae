"""`swarmlet completion SHELL`: a script that makes a shell complete commands, options, their values, and ids of runs.

The script is made from the parsers themselves, so it knows what `--help` knows. Ids are asked for when they are completed:
`swarmlet completion ids` prints the newest of the journal.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from swarmlet.cli import journal_of
from swarmlet.errors import SwarmletError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from collections.abc import Iterator, Sequence

_SHELLS: Final = ("bash", "zsh", "fish")
_IDS: Final = 50
_RUNS: Final = frozenset({"run_id", "before", "after"})
"""Where a run is named."""
_FILES: Final = frozenset({"journal", "output"})
_SETUP: Final = {
    "bash": 'eval "$(swarmlet completion bash)"      # in ~/.bashrc',
    "zsh": 'eval "$(swarmlet completion zsh)"       # in ~/.zshrc, after compinit',
    "fish": "swarmlet completion fish | source      # in ~/.config/fish/config.fish",
}


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script with which bash, zsh or fish complete commands, options and ids of runs",
        description="Print a script with which a shell completes commands, options, their values, and ids of runs.",
        epilog="; ".join(f"{shell}: {line}" for shell, line in _SETUP.items()),
    )
    parser.add_argument("shell", choices=(*_SHELLS, "ids"), help="the shell; `ids` prints the ids of the newest runs instead")


def run(options: Namespace) -> int:
    """Print the script."""
    if options.shell == "ids":
        return _ids(options)
    from swarmlet.cli.main import COMMANDS, parser_of

    commands = list(_commands(parser_of(COMMANDS)))
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[cast("str", options.shell)]
    print("\n".join(script(commands)))
    return 0


def _ids(options: Namespace) -> int:
    """What a shell offers as RUN; nothing where there is no journal, as nobody wants a message in the middle of a line."""
    print("last")
    try:
        for each in journal_of(options).runs(limit=_IDS):
            print(each.id)
    except SwarmletError:
        return 0
    return 0


# What there is to complete


@dataclass(frozen=True, slots=True)
class _Option:
    names: tuple[str, ...]
    help: str
    choices: tuple[str, ...]
    takes: str
    """What its value is called; empty if it takes none."""
    files: bool


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    """Empty for what may stand before a command."""
    help: str
    options: list[_Option] = field(default_factory=list[_Option])
    words: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """For each argument what it may be; nothing where only the user knows."""
    runs: bool = False
    """Whether its arguments are runs."""


def _commands(parser: ArgumentParser) -> Iterator[_Command]:
    inside = _inner(parser)
    if inside is None:
        return
    yield _command("", "", parser)
    told = {choice.dest: choice.help or "" for choice in inside._choices_actions}  # noqa: SLF001  # argparse says it nowhere else
    for name, one in inside.choices.items():
        yield _command(name, told.get(name, ""), one)


def _inner(parser: ArgumentParser) -> _SubParsersAction[ArgumentParser] | None:
    for action in parser._actions:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return cast("_SubParsersAction[ArgumentParser]", action)
    return None


def _command(name: str, told: str, parser: ArgumentParser) -> _Command:
    command = _Command(name, told, runs=any(action.dest in _RUNS for action in _arguments(parser)))
    for action in parser._actions:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if action.option_strings:
            choices = tuple(str(choice) for choice in action.choices or ())
            takes = "" if action.nargs == 0 else str(action.metavar or action.dest).split("|")[0]
            text = (action.help or "").replace("%%", "%")
            command.options.append(_Option(tuple(action.option_strings), text, choices, takes, action.dest in _FILES))
    for action in _arguments(parser):
        command.words.append(tuple(str(choice) for choice in action.choices or ()))
    return command


def _arguments(parser: ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if not action.option_strings:
            yield action


# The scripts


def _bash(commands: Sequence[_Command]) -> Iterator[str]:
    names = " ".join(command.name for command in commands if command.name)
    yield "# swarmlet completion for bash"
    yield "_swarmlet() {"
    yield '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command="" word index'
    yield "    for ((index = 1; index < COMP_CWORD; index++)); do"
    yield '        word="${COMP_WORDS[index]}"'
    yield f'        case " {names} " in *" $word "*) command="$word"; break ;; esac'
    yield "    done"
    yield '    case "$command:$previous" in'
    for command in commands:
        for option in command.options:
            if option.takes:
                pattern = "|".join(f"{command.name}:{name}" for name in option.names)
                yield f"        {pattern}) {_bash_value(option)}; return ;;"
    yield "    esac"
    yield '    case "$command" in'
    for command in commands:
        names_of = " ".join(name for option in command.options for name in option.names)
        words = names if not command.name else " ".join(word for each in command.words for word in each)
        runs = " $(swarmlet completion ids 2>/dev/null)" if command.runs else ""
        yield f'        "{command.name}")'
        yield f'            if [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "{names_of}" -- "$current"))'
        yield f'            else COMPREPLY=($(compgen -W "{words}{runs}" -- "$current")); fi ;;'
    yield "    esac"
    yield "}"
    yield "complete -F _swarmlet swarmlet"


def _bash_value(option: _Option) -> str:
    if option.choices:
        return f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$current"))'
    return 'COMPREPLY=($(compgen -f -- "$current"))' if option.files else "COMPREPLY=()"


def _zsh(commands: Sequence[_Command]) -> Iterator[str]:
    yield "#compdef swarmlet"
    yield "_swarmlet_runs() {"
    yield "    local -a runs"
    yield '    runs=(${(f)"$(swarmlet completion ids 2>/dev/null)"})'
    yield "    compadd -V runs -- $runs"
    yield "}"
    yield "_swarmlet() {"
    yield '    local context state line curcontext="$curcontext"'
    yield "    local -a commands"
    first, rest = commands[0], commands[1:]
    yield "    commands=("
    for command in rest:
        yield f"        {_quoted(f'{command.name}:{command.help}')}"
    yield "    )"
    yield "    _arguments -C \\"
    for option in first.options:
        yield from (f"        {spec} \\" for spec in _zsh_option(option))
    yield "        '1: :->command' '*:: :->rest'"
    yield "    case $state in"
    yield "        command) _describe command commands ;;"
    yield "        rest) case $words[1] in"
    for command in rest:
        specs = [spec for option in command.options for spec in _zsh_option(option)]
        for index, words in enumerate(command.words, 1):
            action = (
                "_swarmlet_runs" if command.runs and index <= _runs_first(command) else f"({' '.join(words)})" if words else ""
            )
            specs.append(_quoted(f"{index}: :{action}"))
        yield f"            {command.name}) _arguments {' '.join(specs)} ;;"
    yield "        esac ;;"
    yield "    esac"
    yield "}"
    yield "compdef _swarmlet swarmlet"


def _runs_first(command: _Command) -> int:
    """How many of the arguments are runs: the first one, but of `diff` two."""
    return 2 if command.name == "diff" else 1


def _zsh_option(option: _Option) -> Iterator[str]:
    told = option.help.replace("[", "(").replace("]", ")").replace(":", "\\:")
    value = ""
    if option.takes:
        action = f"({' '.join(option.choices)})" if option.choices else "_files" if option.files else ""
        value = f":{option.takes.replace(':', ' ')}:{action}"
    for name in option.names:
        yield _quoted(f"{name}[{told}]{value}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(commands: Sequence[_Command]) -> Iterator[str]:
    names = " ".join(command.name for command in commands if command.name)
    yield "# swarmlet completion for fish"
    yield "complete -c swarmlet -f"
    for command in commands:
        within = f"__fish_seen_subcommand_from {command.name}" if command.name else f"not __fish_seen_subcommand_from {names}"
        begins = f"complete -c swarmlet -n {_quoted(within)}"
        if command.name:
            first = f"complete -c swarmlet -n {_quoted(f'not __fish_seen_subcommand_from {names}')}"
            yield f"{first} -a {command.name} -d {_fish_quoted(command.help)}"
        for option in command.options:
            yield f"{begins} {_fish_names(option)} -d {_fish_quoted(option.help)}{_fish_value(option)}"
        for words in command.words if command.name else ():
            if words:
                yield f"{begins} -a {_fish_quoted(' '.join(words))}"
        if command.runs:
            yield f"{begins} -a '(swarmlet completion ids 2>/dev/null)' -d run"


def _fish_names(option: _Option) -> str:
    return " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)


def _fish_value(option: _Option) -> str:
    if option.choices:
        return f" -x -a {_fish_quoted(' '.join(option.choices))}"
    return "" if not option.takes else " -r -F" if option.files else " -x"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
