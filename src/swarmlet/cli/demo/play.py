"""Runs the demo's graph on the model that there is, and prints the result, the trace, and where the trace is kept."""

from __future__ import annotations

import os
from importlib.resources import files
from typing import TYPE_CHECKING

import anyio
from pydantic import TypeAdapter

from swarmlet import Limits, OpenAIModel, Swarm
from swarmlet.bridges.local import local_model
from swarmlet.cli import UsageError, message, print_json, print_table, store_of
from swarmlet.cli.demo.workflow import Digest, Letter, inbox
from swarmlet.trace.journal import SqliteJournal
from swarmlet.trace.views import Table, duration, line, money, step_table

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from swarmlet.trace import Run


def play(options: Namespace) -> int:
    """Run the demo. The exit status is 0 if every letter was handled."""
    kept = store_of(options)
    if not isinstance(kept, SqliteJournal):
        raise UsageError("the demo keeps its runs in a file: --journal PATH")
    journal = kept.path
    elsewhere = os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")
    remote: str | None = options.model if elsewhere and not options.local else None
    result, model = anyio.run(_on_a_model, remote, journal)
    if options.json:
        print_json({"run": result.id, "model": model, "journal": str(journal), "output": result.output.model_dump()})
    else:
        _print(result, model, journal)
    return 0


def load_inbox() -> list[Letter]:
    """The letters that ship with the package."""
    return TypeAdapter(list[Letter]).validate_json(files("swarmlet.cli.demo").joinpath("inbox.json").read_bytes())


async def _on_a_model(remote: str | None, journal: Path) -> tuple[Run[Digest], str]:
    """The finished run, and in words which model it was."""
    if remote is not None:
        where = os.environ.get("OPENAI_BASE_URL", "OpenAI")
        message(f"asking {remote} at {where}")
        return await _handle(OpenAIModel(remote), 16, journal), f"{remote} at {where}"
    async with local_model(on_progress=message) as server:
        message(f"asking {server.name}, a very small model, on this machine")
        model = OpenAIModel(server.name, base_url=server.base_url, api_key=server.api_key)
        return await _handle(model, 4, journal), f"{server.name}, on this machine"


async def _handle(model: OpenAIModel, concurrency: int, journal: Path) -> Run[Digest]:
    try:
        from rich.console import Console

        from swarmlet.cli.demo.progress import LiveProgress
    except ImportError as error:
        raise UsageError("the demo's display needs rich: pip install 'swarmlet[demo]'") from error
    letters = load_inbox()
    async with Swarm(model=model, journal=journal, limits=Limits(concurrency=concurrency)) as swarm:
        with LiveProgress(Console(stderr=True), [letter.id for letter in letters]) as progress:
            async with swarm.stream(inbox, letters) as stream:
                async for event in stream:
                    progress.show(event)
        return stream.result


def _print(result: Run[Digest], model: str, journal: Path) -> None:
    digest = result.output
    print()
    print_table(letter_table(digest))
    print()
    print(f"In one sentence: {line(digest.headline)}")
    print("By kind: " + ", ".join(f"{count} {kind}" for kind, count in digest.counts.items()))
    print(f"Left to a person: {', '.join(digest.for_a_person) or 'none'}")
    print()
    print_table(step_table(result.trace))
    print()
    usage = result.usage
    cost = f"{money(usage)} USD" if not usage.unpriced_requests else "no price known"
    print(f"Model: {model}")
    print(f"Took {duration(result.trace.seconds)} and {usage.requests} calls: {usage.total_tokens:,} tokens, {cost}")
    print(f"Trace: {journal}")
    print(f"Look again: swarmlet --journal {journal} show {result.id}")


def letter_table(digest: Digest) -> Table:
    """One row for each letter."""
    rows: list[tuple[str, ...]] = [
        (
            one.letter.id,
            one.sorting.kind,
            line(one.sorting.summary),
            str(one.answer.drafts),
            line(one.answer.reply or "(left to a person)"),
        )
        for one in digest.letters
    ]
    return Table(("id", "kind", "summary", "drafts", "reply"), frozenset({"drafts"}), rows)
