"""Forks: a new run from an old one, which reuses what still holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from swarmlet import Run, StepFailed, Swarm, SwarmletError, agent, current, each, graph, node
from swarmlet.errors import JournalError
from swarmlet.testing import CallTools, Request, Say, ScriptedServer, call
from swarmlet.trace.events import CallStarted, StepStarted
from tests.swarm.prefixes import write_prefix
from tests.swarm.resuming import executed, executes

pytestmark = pytest.mark.anyio


class Draft(BaseModel):
    text: str


@agent(Draft)
def write(topic: str) -> str:
    """You write."""
    return f"WRITE {topic}"


@agent(str)
def review(draft: Draft) -> str:
    """You review."""
    return f"REVIEW {draft.text}"


@node
def parts(draft: Draft, count: int) -> list[str]:
    executes()
    return [f"{draft.text} {number}" for number in range(count)]


@node
async def check(part: str) -> str:
    executes()
    return part + await current().run(inner, part)


@node
def inner(part: str) -> str:
    executes()
    return f"<{part}>"


@node
def join(review: str, checked: Sequence[str]) -> str:
    executes()
    return f"{review}: {' '.join(checked)}"


@graph
def article(topic: str, count: int) -> str:
    draft = write(topic)
    return join(review(draft), each(check)(parts(draft, count)))


def reply(request: Request) -> object:
    kind, _, rest = request.last.partition(" ")
    return Say(Draft(text=f"on {rest}").model_dump_json() if kind == "WRITE" else f"{kind.lower()}ed {rest}")


@pytest.fixture
def server(scripted_server: ScriptedServer) -> ScriptedServer:
    scripted_server.answer(reply)
    return scripted_server


def reused(run: Run[Any]) -> set[str]:
    return {event.path for event in run.trace.events if isinstance(event, StepStarted) and event.reused}


def done(run: Run[Any]) -> set[str]:
    return {event.path for event in run.trace.events if isinstance(event, StepStarted) and not event.reused}


ALL = {"article/write", "article/review", "article/parts", "article/check[0]", "article/check[1]", "article/join"}


async def test_a_fork_without_changes_reuses_everything_and_costs_nothing(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 2)
        executed.clear()
        new = await swarm.fork(old.id, article)
    assert new.output == old.output == "reviewed on tea: on tea 0<on tea 0> on tea 1<on tea 1>"
    assert (reused(new), done(new), executed) == (ALL, set(), [])
    assert new.usage.requests == 0
    assert new.trace.started.forked_from == old.id
    assert new.id != old.id
    assert len(server.requests) == 2


async def test_another_input_reuses_what_does_not_depend_on_it(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 2)
        new = await swarm.fork(old.id, article, inputs={"count": 1})
    assert new.output == "reviewed on tea: on tea 0<on tea 0>"
    assert reused(new) == {"article/write", "article/review", "article/check[0]"}
    assert done(new) == {"article/parts", "article/join"}
    assert len(server.requests) == 2


async def test_another_output_is_put_in_the_place_of_what_a_step_gave(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 1)
        new = await swarm.fork(old.id, article, outputs={"article/write": Draft(text="mine")})
        again = await swarm.fork(new.id, article)
    assert new.output == again.output == "reviewed mine: mine 0<mine 0>"
    assert reused(new) == {"article/write"}
    assert reused(again) >= {"article/write", "article/review", "article/join"}
    assert new.usage.requests == 1
    assert again.usage.requests == 0


async def test_a_step_inside_of_a_step_is_executed_anew_and_so_is_what_is_around_it(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 2)
        executed.clear()
        new = await swarm.fork(old.id, article, again=["article/check[1]/inner"])
        assert sorted(executed) == ["article/check[1]", "article/check[1]/inner"]
        executed.clear()
        edited = await swarm.fork(old.id, article, outputs={"article/check[1]/inner": "mine"})
        assert sorted(executed) == ["article/check[1]", "article/join"]
    assert new.output == old.output
    assert edited.output == "reviewed on tea: on tea 0<on tea 0> on tea 1mine"
    assert new.usage.requests == edited.usage.requests == 0


async def test_a_whole_map_is_executed_anew_by_its_path(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 2)
        executed.clear()
        await swarm.fork(old.id, article, again=["article/check"])
    assert sorted(executed) == sorted(
        ["article/check[0]", "article/check[0]/inner", "article/check[1]", "article/check[1]/inner"]
    )


async def test_a_fork_has_another_model_where_it_is_told_so(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 1)
        of = article.with_options(model="gpt-6-luna")
        new = await swarm.fork(old.id, of, again=["article/review"])
    calls = [event for event in new.trace.events if isinstance(event, CallStarted)]
    assert [(event.path, event.model) for event in calls] == [("article/review", "gpt-6-luna")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"again": ["article/nothing"]}, "no step 'article/nothing'"),
        ({"outputs": {"nothing": 1}}, "no step 'nothing'"),
        ({"inputs": {"nothing": 1}}, "no parameter 'nothing'"),
        ({"again": ["../.."]}, r"no step '../..'"),
    ],
)
async def test_what_the_old_run_does_not_have_is_said(change: Any, said: str, server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 1)
        with pytest.raises(SwarmletError, match=said):
            await swarm.fork(old.id, article, **change)
        with pytest.raises(JournalError, match="no run 'nothing'"):
            await swarm.fork("nothing", article)


async def test_a_killed_run_is_forked_from_every_moment(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 2)
    for length in range(1, len(old.trace.events)):
        path = tmp_path / f"{length}.sqlite"
        await write_prefix(path, old.trace, length)
        before = len(server.requests)
        async with Swarm(journal=path) as swarm:
            new = await swarm.fork(old.id, article)
            assert new.output == old.output
            sent = sum(isinstance(event, CallStarted) for event in new.trace.events)
            assert len(server.requests) - before == sent == new.usage.requests
            ended = {event.path for event in old.trace.events[:length] if event.kind == "call_ended"}
            assert not ended & {event.path for event in new.trace.events if isinstance(event, CallStarted)}


async def test_a_failed_run_is_forked_and_a_fork_is_forked(server: ScriptedServer, tmp_path: Path) -> None:
    broken = [True]

    @node
    def fragile(text: str) -> str:
        executes()
        if broken:
            raise ValueError(text)
        return text

    @graph
    def fails(topic: str) -> str:
        return fragile(review(write(topic)))

    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(fails, "tea")
        assert caught.value.run is not None
        id_ = caught.value.run.id
        with pytest.raises(StepFailed) as again:
            await swarm.fork(id_, fails)
        broken.clear()
        assert again.value.run is not None
        new = await swarm.fork(again.value.run.id, fails)
    assert new.output == "reviewed on tea"
    assert len(server.requests) == 2
    assert reused(new) == {"fails/write", "fails/review"}


async def test_a_fork_that_was_killed_goes_on_with_what_it_was_told(server: ScriptedServer, tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(article, "tea", 1)
        new = await swarm.fork(old.id, article, outputs={"article/parts": ["mine"]})
    assert new.output == "reviewed on tea: mine<mine>"
    for length in range(3, len(new.trace.events)):
        path = tmp_path / f"{length}.sqlite"
        await write_prefix(path, old.trace, len(old.trace.events))
        await write_prefix(path, new.trace, length)
        async with Swarm(journal=path) as swarm:
            run = await swarm.resume(new.id, article)
        assert run.output == new.output, length


def look(word: str) -> str:
    """Look."""
    executes()
    return word


@agent(str, tools=[look])
def looker(topic: str) -> str:
    """You look."""
    return topic


async def test_an_agent_that_was_in_the_middle_goes_on_in_the_fork(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.script(CallTools([call("look", word="a")]), "seen")
    async with Swarm(journal=tmp_path / "a.sqlite") as swarm:
        old = await swarm.run(looker, "tea")
    at = next(number for number, event in enumerate(old.trace.events) if event.kind == "tool_ended")
    await write_prefix(tmp_path / "b.sqlite", old.trace, at + 1)
    scripted_server.script("seen")
    executed.clear()
    async with Swarm(journal=tmp_path / "b.sqlite") as swarm:
        new = await swarm.fork(old.id, looker)
    assert new.output == "seen"
    assert executed == []
    assert new.usage.requests == 1
    assert [event.kind for event in new.trace.events if event.kind == "call_saved"] == ["call_saved"]
