"""Replays that ask the model for what is not recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmlet import MemoryCache, OpenAIModel, Profile, Retry, StepFailed, agent, each, race
from swarmlet.errors import NoApiKey
from swarmlet.testing import Barrier, Fail, Gate, Held, Recording, Say, ScriptedServer, call, replay
from swarmlet.trace import TextDelta
from tests.testing.replaying import content_of, forecast, lines_of, model_at, of, outputs_of, replies_in, say

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings" / "r.jsonl"


async def test_new_records_what_is_missing_and_asks_for_it_once(server: ScriptedServer, path: Path) -> None:
    server.script(call("weather", city="Oslo"), "Rain.")
    async with replay(path, mode="new", model=model_at(server)) as swarm:
        first = await swarm.run(forecast, "Oslo")
    async with replay(path, mode="new", model=model_at(server)) as swarm:
        second = await swarm.run(forecast, "Oslo")
    async with replay(path) as swarm:
        third = await swarm.run(forecast, "Oslo")

    assert of(first) == of(second) == of(third)
    assert len(server.requests) == 2


async def test_new_adds_to_the_file_in_its_stable_order_and_keeps_what_is_there(server: ScriptedServer, path: Path) -> None:
    server.answer(lambda request: Say(f"Re: {request.text}"))
    for texts in (["b"], ["c"], ["a", "c"]):
        async with replay(path, mode="new", model=model_at(server)) as swarm:
            for text in texts:
                await swarm.run(say, text)

    assert len(server.requests) == 3
    assert replies_in(path) == [f"Re: You answer.\n\n{x}" for x in "abc"]


async def test_new_leaves_a_file_alone_that_has_everything(server: ScriptedServer, path: Path) -> None:
    server.script("Hei")
    async with replay(path, mode="new", model=model_at(server)) as swarm:
        await swarm.run(say, "Hello")
    before = inode_of(path)
    async with replay(path, mode="new", model=model_at(server)) as swarm:
        await swarm.run(say, "Hello")

    assert inode_of(path) == before


async def test_new_without_any_call_writes_a_file_that_says_so(path: Path) -> None:
    async with replay(path, mode="new"):
        pass
    async with replay(path):
        pass
    assert len(lines_of(path)) == 1


async def test_all_asks_everything_anew_and_replaces_the_file(server: ScriptedServer, path: Path) -> None:
    server.script("old a", "old b", "new b")
    async with replay(path, mode="all", model=model_at(server)) as swarm:
        await swarm.run(each(say, concurrency=1), ["a", "b"])
    async with replay(path, mode="all", model=model_at(server)) as swarm:
        assert (await swarm.run(say, "b")).output == "new b"

    assert replies_in(path) == ["new b"]


def broken(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")


async def test_all_replaces_a_file_that_is_broken(server: ScriptedServer, path: Path) -> None:
    broken(path)
    server.script("Hei")
    async with replay(path, mode="all", model=model_at(server)) as swarm:
        await swarm.run(say, "Hello")
    assert len(Recording.read(path).calls) == 1


async def test_a_block_that_fails_keeps_what_was_paid_for(server: ScriptedServer, path: Path) -> None:
    once = say.with_options(retry=Retry(attempts=1))
    server.script("Hei", Fail(500))
    with pytest.raises(StepFailed):
        await outputs_of(replay(path, mode="new", model=model_at(server)), once, "Hello", "Goodbye")

    assert replies_in(path) == ["Hei"]
    assert len(lines_of(path)) == 2


async def test_all_leaves_the_old_file_where_the_block_fails(server: ScriptedServer, path: Path) -> None:
    once = say.with_options(retry=Retry(attempts=1))
    server.script("old", "new", Fail(500))
    async with replay(path, mode="all", model=model_at(server)) as swarm:
        await swarm.run(say, "Hello")
    before = content_of(path)
    with pytest.raises(StepFailed):
        await outputs_of(replay(path, mode="all", model=model_at(server)), once, "Hello", "Goodbye")
    assert content_of(path) == before


async def test_a_missing_key_is_not_recorded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(StepFailed) as caught:
        async with replay(path, mode="new") as swarm:
            await swarm.run(say, "Hello")
    assert isinstance(caught.value.__cause__, NoApiKey)
    assert list(path.parent.parent.iterdir()) == []


async def test_names_are_models_of_the_environment(server: ScriptedServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    server.answer(lambda request: Say(request.model))
    async with replay(path, mode="new", model="gpt-6-luna") as swarm:
        await swarm.run(say, "Hello")
        await swarm.run(say.with_options(model="another"), "Hello")

    assert Recording.read(path).default == "gpt-6-luna"
    async with replay(path) as swarm:
        assert (await swarm.run(say, "Hello")).output == "gpt-6-luna"
        assert (await swarm.run(say.with_options(model="another"), "Hello")).output == "another"


async def test_prices_of_given_models_are_recorded(server: ScriptedServer, path: Path) -> None:
    own = Profile(name="own", context_window=777)
    server.script("Hei")
    model = OpenAIModel("own", base_url=server.base_url, api_key=server.api_key, profile=own)
    brief = agent(str, max_tokens=100)(echo)
    async with replay(path, mode="new", model=model) as swarm:
        await swarm.run(brief, "Hello")

    assert Recording.read(path).profiles == {"own": own}


def inode_of(path: Path) -> tuple[int, int]:
    """What another file in the same place does not have in common with it."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def echo(text: str) -> str:
    return text


