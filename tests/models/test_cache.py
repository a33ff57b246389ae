"""Caches of replies: what is the same request, what is kept, for how long, and what happens to files that are not right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmlet.errors import GraphError
from swarmlet.models.base import ChatReply, ChatRequest, Image, Message, ReplyFormat, ToolCall, ToolDefinition
from swarmlet.models.cache import (
    MemoryCache,
    ReplyCache,
    SqliteCache,
    as_free,
    endpoint_of,
    find,
    fits,
    keepable,
    request_key,
    saved_by,
    will_do,
)
from swarmlet.models.openai import OpenAIModel
from swarmlet.models.profiles import profile_of
from tests.models.caches import HELLO, opened, reply_of

ROOT = str(Path(__file__).parents[2])

# Keys

TOOL = ToolDefinition("look", "Looks.", {"type": "object", "properties": {"a": {}, "b": {}}}, strict=True)
ASKED = ChatRequest(
    model="m",
    messages=(Message.system("be brief"), Message.user("what?", Image("https://example.com/a.png"))),
    tools=(TOOL,),
    format=ReplyFormat("answer", {"type": "object"}, strict=True),
    temperature=0.5,
    seed=1,
)


def key(request: ChatRequest) -> str:
    return request_key("server#m", request)


OTHERS: dict[str, ChatRequest] = {
    "model": replace(ASKED, model="n"),
    "no message": replace(ASKED, messages=ASKED.messages[:1]),
    "order": replace(ASKED, messages=ASKED.messages[::-1]),
    "text": replace(ASKED, messages=(Message.system("be brief."), ASKED.messages[1])),
    "role": replace(ASKED, messages=(Message.user("be brief"), ASKED.messages[1])),
    "picture": replace(ASKED, messages=(ASKED.messages[0], Message.user("what?", Image("https://example.com/b.png")))),
    "detail": replace(ASKED, messages=(ASKED.messages[0], Message.user("what?", Image("https://example.com/a.png", "low")))),
    "address as text": replace(ASKED, messages=(ASKED.messages[0], Message.user("what?", "https://example.com/a.png"))),
    "calls": replace(ASKED, messages=(*ASKED.messages, Message.assistant("", (ToolCall("1", "look", "{}"),)))),
    "id of a call": replace(ASKED, messages=(*ASKED.messages, Message.assistant("", (ToolCall("2", "look", "{}"),)))),
    "result": replace(ASKED, messages=(*ASKED.messages, Message.tool("1", "x"))),
    "no tools": replace(ASKED, tools=()),
    "description": replace(ASKED, tools=(replace(TOOL, description="Sees."),)),
    "order of properties": replace(
        ASKED, tools=(replace(TOOL, parameters={"type": "object", "properties": {"b": {}, "a": {}}}),)
    ),
    "strict": replace(ASKED, tools=(replace(TOOL, strict=False),)),
    "no format": replace(ASKED, format=None),
    "schema": replace(ASKED, format=ReplyFormat("answer", {"type": "array"}, strict=True)),
    "temperature": replace(ASKED, temperature=0.6),
    "no temperature": replace(ASKED, temperature=None),
    "seed": replace(ASKED, seed=2),
    "choice": replace(ASKED, tool_choice="required"),
}


def test_whatever_can_change_the_reply_changes_the_key() -> None:
    keys = [key(request) for request in (ASKED, *OTHERS.values())]
    assert len(set(keys)) == len(keys)
    assert request_key("server#n", ASKED) != key(ASKED)


def test_what_cannot_change_it_does_not() -> None:
    assert key(replace(ASKED, max_tokens=7)) == key(replace(ASKED, cache_key="swarmlet-x")) == key(ASKED)
    assert key(replace(ASKED, temperature=1)) == key(replace(ASKED, temperature=1.0))
    assert key(replace(ASKED, temperature=-0.0)) == key(replace(ASKED, temperature=0))


def test_every_field_of_a_request_was_thought_of() -> None:
    assert {one.name for one in fields(ChatRequest)} == {
        *("model", "messages", "tools", "format", "temperature", "seed", "tool_choice"),
        *("max_tokens", "cache_key"),  # not in the key
    }


def test_keys_are_the_same_for_ever() -> None:
    assert key(ChatRequest(model="m", messages=(Message.user("hi"),))) == "b0159676887d35db0c9b13200a6027fe"


def test_keys_are_the_same_in_every_process() -> None:
    code = "from tests.models.test_cache import ASKED, key; print(key(ASKED))"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ROOT}
        told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, cwd=ROOT)
        assert told.stdout.strip() == key(ASKED)


texts = st.text(st.characters(), max_size=8)
messages = st.builds(Message, st.sampled_from(["system", "user"]), st.one_of(texts, st.tuples(texts, texts)))
requests = st.builds(
    ChatRequest, model=texts, messages=st.lists(messages, max_size=3).map(tuple), seed=st.none() | st.integers(0, 2)
)


@given(requests, requests)
def test_two_requests_have_one_key_only_if_they_are_equal(one: ChatRequest, other: ChatRequest) -> None:
    assert (key(one) == key(other)) == (one == other)


def test_who_answers_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    plain = OpenAIModel("gpt-4o-mini", api_key="sk-secret-secret")
    assert "secret" not in endpoint_of(plain)
    assert endpoint_of(plain) == endpoint_of(OpenAIModel("small", model="gpt-4o-mini", api_key="sk-other"))
    others = [
        OpenAIModel("gpt-6-luna"),
        OpenAIModel("gpt-4o-mini", base_url="http://127.0.0.1:9/v1"),
        OpenAIModel("gpt-4o-mini", profile=replace(profile_of("gpt-4o-mini"), reasoning_effort="low")),
        OpenAIModel("gpt-4o-mini", profile=replace(profile_of("gpt-4o-mini"), sampling=False)),
    ]
    assert len({endpoint_of(one) for one in (plain, *others)}) == 5
    slash = [endpoint_of(OpenAIModel("x", base_url=f"http://127.0.0.1:9/v1{end}")) for end in ("", "/")]
    assert slash[0] == slash[1]


def test_a_model_without_an_endpoint_goes_by_its_class_and_name() -> None:
    class Own:
        name = "own"
        profile = profile_of("own")

    assert "Own:own" in endpoint_of(cast("Any", Own()))


# Replies


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (ChatReply(text="x"), True),
        (ChatReply(text="", tool_calls=(ToolCall("1", "f", "{}"),), finish_reason="tool_calls"), True),
        (ChatReply(text="x", finish_reason="length"), False),
        (ChatReply(text="", finish_reason="content_filter"), False),
        (ChatReply(text="", refusal="no"), False),
        (ChatReply(text="x", finish_reason="whatever"), False),
    ],
    ids=str,
)
def test_only_whole_answers_are_kept(reply: ChatReply, kept: bool) -> None:
    assert keepable(reply) is kept


def test_a_reply_fits_every_cap_that_would_not_have_cut_it() -> None:
    assert fits(HELLO, replace(ASKED, max_tokens=50))
    assert fits(HELLO, replace(ASKED, max_tokens=4096))
    assert not fits(HELLO, replace(ASKED, max_tokens=49))


def test_what_another_got_in_the_same_moment_will_do_if_the_caps_allow() -> None:
    cut = replace(HELLO, finish_reason="length")
    assert will_do(cut, 50, replace(ASKED, max_tokens=50))
    assert not will_do(cut, 50, replace(ASKED, max_tokens=51))
    assert will_do(HELLO, 4096, replace(ASKED, max_tokens=50))
    assert not will_do(HELLO, 4096, replace(ASKED, max_tokens=49))
    assert will_do(replace(HELLO, refusal="no"), 4096, ASKED)


def test_a_reply_that_was_there_saves_what_it_had_cost() -> None:
    saved = saved_by(HELLO, profile_of("gpt-4o-mini"))
    assert (saved.input_tokens, saved.output_tokens) == (1000, 50)
    assert saved.usd == Decimal("0.000165")  # 800 at 0.15, 200 at 0.075, 50 at 0.60 a million
    assert saved_by(HELLO, profile_of("unknown")).usd is None
    free = as_free(HELLO)
    assert (free.text, free.input_tokens, free.cached_tokens, free.output_tokens) == ("hello", 0, 0, 0)


# Both caches

Make: TypeAlias = Callable[..., ReplyCache]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        return MemoryCache
    return partial(SqliteCache, tmp_path / "cache.db")


@pytest.mark.anyio
async def test_a_reply_comes_back_as_it_was(make: Make) -> None:
    calls = (ToolCall("1", "look", '{"a": "\u00e9\u4e2d"}'), ToolCall("2", "look", "{broken"))
    whole = replace(HELLO, tool_calls=calls, finish_reason="tool_calls", request_id="req_1", first_token=0.5)
    async with opened(make()) as cache:
        assert await cache.get("k") is None
        await cache.put("k", whole)
        found = await cache.get("k")
        assert found == whole
        assert found is not None
        assert found.first_token is None
        await cache.put("k", HELLO)
        assert await cache.get("k") == HELLO
        await cache.drop("k")
        await cache.drop("never there")
        assert await cache.get("k") is None


@pytest.mark.anyio
async def test_what_is_no_whole_answer_is_not_kept(make: Make) -> None:
    async with opened(make()) as cache:
        for number, bad in enumerate(
            [ChatReply(text="x", finish_reason="length"), ChatReply(refusal="no"), ChatReply(text="half \ud83d a pair")]
        ):
            await cache.put(str(number), bad)
            assert await cache.get(str(number)) is None


@pytest.mark.anyio
async def test_a_kept_reply_is_found_only_under_a_cap_that_it_fits(make: Make) -> None:
    async with opened(make()) as cache:
        await cache.put(key(ASKED), HELLO)
        assert await find(cache, key(ASKED), ASKED) == HELLO
        assert await find(cache, key(ASKED), replace(ASKED, max_tokens=49)) is None
        assert await find(cache, "other", ASKED) is None


@pytest.mark.anyio
async def test_who_was_not_asked_for_the_longest_goes_first(make: Make) -> None:
    async with opened(make(max_bytes=5000)) as cache:
        for name in "abcd":
            await cache.put(name, reply_of(900))
            await anyio.sleep(0.002)
        assert await cache.get("a") is not None
        for name in "efg":
            await anyio.sleep(0.002)
            await cache.put(name, reply_of(900))
        assert await cache.get("a") is not None
        assert await cache.get("g") is not None
        assert await cache.get("b") is None


@pytest.mark.anyio
async def test_what_is_larger_than_all_the_room_is_not_kept_and_drives_nobody_out(make: Make) -> None:
    async with opened(make(max_bytes=2000)) as cache:
        await cache.put("small", reply_of(500))
        await cache.put("large", reply_of(3000))
        assert await cache.get("large") is None
        assert await cache.get("small") is not None
        await cache.put("just", reply_of(1780))
        assert await cache.get("just") is not None
        assert await cache.get("small") is None


@pytest.mark.anyio
async def test_replies_grow_old(make: Make) -> None:
    async with opened(make(ttl=0.05)) as cache:
        await cache.put("k", HELLO)
        assert await cache.get("k") == HELLO
        await anyio.sleep(0.06)
        assert await cache.get("k") is None
        await cache.put("k", HELLO)
        assert await cache.get("k") == HELLO


@pytest.mark.anyio
async def test_many_at_once(make: Make) -> None:
    async with opened(make()) as cache, anyio.create_task_group() as group:

        async def use(number: int) -> None:
            await cache.put(str(number % 10), reply_of(number % 10))
            assert await cache.get(str(number % 10)) == reply_of(number % 10)

        for number in range(200):
            group.start_soon(use, number)


@pytest.mark.parametrize("kind", [MemoryCache, partial(SqliteCache, "x")])
@pytest.mark.parametrize(
    "bounds", [{"max_bytes": 0}, {"max_bytes": True}, {"max_bytes": "1"}, {"ttl": 0}, {"ttl": -1.0}, {"ttl": "1"}]
)
def test_bounds_that_are_none_are_refused(kind: Callable[..., object], bounds: dict[str, object]) -> None:
    with pytest.raises(GraphError, match=r"max_bytes=|ttl="):
        kind(**bounds)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 5), st.integers(0, 900)), max_size=40))
def test_memory_never_takes_more_than_its_bound(script: list[tuple[str, int, int]]) -> None:
    async def play() -> None:
        cache = MemoryCache(max_bytes=2000)
        last: dict[str, ChatReply] = {}
        for what, number, size in script:
            name = str(number)
            if what == "put":
                last[name] = reply_of(size)
                await cache.put(name, last[name])
            elif what == "drop":
                last.pop(name, None)
                await cache.drop(name)
            else:
                assert await cache.get(name) in (None, last.get(name))
            assert 0 <= cache.size <= 2000
            assert bool(cache.size) == bool(len(cache))

    anyio.run(play)
