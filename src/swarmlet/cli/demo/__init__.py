"""`swarmlet demo`: a support inbox, handled by a graph of agents on a real model.

workflow   the graph, to read and to copy from
play       runs it and prints what came out
progress   what is shown meanwhile
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="handle a small support inbox on a real model, and show the trace",
        description="Handles a small support inbox with a graph of agents. Asks OpenAI if OPENAI_API_KEY is set, the server "
        "at OPENAI_BASE_URL if that is set, and otherwise a small model on this machine, which is downloaded once.",
    )
    parser.add_argument("--local", action="store_true", help="use the model on this machine also where there is a key")
    parser.add_argument("--model", default="gpt-4o-mini", metavar="NAME", help="the server's model (default: gpt-4o-mini)")


def run(options: Namespace) -> int:
    """Run the demo and print what came out."""
    from swarmlet.cli.demo.play import play

    return play(options)
