"""The question on a command line."""

from argparse import ArgumentParser, Namespace

import anyio

from examples._show import counted, dollars, model, told
from examples.codebase.ask import Answer, ask
from swarmlet import Budget, Run, SqliteCache, Swarm
from swarmlet.trace import visible


async def main(given: Namespace) -> None:
    bounded = ask.with_options(budget=Budget(usd=given.usd))
    cache = SqliteCache(given.cache) if given.cache else None
    async with Swarm(model=model(), journal=given.journal, cache=cache) as swarm:
        if given.resume:
            run = await swarm.resume("last", bounded, progress=True)
        else:
            run = await swarm.run(bounded, given.question, given.path, progress=True)
    show(run)


def show(run: Run[Answer]) -> None:
    answer, usage = run.output, run.usage
    saved = sum(len(step.saved) for step in run.trace.steps())
    print(f"{visible(answer.text)}\n")
    for finding in answer.cited:
        print(visible(f"  {finding.place}  {finding.why}"))
    made_up = counted(answer.dropped, "made-up place")
    print(f"\n{counted(answer.files, 'file')}, {made_up} dropped, {answer.repaired} moved to their true lines")
    for what, names in {
        "skipped": [f"{path} ({why})" for path, why in answer.skipped.items()],
        "not read": answer.unread,
    }.items():
        print(f"{len(names)} {what}{': ' if names else ''}{', '.join(names[:10])}{', ...' if len(names) > 10 else ''}")
    print(
        f"{counted(usage.requests, 'call')} ({saved} more from replies that were there), {usage.input_tokens} tokens in "
        f"({usage.cached_tokens} from the provider's cache), {usage.output_tokens} out, {usage.usd:.5f} USD"
    )


def arguments(words: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(prog="python -m examples.codebase", description="A question over a source tree.")
    parser.add_argument("question")
    parser.add_argument("path")
    parser.add_argument("--usd", type=dollars, default="0.10", help="what it may cost")
    parser.add_argument("--cache", help="a file that keeps replies, for the same question again")
    parser.add_argument("--journal", help="a file that keeps the run, so that it can go on")
    parser.add_argument("--resume", action="store_true", help="go on with the last run of the journal")
    given = parser.parse_args(words)
    if given.resume and not given.journal:
        parser.error("--resume needs the --journal of the run")
    return given


if __name__ == "__main__":
    given = arguments()
    with told("The same with --resume goes on." if given.journal else ""):
        anyio.run(main, given)