async def test_calls_that_a_cache_answered_are_recorded_too(server: ScriptedServer, path: Path) -> None:
    cache, cached = MemoryCache(), say.with_options(cache=True)
    server.script("Hei")
    async with replay(path.with_name("first.jsonl"), mode="new", model=model_at(server), cache=cache) as swarm:
        await swarm.run(cached, "Hello")
    async with replay(path, mode="all", model=model_at(server), cache=cache) as swarm:
        await swarm.run(cached, "Hello")

    async with replay(path) as swarm:
        assert (await swarm.run(say, "Hello")).output == "Hei"


async def test_keys_in_texts_reach_the_model_and_not_the_file(server: ScriptedServer, path: Path) -> None:
    server.answer(lambda request: Say(f"you said {request.text}"))
    async with replay(path, mode="new", model=model_at(server)) as swarm:
        assert "sk-abcdefgh1234" in (await swarm.run(say, "sk-abcdefgh1234")).output

    assert "sk-abcdefgh1234" not in "".join(lines_of(path))
    async with replay(path) as swarm:
        assert (await swarm.run(say, "sk-abcdefgh1234")).output == "you said You answer.\n\n[secret]"


async def test_a_race_that_is_recorded_here_has_the_same_winner(server: ScriptedServer, path: Path) -> None:
    slow, quick = say.with_options(name="slow", model="slow"), say.with_options(name="quick", model="quick")
    server.when(lambda request: request.model == "slow", Held("late", Gate()))
    server.when(lambda request: request.model == "quick", Barrier(2, "soon"))
    models = [model_at(server, "slow"), model_at(server, "quick")]
    for _ in range(2):
        async with replay(path, mode="new", models=models) as swarm:
            assert (await swarm.run(race(slow, quick), "Who?")).output == "soon"

    assert len(server.requests) == 2
    assert [call.cancelled for call in Recording.read(path).calls] == [False, True]


async def test_streams_are_recorded(server: ScriptedServer, path: Path) -> None:
    server.script("Once upon a time")
    for _ in range(2):
        async with replay(path, mode="new", model=model_at(server)) as swarm, swarm.stream(say, "Tell") as stream:
            pieces = [event.text async for event in stream if isinstance(event, TextDelta)]
        assert len(pieces) > 1
        assert "".join(pieces) == "Once upon a time"
    assert "first_token" not in "".join(lines_of(path))
