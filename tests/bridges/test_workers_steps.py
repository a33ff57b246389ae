"""Single steps on workers: nodes with a queue, in a swarm that has workers."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from swarmlet import Budget, BudgetExceeded, GraphError, StepFailed, Swarm, graph, node
from swarmlet.bridges.journals import PostgresJournal
from swarmlet.bridges.workers import Workers
from swarmlet.testing import Fail, Held, Say, ScriptedServer
from swarmlet.testing.gates import Gate
from swarmlet.trace import Journal
from swarmlet.trace.events import Noted, StepEnded
from tests.bridges import worker_flows as flows
from tests.bridges.limit_servers import postgres_server
from tests.bridges.worker_processes import Site, fresh

pytest.importorskip("dbos", reason="the dbos package is not installed")
pytestmark = pytest.mark.anyio
PATIENCE = 40


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site, None, None]:
    with postgres_server() as url, ScriptedServer(strict=False) as server:
        site = Site(url, server, tmp_path_factory.mktemp("steps"))
        with site.workers(1, options=["--queue", "special"]):
            yield site


@pytest.fixture(autouse=True)
def environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.answer(echo)
    monkeypatch.setenv("OPENAI_BASE_URL", site.server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", site.server.api_key)


def echo(request: object) -> Say:
    return Say(f"<{getattr(request, 'last', '')}>")


async def test_a_node_with_a_queue_is_executed_by_a_worker_and_the_rest_here(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers, Swarm(workers=workers) as swarm:
            here, there = (await swarm.run(flows.places)).output
    assert here == os.getpid() != there


async def test_without_workers_it_is_executed_here(site: Site) -> None:
    async with Swarm() as swarm:
        here, there = (await swarm.run(flows.places)).output
    assert here == there == os.getpid()


async def test_a_dispatched_step_is_a_step_like_any_other_with_its_usage(site: Site, tmp_path: Path) -> None:
    word = fresh("w")
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers, Swarm(workers=workers, journal=tmp_path / "j.sqlite") as swarm:
            run = await swarm.run(flows.split, word)
    assert run.output == (f"<Say: {word}>", f"<Shout: {word}> <Shout: {word}>")
    assert run.usage.requests == 3
    step = run.trace.step("split/away")
    assert step.state == "finished"
    assert step.usage.requests == 2
    assert run.trace.output("split/away") == run.output[1]
    ends = [event for event in run.trace.events if isinstance(event, StepEnded) and event.path == "split/away"]
    assert len(ends) == 1
    (note,) = [event.message for event in run.trace.events if isinstance(event, Noted)]
    child = note.rpartition(" ")[2]
    assert child == f"{run.id}~split/away"
    there = Journal(PostgresJournal(site.url)).trace(child)
    assert there.usage == step.usage


async def test_a_run_that_is_resumed_takes_the_recorded_answer_of_its_step(site: Site, tmp_path: Path) -> None:
    word, path, refused = fresh("w"), tmp_path / "j.sqlite", [True]
    site.answer(lambda request: Fail(400) if refused[0] and request.last.startswith("Say") else echo(request))
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers:
            async with Swarm(workers=workers, journal=path) as swarm:
                with pytest.raises(StepFailed) as caught:
                    await swarm.run(flows.split, word)
            assert caught.value.run is not None
            refused[0] = False
            async with Swarm(workers=workers, journal=path) as swarm:
                run = await swarm.resume(caught.value.run.id, flows.split)
    assert run.output == (f"<Say: {word}>", f"<Shout: {word}> <Shout: {word}>")


async def test_what_a_step_spends_elsewhere_comes_out_of_the_budgets_around_it(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers, Swarm(workers=workers, budget=Budget(requests=7)) as swarm:
            first = await swarm.run(flows.split, fresh("w"))
            second = await swarm.run(flows.split, fresh("w"))
            with pytest.raises(BudgetExceeded) as caught:
                await swarm.run(flows.split, fresh("w"))
    assert first.usage.requests == second.usage.requests == 3
    assert caught.value.kind == "requests"


@pytest.mark.parametrize(
    ("budget", "kind"),
    [(Budget(requests=1), "requests"), (Budget(tokens=30), "tokens"), (Budget(usd="0.0000001"), "usd")],
)
async def test_a_budget_that_is_too_small_runs_out_there_as_it_would_here(site: Site, budget: Budget, kind: str) -> None:
    poor = flows.away.with_options(budget=budget, name="poor")
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers, Swarm(workers=workers) as swarm:
            with pytest.raises(BudgetExceeded) as caught:
                await swarm.run(poor, fresh("w"))
    assert (caught.value.kind, caught.value.scope) == (kind, "poor")


async def test_a_large_budget_comes_back_but_for_what_was_used(site: Site) -> None:
    budget = Budget(tokens=100_000, input_tokens=90_000, output_tokens=80_000, requests=500, usd="0.5")
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers, Swarm(workers=workers, budget=budget) as swarm:
            runs = [await swarm.run(flows.away, fresh("w")) for _ in range(3)]
    assert [run.usage.requests for run in runs] == [2, 2, 2]


async def test_a_failure_elsewhere_is_one_of_its_step_and_a_fallback_stands_in(site: Site) -> None:
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers, Swarm(workers=workers) as swarm:
            with pytest.raises(StepFailed, match="no luck here") as caught:
                await swarm.run(flows.broken, "luck")
            assert caught.value.path == "broken"
            saved = await swarm.run(flows.broken.with_options(fallback=flows.plain), "luck")
    assert saved.output == "plain luck"


async def test_cancelling_the_run_stops_the_step_elsewhere(site: Site) -> None:
    gate = Gate()
    site.answer(lambda request: Held("late", gate))
    before = len(site.server.disconnects)
    with anyio.fail_after(PATIENCE):
        async with Workers(site.url) as workers, Swarm(workers=workers) as swarm:

            async def run() -> None:
                await swarm.run(flows.away, fresh("w"))

            async with anyio.create_task_group() as group:
                group.start_soon(run)
                await site.server.wait_for_async(in_flight=1, timeout=20)
                group.cancel_scope.cancel()
            await site.server.wait_for_async(disconnects=before + 1, timeout=20)
    gate.open()


async def test_a_node_that_cannot_cross_fails_its_step_with_the_reason(site: Site) -> None:
    @node
    async def inside(number: int) -> int:
        return number

    local = inside.with_options(queue="special")

    @graph
    def whole(number: int) -> int:
        return local(number)

    async with Workers(site.url) as workers, Swarm(workers=workers) as swarm:
        with pytest.raises(StepFailed, match="it is defined inside the function") as caught:
            await swarm.run(whole, 3)
    assert isinstance(caught.value.__cause__, GraphError)
