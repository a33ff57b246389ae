"""Reads the command line and hands it to a subcommand.

A subcommand is a module of this package with `register(subparsers)`, which adds its parser, and `run(options)`, which
returns the exit status: 0 for success, 1 if it failed, 2 if it was asked wrongly. A module is imported only if its
name is among the arguments, or if all are asked for (`--help`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn, cast

from swarmlet.cli import UsageError, add_common, message
from swarmlet.errors import SwarmletError

COMMANDS: Final = (
    *("demo", "check", "plan"),
    *("runs", "show", "top", "stats", "diff", "watch", "export"),
    *("report", "ui"),
    *("journal", "inbox", "answer", "resume", "worker", "completion"),
)
"""The subcommands, in the order in which `--help` shows them; each is a module of this package."""


_ABOUT: Final = """\
Look at what swarms of agents did, and at what they may do.

  swarmlet runs --since 2h            which runs there were
  swarmlet show last                  where a run's time and money went, and what to change
  swarmlet show last --timeline       its steps as bars over time
  swarmlet top --by usd               which nodes cost most, over many runs
  swarmlet plan package.module:graph  what a run may cost, before it begins"""
_STATUSES: Final = """\
Data goes to standard output, messages and hints go to standard error; every command takes --json.
Exit status: 0 for success, 1 if something failed or a problem was found, 2 for a wrong call, 3 where a run waits for a
person, 130 when interrupted. NO_COLOR and FORCE_COLOR are obeyed. Shells complete all this: `swarmlet completion --help`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")  # an output that cannot show a letter shows its escape
    try:
        options = parser_of(arguments).parse_args(arguments)
        status = cast("int", options.run(options))
        sys.stdout.flush()
    except UsageError as error:
        message(str(error))
        return 2
    except SwarmletError as error:
        message(str(error))
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _silence()
        return 0
    except KeyboardInterrupt:
        return 130
    return status


def parser_of(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the commands that are among the arguments; of all if there is none."""
    parser = argparse.ArgumentParser(
        prog="swarmlet",
        description=_ABOUT,
        epilog=_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    add_common(parser, suppress=False)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [name for name in COMMANDS if name in arguments] or COMMANDS:
        module = import_module(f"swarmlet.cli.{name}")
        module.register(subparsers)
        subparser = subparsers.choices[name]
        subparser.set_defaults(run=module.run)
        add_common(subparser, suppress=True)
    return parser


class _Version(argparse.Action):
    """argparse's own asks for the text before it is needed, which takes a tenth of the time that a command takes."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib import metadata

        try:
            print(f"swarmlet {metadata.version('swarmlet')}")
        except metadata.PackageNotFoundError:
            print("swarmlet (not installed)")
        parser.exit()


def _silence() -> None:
    """Let Python's last flush at exit go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
