"""Requests that the provider's cache of prompts can use: what stays the same comes first, and says so by its key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from swarmlet import OpenAIModel, Swarm, agent
from swarmlet.models.base import ChatRequest, Message
from swarmlet.models.openai_wire import request_body
from swarmlet.models.profiles import profile_of
from swarmlet.testing import CallTools, ScriptedServer, call
from tests.agents.helpers import outcome

ROOT = str(Path(__file__).parents[2])


class Answer(BaseModel):
    text: str
    sure: bool


def look(where: str, how: str = "closely") -> str:
    """Looks somewhere."""
    return where + how


def ask(whom: str) -> str:
    """Asks somebody."""
    return whom


@agent(Answer, tools=[look, ask])
def search(question: str) -> str:
    """You search, and you answer briefly."""
    return question


def wire(text: str) -> bytes:
    request = search.settings.request("gpt-4o-mini", search.render(text))
    return json.dumps(request_body(request, profile_of("gpt-4o-mini"))).encode()


def test_two_requests_of_an_agent_differ_in_the_question_alone() -> None:
    one, other = wire("why?"), wire("where to?")
    before, after = one.split(b"why?")
    assert other == before + b"where to?" + after
    assert before.startswith(b'{"model": "gpt-4o-mini", "messages": [{"role": "system"')
    assert after.index(b'"look"') < after.index(b'"ask"')


@pytest.mark.anyio
async def test_each_turn_begins_with_all_of_the_turn_before(scripted_server: ScriptedServer) -> None:
    scripted_server.script(CallTools([call("look", where="here"), call("ask", whom="her")]), Answer(text="no", sure=True))
    await outcome(search, "why?")
    first, second = scripted_server.requests
    assert second.messages[: len(first.messages)] == first.messages
    for field in ("tools", "response_format", "prompt_cache_key", "model"):
        assert json.dumps(first.body[field]) == json.dumps(second.body[field])
    begin = first.raw.index(b'"messages"')
    shared = first.raw[begin : first.raw.index(b"why?") + 4]
    assert second.raw[second.raw.index(b'"messages"') :].startswith(shared)


@pytest.mark.anyio
async def test_the_key_goes_to_models_that_take_it(scripted_server: ScriptedServer) -> None:
    scripted_server.answer_from_schema()
    await outcome(search, "why?")
    async with Swarm(model=OpenAIModel("llama", base_url=scripted_server.base_url, api_key=scripted_server.api_key)) as swarm:
        await swarm.run(search, "why?")
    known, unknown = scripted_server.requests
    assert known.body["prompt_cache_key"] == search.settings.cache_key
    assert "prompt_cache_key" not in unknown.body


def test_a_request_without_a_key_sends_none() -> None:
    request = ChatRequest(model="m", messages=(Message.user("hi"),))
    assert "prompt_cache_key" not in request_body(request, profile_of("gpt-4o-mini"))
    told = request_body(replace(request, cache_key="k"), profile_of("gpt-6-luna"))
    assert told["prompt_cache_key"] == "k"


def test_each_agent_has_a_key_of_its_own() -> None:
    def prompt(question: str) -> str:
        return question

    def other(question: str) -> str:
        return question

    settings = [
        agent(str)(prompt).settings,
        agent(str)(other).settings,
        agent(str, instructions="Be brief.")(prompt).settings,
        agent(str, tools=[look])(prompt).settings,
        agent(str, tools=[ask, look])(prompt).settings,
        agent(str, tools=[look, ask])(prompt).settings,
        agent(Answer)(prompt).settings,
    ]
    keys = [one.cache_key for one in settings]
    assert len(set(keys)) == len(keys)
    assert all(len(key) <= 64 for key in keys)
    same = agent(str, max_tokens=7, temperature=0.5, name="another")(prompt).settings
    assert same.cache_key == settings[0].cache_key


def test_the_key_and_the_bytes_are_the_same_in_every_process() -> None:
    code = "from tests.agents.test_prompt_cache import *; print(search.settings.cache_key, wire('x').decode(), sep='\\n')"
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ROOT}
        told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, cwd=ROOT)
        assert told.stdout.split("\n")[:2] == [search.settings.cache_key, wire("x").decode()]
