"""Runs on workers: real processes over a real Postgres, with DBOS between them."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from swarmlet import Budget, BudgetExceeded, DeadlineExceeded, GraphError, SwarmletError, node
from swarmlet.bridges.journals import PostgresJournal
from swarmlet.bridges.workers import MissingEngine, NoSuchRun, RunCancelled, RunFailed, RunHandle, Told, Workers
from swarmlet.cli.main import main
from swarmlet.testing import Fail, Held, Say, ScriptedServer, Slow
from swarmlet.testing.gates import Gate
from swarmlet.trace import Journal
from swarmlet.trace.events import CallEnded, RunEnded, TextDelta
from tests.bridges import worker_flows as flows
from tests.bridges.limit_servers import postgres_server
from tests.bridges.worker_processes import Site, fresh

pytest.importorskip("dbos", reason="the dbos package is not installed")
pytestmark = pytest.mark.anyio
PATIENCE = 40


def echo(request: object) -> Say:
    return Say(f"<{getattr(request, 'last', '')}>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site, None, None]:
    with postgres_server() as url, ScriptedServer(strict=False) as server:
        site = Site(url, server, tmp_path_factory.mktemp("workers"))
        with site.workers(2, options=["--queue", "swarmlet", "--queue", "special"]):
            yield site


@pytest.fixture(autouse=True)
def answers(site: Site) -> None:
    site.answer(echo)


# One run


async def test_a_run_gives_its_result_and_what_it_cost(site: Site) -> None:
    words = [fresh("w") for _ in range(5)]
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(flows.choir, words)
            result = await handle.result()
            assert await handle.state() == "finished"
    assert result.output == [f"<Say: {word}>" for word in words]
    assert result.usage.requests == 5
    assert result.id == handle.id
    trace = Journal(PostgresJournal(site.url)).trace(handle.id)
    assert trace.usage == result.usage
    assert isinstance(trace.events[-1], RunEnded)


async def test_values_and_options_cross_with_their_types(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            named = flows.greet.with_options(name="hello", timeout=9)
            handle = await workers.start(named, flows.Note(text="ß☃", number=2))
            result = await handle.result()
    assert result.output == flows.Note(text="SS☃", number=3)
    assert Journal(PostgresJournal(site.url)).trace(handle.id).started.name == "hello"


async def test_the_run_is_in_another_process(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            result = await (await workers.start(flows.where)).result()
    assert result.output != os.getpid()


async def test_the_callers_span_goes_along(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            assert (await (await workers.start(flows.traced)).result()).output == ""
            with TracerProvider().get_tracer("app").start_as_current_span("request") as span:
                handle = await workers.start(flows.traced)
            told = (await handle.result()).output
    here = span.get_span_context()
    assert told.split("-")[1:3] == [f"{here.trace_id:032x}", f"{here.span_id:016x}"]


async def test_another_caller_fetches_the_result_by_its_id(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            started = await workers.start(flows.greet, flows.Note(text="x"))
        async with Workers(site.url) as others:
            result = await others.handle(started.id, flows.greet).result()
    assert result.output == flows.Note(text="X", number=1)


async def test_an_id_of_the_callers_own_is_run_once(site: Site) -> None:
    run, word = fresh("order"), fresh("w")
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            first = await (await workers.start_as(run, flows.choir, [word])).result()
            second = await (await workers.start_as(run, flows.choir, [word])).result()
    assert first == second
    assert site.asked()[f"Say: {word}"] == 1


async def test_many_runs_are_shared_by_all_workers(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handles = [await workers.start(flows.tick, 0.2) for _ in range(40)]
            results = [await handle.result() for handle in handles]
    assert [result.output for result in results] == [0.2] * 40
    assert len({pid for pid, _ in site.marks()}) == 2


# Refused, failed, cancelled


async def test_a_node_that_cannot_cross_is_refused_before_anything_is_sent(site: Site) -> None:
    @node
    async def local(number: int) -> int:
        return number

    async with Workers(site.url) as workers:
        with pytest.raises(GraphError, match="it is defined inside"):
            await workers.start(local, 3)
        with pytest.raises(GraphError, match="missing a required argument"):
            await workers.start(flows.greet)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def test_a_module_that_the_worker_was_not_started_for_is_refused(site: Site) -> None:
    from tests.engine.portable_nodes import double

    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(double, 2.0)
            with pytest.raises(RunFailed, match="this worker does not run"):
                await handle.result()


async def test_a_failed_run_tells_where_and_why_and_its_worker_goes_on(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            for _ in range(3):
                with pytest.raises(RunFailed, match="no luck here"):
                    await (await workers.start(flows.fail, "luck")).result()
            handle = await workers.start(flows.fail, "luck")
            with pytest.raises(RunFailed, match="no luck here") as caught:
                await handle.result()
            assert (caught.value.path, caught.value.type, caught.value.run_id) == ("fail", "ValueError", handle.id)
            assert await handle.state() == "failed"
            assert (await (await workers.start(flows.greet, flows.Note(text="x"))).result()).output.number == 1


async def test_a_result_that_cannot_cross_is_a_failure_that_says_so(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(flows.impossible, 3)
            with pytest.raises(RunFailed, match="the result of 'impossible' cannot cross"):
                await handle.result()


async def test_a_failed_run_is_resumed_and_pays_for_nothing_again(site: Site) -> None:
    words, broken = [fresh("w") for _ in range(3)], [True]

    def answer(request: object) -> object:
        if broken[0] and words[2] in getattr(request, "last", ""):
            return Fail(400)
        return echo(request)

    site.answer(answer)
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(flows.choir, words)
            with pytest.raises(RunFailed):
                await handle.result()
            broken[0] = False
            result = await (await workers.resume(handle.id, flows.choir)).result()
            again = await (await workers.resume(handle.id, flows.choir)).result()
    assert result.output == [f"<Say: {word}>" for word in words]
    assert again == result
    assert [site.asked()[f"Say: {word}"] for word in words[:2]] == [1, 1]


async def test_a_run_that_nobody_has_started_is_not_known(site: Site) -> None:
    async with Workers(site.url) as workers:
        with pytest.raises(NoSuchRun, match="no run 'nobody'"):
            await workers.handle("nobody", flows.greet).result()


async def test_a_cancel_reaches_the_worker_and_stops_its_calls(site: Site) -> None:
    word, gate = fresh("w"), Gate()
    site.answer(lambda request: Held("late", gate))
    before = len(site.server.disconnects)
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(flows.choir, [word])
            await site.server.wait_for_async(in_flight=1, timeout=20)
            await handle.cancel()
            with pytest.raises(RunCancelled, match="it was cancelled"):
                await handle.result()
            await site.server.wait_for_async(disconnects=before + 1, timeout=20)
            assert await handle.state() == "cancelled"
            await _ended(site, handle.id, "cancelled")
    gate.open()


async def _ended(site: Site, run: str, state: str) -> None:
    """Wait until the journal has the end of a run."""
    journal = Journal(PostgresJournal(site.url))
    while (ended := journal.trace(run).ended) is None or ended.state != state:  # noqa: ASYNC110  # there is nothing to wait for
        await anyio.sleep(0.1)


async def test_a_deadline_and_a_timeout_hold_on_the_worker(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            soon = datetime.now(UTC) + timedelta(seconds=0.5)
            for hurried in (flows.tick.with_options(deadline=soon), flows.tick.with_options(timeout=0.1)):
                handle = await workers.start(hurried, 60.0)
                with pytest.raises(DeadlineExceeded):
                    await handle.result()


async def test_a_budget_holds_on_the_worker(site: Site) -> None:
    words = [fresh("w") for _ in range(6)]
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            handle = await workers.start(flows.choir.with_options(budget=Budget(requests=4)), words)
            with pytest.raises(BudgetExceeded) as caught:
                await handle.result()
    assert (caught.value.kind, caught.value.limit, caught.value.scope) == ("requests", 4, "choir")
    assert sum(site.asked()[f"Say: {word}"] for word in words) == 4


# What is told on the way


async def test_events_and_pieces_of_text_reach_the_caller_past_the_queue(site: Site) -> None:
    gate, told = Gate(), list[Told]()
    text = "one two three " * 300
    site.answer(lambda request: Held(Say(text), gate))
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url, text=True) as workers:
            handle: RunHandle[list[str]] = await workers.start(flows.choir, [fresh("w")])
            async with handle.events() as events:
                gate.open()
                told += [one async for one in events]
            result = await handle.result()
    assert result.output == [text]
    assert {one.run for one in told} == {handle.id}
    assert "".join(one.event.text for one in told if isinstance(one.event, TextDelta)) == text
    assert any(isinstance(one.event, CallEnded) for one in told)
    assert isinstance(told[-1].event, RunEnded)
    numbers = [one.seq for one in told]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_without_being_asked_for_no_text_is_streamed(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            await (await workers.start(flows.choir, [word := fresh("w")])).result()
    assert [request.stream for request in site.server.requests if word in request.last] == [False]


# Limits of all workers together


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # it is about other processes
async def test_limits_hold_over_all_workers_together(site: Site) -> None:
    queue = fresh("limited")
    with ScriptedServer() as server, anyio.fail_after(PATIENCE):
        server.answer(lambda _: Slow("ok", 0.1))
        own = Site(site.url, server, site.folder)
        with own.workers(2, queue, options=["--swarm", f"{flows.HERE}:make_limited"]):
            async with Workers(site.url) as workers:
                choir = flows.choir.with_options(queue=queue)
                handles = [await workers.start(choir, [fresh("w") for _ in range(4)]) for _ in range(6)]
                results = [await handle.result() for handle in handles]
        assert [len(result.output) for result in results] == [4] * 6
        assert len(server.requests) == 24
        assert server.max_in_flight == flows.TOGETHER


# The command


def test_the_command_says_what_it_lacks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(flows.URL, raising=False)
    assert main(["worker", "tests.bridges.worker_flows"]) == 2
    assert "which Postgres? --url" in capsys.readouterr().err
    url = ["--url", "postgresql://nobody@127.0.0.1:1/none"]
    assert main(["worker", "no.such.module", *url]) == 1
    assert "the worker cannot import 'no.such.module'" in capsys.readouterr().err
    assert main(["worker", "tests.bridges.worker_flows", *url, "--concurrency", "0"]) == 2
    assert main(["worker", "tests.bridges.worker_flows", *url, "--swarm", "no.such:thing"]) == 2
    assert main(["worker", "tests.bridges.worker_flows", *url]) == 1
    assert "the workers' Postgres cannot be used" in capsys.readouterr().err


async def test_without_dbos_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dbos", None)
    with pytest.raises(MissingEngine, match=r"need the package 'dbos': pip install 'swarmlet\[workers\]'"):
        async with Workers("postgresql://nobody@127.0.0.1:1/none"):
            pass


async def test_workers_that_were_not_opened_say_so() -> None:
    with pytest.raises(SwarmletError, match="use `async with Workers"):
        await Workers("postgresql://nobody@127.0.0.1:1/none").start(flows.where)
