"""Runs as users write them. No checker may flag a line; only definitions run when the file is imported."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import ParamSpec, TypeVar

from pydantic import BaseModel
from typing_extensions import assert_type

from swarmlet import Again, Done, Failed, Limits, Node, OpenAIModel, PartialRun, Run, RunError, StepFailed, Swarm, Trace, Usage
from swarmlet import agent, current, each, graph, loop, node, run, run_sync

P = ParamSpec("P")
T = TypeVar("T")


class Task(BaseModel):
    text: str


class Code(BaseModel):
    source: str


class Database:
    async def query(self, sql: str) -> list[str]:
        return [sql]


class Cache:
    def look_up(self, key: str) -> str | None:
        return key or None


@asynccontextmanager
async def open_database() -> AsyncGenerator[Database, None]:
    yield Database()


@agent(Code)
def write(task: Task) -> str:
    return task.text


@node
async def stored(task: Task, limit: int = 1) -> list[str]:
    database = current().get(Database)
    assert_type(database, Database)
    key = current().get(Cache).look_up(task.text)
    assert_type(key, str | None)
    return (await database.query(key or ""))[:limit]


@node
def countdown(left: int) -> Again[int] | Done[str]:
    return Again(left - 1) if left else Done("lift-off")


@graph
def solve(task: Task) -> tuple[Code, list[str]]:
    return write(task), stored(task)


@node
async def by_hand(tasks: list[Task]) -> list[Code]:
    step = current()
    step.log.info("starting", key=step.idempotency_key, run=step.run_id)
    codes = await step.run(each(write), tasks)
    assert_type(codes, list[Code])
    kept = await step.run(each(write, on_error="keep"), tasks)
    assert_type(kept, list[Code | Failed])
    text = await step.run(loop(countdown, rounds=3), 3)
    assert_type(text, str)
    return [*codes, Code(source=text)]


async def runs(task: Task) -> Code:
    result = await run(write, task)
    assert_type(result, Run[Code])
    assert_type(result.output, Code)
    assert_type(result.usage, Usage)
    assert_type(result.trace, Trace)
    both = await run(solve, task=task)
    assert_type(both.output, tuple[Code, list[str]])
    code, rows = both.output
    rows.append(code.source)
    limited = await run(stored, task, limit=3)
    assert_type(limited.output, list[str])
    mapped = await run(each(write, on_error="keep"), [task, task])
    assert_type(mapped.output, list[Code | Failed])
    slow = await run(write.with_options(timeout=5), task)
    assert_type(slow.output, Code)
    return result.output


def runs_sync(task: Task) -> str:
    result = run_sync(write, task)
    assert_type(result.output, Code)
    text = run_sync(loop(countdown, rounds=3), 3).output
    assert_type(text, str)
    return result.output.source


async def in_a_swarm(task: Task, path: Path) -> Decimal:
    resources = {Database: open_database, Cache: Cache()}
    async with Swarm(model="gpt-4o-mini", journal=path, limits=Limits(concurrency=4), resources=resources) as swarm:
        result = await swarm.run(solve, task)
        assert_type(result.output, tuple[Code, list[str]])
        async with swarm.stream(write, task) as stream:
            async for event in stream:
                print(event.at)
            assert_type(stream.output, Code)
            assert_type(stream.result, Run[Code])
        return result.usage.usd + stream.result.usage.usd


async def for_somebody(task: Task, cache: Cache) -> Code:
    one = write.with_options(resources={Database: Database()}, timeout=5)
    inferred = {Database: Database(), Cache: cache}
    several = solve.with_options(resources=inferred)
    declared: dict[type, object] = {Cache: cache}
    mapped = each(write).with_options(resources=declared).with_options(resources={})
    assert_type((await run(several, task)).output, tuple[Code, list[str]])
    assert_type((await run(mapped, [task])).output, list[Code])
    return (await run(one, task)).output


@node
async def may_have(text: str) -> list[str]:
    database = current().find(Database)
    assert_type(database, Database | None)
    return [] if database is None else await database.query(text)


async def gone_on_with(task: Task) -> None:
    async with Swarm(journal="runs.db") as swarm:
        once = await swarm.run_as("one", solve, task)
        assert_type(once, Run[tuple[Code, list[str]]])
        shown = await swarm.run_as("two", solve, task=task, progress=True)
        assert_type(shown, Run[tuple[Code, list[str]]])
        resumed = await swarm.resume("two", solve, progress=True)
        assert_type(resumed, Run[tuple[Code, list[str]]])
        forked = await swarm.fork("two", solve, inputs={"task": task}, again=["solve/write"], progress=True)
        assert_type(forked, Run[tuple[Code, list[str]]])


async def with_models(task: Task) -> Code:
    model = OpenAIModel("gpt-4o-mini")
    async with Swarm(model=model, models=[model], journal="runs.db", resources={Database: Database()}, capture=False) as swarm:
        return (await swarm.run(write.with_options(model="gpt-4o-mini"), task)).output


async def caught(task: Task) -> str:
    try:
        return (await run(write, task)).output.source
    except StepFailed as error:
        assert_type(error.path, str)
        return error.path
    except RunError as error:
        return str(error)


def numbers(usage: Usage, trace: Trace, part: PartialRun) -> tuple[int, Decimal, str]:
    both = usage + trace.usage + part.usage
    assert_type(both, Usage)
    assert_type(both.usd, Decimal)
    seconds: float = trace.seconds
    steps = [step.name for step in trace.root.walk() if step.state == "failed"]
    return both.requests + both.input_tokens + both.cached_tokens + both.output_tokens + both.total_tokens, both.usd, f"{seconds} {steps}"


async def anything(node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    return (await run(node, *args, **kwargs)).output


def wide(result: Run[object]) -> object:
    return result.output


async def uses_them(task: Task) -> object:
    code = await anything(write, task)
    assert_type(code, Code)
    return wide(await run(write, task)), code
