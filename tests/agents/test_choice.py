"""Which model an agent asks, and where that model is."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from swarmlet import (
    Agent,
    Budget,
    GraphError,
    ModelError,
    Node,
    OpenAIModel,
    Profile,
    StepFailed,
    Swarm,
    Usage,
    agent,
    graph,
)
from swarmlet.errors import NoApiKey, RequestRejected
from swarmlet.testing import Fail, ScriptedServer
from swarmlet.trace import Journal

from .helpers import because, ended, failure, outcome, partial, say, sent

pytestmark = pytest.mark.anyio


@agent(str, model="own")
def chooser(text: str) -> str:
    return text


@graph
def both(text: str) -> tuple[str, str]:
    return say(text), chooser(text)


@graph
def outer(text: str) -> tuple[str, str]:
    return both.with_options(model="inner")(text)


async def models_asked(server: ScriptedServer, node: Node[[str], object], **swarm: Any) -> set[str]:
    server.answer(lambda _: "ok")
    async with Swarm(**swarm) as opened:
        await opened.run(node, "hi")
    return {request.model for request in server.requests}


async def test_the_swarm_has_a_default(scripted_server: ScriptedServer) -> None:
    assert await models_asked(scripted_server, say) == {"gpt-4o-mini"}


async def test_the_swarms_default_can_be_another(scripted_server: ScriptedServer) -> None:
    assert await models_asked(scripted_server, both, model="another") == {"another", "own"}


async def test_options_on_an_agent_win_over_its_own_choice(scripted_server: ScriptedServer) -> None:
    assert await models_asked(scripted_server, chooser.with_options(model="chosen")) == {"chosen"}


async def test_an_agents_own_choice_is_nearer_than_the_options_round_it(scripted_server: ScriptedServer) -> None:
    assert await models_asked(scripted_server, both.with_options(model="around")) == {"around", "own"}


async def test_the_nearest_options_win_down_the_tree(scripted_server: ScriptedServer) -> None:
    assert await models_asked(scripted_server, outer.with_options(model="far")) == {"inner", "own"}


async def test_a_model_object_is_found_by_its_name_and_asked_by_its_servers(scripted_server: ScriptedServer) -> None:
    scripted_server.script("here")
    local = OpenAIModel("local", model="org/some-model", base_url=scripted_server.base_url, api_key=scripted_server.api_key)

    async with Swarm(models=[local]) as swarm:
        run = await swarm.run(say.with_options(model="local"), "hi")

    assert scripted_server.requests[0].model == "org/some-model"
    assert sent(run)[0].model == "local"
    assert ended(run)[0].model == "org/some-model"


async def test_a_model_object_wins_over_the_environment(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key")
    scripted_server.script("here")
    model = OpenAIModel("x", base_url=scripted_server.base_url, api_key=scripted_server.api_key)

    async with Swarm(model=model) as swarm:
        assert (await swarm.run(say, "hi")).output == "here"


async def test_one_model_object_serves_one_swarm_after_the_other(scripted_server: ScriptedServer) -> None:
    scripted_server.script("one", "two")
    model = OpenAIModel("x")

    for expected in ("one", "two"):
        async with Swarm(model=model) as swarm:
            assert (await swarm.run(say, "hi")).output == expected


def swarm_of(*models: OpenAIModel) -> Swarm:
    return Swarm(models=models)


async def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(GraphError, match="both named 'x'"):
        async with swarm_of(OpenAIModel("x"), OpenAIModel("x")):
            pass


async def test_a_name_that_the_server_does_not_know_is_told_with_its_words(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Fail(404, "model_not_found", "The model `nope` does not exist."))

    error = await failure(say.with_options(model="nope"), "hi")

    assert "The model `nope` does not exist." in str(because(error, RequestRejected))


# Keys and addresses


async def test_without_key_and_address_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    error = await failure(say, "hi")

    assert str(because(error, NoApiKey)).startswith("no API key: set OPENAI_API_KEY")
    assert len(ended(partial(error))) == 1, "not tried again"
    assert partial(error).usage == Usage(), "nobody has heard of it"
    assert [call.usage.requests for step in partial(error).trace.steps() for call in step.calls] == [0]


async def test_a_call_without_a_key_takes_no_request_of_a_budget_also_after_a_resume(
    monkeypatch: pytest.MonkeyPatch, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    address = scripted_server.base_url
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    once = say.with_options(budget=Budget(requests=1))
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        with pytest.raises(StepFailed, match="no API key"):
            await swarm.run_as("one", once, "hi")
    assert Journal(tmp_path / "runs.sqlite").runs()[0].usage.requests == 0
    monkeypatch.setenv("OPENAI_API_KEY", scripted_server.api_key)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    scripted_server.script("hello")
    async with Swarm(journal=tmp_path / "runs.sqlite") as swarm:
        run = await swarm.resume("one", once)
    assert (run.output, run.usage.requests) == ("hello", 1)


@pytest.mark.parametrize("key", ["", "   ", "\n"])
async def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("OPENAI_BASE_URL", "")

    because(await failure(say, "hi"), NoApiKey)


async def test_a_compatible_server_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ScriptedServer(api_key="none") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        server.script("hello")

        assert (await outcome(say, "hi")).output == "hello"


async def test_a_line_break_after_the_key_does_no_harm(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {scripted_server.api_key}\n")
    scripted_server.script("hello")

    assert (await outcome(say, "hi")).output == "hello"


@pytest.mark.parametrize("key", ["sk-secret-1\nx", "sk-secret-\N{SNOWMAN}", "sk-secret-\x00"])
async def test_a_key_that_no_header_can_carry_is_told_without_it(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    if "\x00" in key:  # which no environment variable can hold
        model = OpenAIModel("x", api_key=key)
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        model = OpenAIModel("x")

    async with Swarm(model=model) as swarm:
        with pytest.raises(StepFailed) as caught:
            await swarm.run(say, "hi")

    because(caught.value, NoApiKey)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "http://[::1/v1", "ftp://example.org", "http://", "/v1"])
async def test_an_address_that_is_none_is_told_at_once(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)

    error = await failure(say, "hi")

    assert "the base URL is not one" in str(because(error, ModelError))


async def test_a_clients_own_settings_stay(scripted_server: ScriptedServer) -> None:
    scripted_server.script("hello")
    async with (
        AsyncOpenAI(default_headers={"x-team": "blue"}) as client,
        Swarm(model=OpenAIModel("mine", client=client)) as swarm,
    ):
        await swarm.run(say, "hi")

    assert scripted_server.requests[0].headers["x-team"] == "blue"


async def test_a_key_that_is_fetched_for_each_call_is_kept_out_of_errors_too(scripted_server: ScriptedServer) -> None:
    async def fetch() -> str:
        return scripted_server.api_key

    scripted_server.script("hello", Fail(400, message=f"bad key {scripted_server.api_key}"))
    async with AsyncOpenAI(api_key=fetch) as client, Swarm(model=OpenAIModel("mine", client=client)) as swarm:
        assert (await swarm.run(say, "hi")).output == "hello"
        with pytest.raises(StepFailed, match=r"bad key \[key\]"):
            await swarm.run(say, "hi")


# Profiles in use


async def test_a_model_without_prices_is_counted_as_unpriced(scripted_server: ScriptedServer) -> None:
    scripted_server.script("hello")

    usage = (await outcome(say.with_options(model="unknown-1"), "hi")).usage

    assert (usage.requests, usage.unpriced_requests, usage.usd) == (1, 1, Decimal(0))


async def test_a_model_that_is_about_to_go_is_warned_of_once(
    scripted_server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    scripted_server.answer(lambda _: "ok")
    going = Profile(name="old", shutdown=datetime.now(UTC).date() + timedelta(days=30), successor="new")
    caplog.set_level(logging.WARNING, "swarmlet")

    async with Swarm(model=OpenAIModel("old", profile=going)) as swarm:
        for _ in range(3):
            await swarm.run(say, "hi")

    warnings = [record.getMessage() for record in caplog.records if "shuts down" in record.getMessage()]
    assert len(warnings) == 1
    assert "new takes its place" in warnings[0]


def test_an_agent_shows_its_signature() -> None:
    assert isinstance(say, Agent)
    assert repr(say) == "<Agent say(text: str) -> str>"
