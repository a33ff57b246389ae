"""How the hub lets calls go: one limiter for each endpoint, key and model, which hears what the server says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarmlet import GraphError, Limits, ModelError, OpenAIModel, Window
from swarmlet.errors import NoApiKey, QuotaExhausted, RateLimited, RequestRejected
from swarmlet.models.base import ChatModel, ChatReply, ChatRequest, Message, OnText
from swarmlet.models.hub import Models
from swarmlet.models.pace import Store
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.policy.meter import Ask, Charge, Later, Meter, Outcome
from swarmlet.policy.ratelimit_headers import Figure, Reading
from swarmlet.testing import Fail, Garbage, Gate, Held, Quota, RateLimit, Say, ScriptedServer, StreamError, Tokens
from swarmlet.testing.replies import RateHeaders
from swarmlet.trace.encode import encoder

pytestmark = pytest.mark.anyio

QUICK = 0.09
"""Seconds below which a call did not wait, however busy the machine is."""
SPENT = RateHeaders(limit_requests=300, remaining_requests=0)
"""Of 300 requests a minute none is left."""
TOLD = Reading(Figure(300, 0, 0.12), Figure(200_000, 199_900, 0.006))
ONCE = (Window(1, 3600),)


@asynccontextmanager
async def hub(*models: ChatModel, limits: Limits | None = None, stores: Any = None) -> AsyncGenerator[Models, None]:
    used = Models(models[0] if models else "gpt-4o-mini", models, limits or Limits(), stores)
    with anyio.fail_after(30):
        try:
            yield used
        finally:
            await used.aclose()


async def call(models: Models, name: str | None = None, text: str = "hi", **settings: Any) -> tuple[ChatReply, float]:
    """One call, and for how long it waited."""
    on_text: OnText | None = settings.pop("on_text", None)
    waits: list[float] = []
    model = models.get(name)
    request = ChatRequest(model=model.name, messages=(Message.user(text),))

    async def started(waited: float) -> None:
        waits.append(waited)

    reply = await models.complete(model, request, on_text, started, **settings)
    return reply, waits[0]


def is_idle(models: Models) -> bool:
    limiters = models._limiter_of.values()  # pyright: ignore[reportPrivateUsage]
    return all((one.pace.waiting, one.pace.in_flight) == (0, 0) for one in limiters)


class Local:
    """A model in this process, without a limit of its own."""

    def __init__(self, name: str, limits: Limits | None = None, limit_key: str | None = None) -> None:
        self.name = name
        self.profile: Profile = profile_of(name)
        self.limits = limits
        self.limit_key = limit_key
        self.inside = 0
        self.gate = anyio.Event()

    async def ready(self) -> None:
        await checkpoint()

    async def complete(self, request: ChatRequest, on_text: OnText | None = None) -> ChatReply:
        self.inside += 1
        try:
            await self.gate.wait()
        finally:
            self.inside -= 1
        return ChatReply(text="ok", input_tokens=5, output_tokens=5)

    async def aclose(self) -> None:
        await checkpoint()


# --- what the server says


async def test_a_refusal_pauses_the_calls_of_its_model_and_not_those_of_another(scripted_server: ScriptedServer) -> None:
    scripted_server.when("first", RateLimit(retry_after=0.5), times=1)
    scripted_server.answer(lambda _: "ok")
    order: list[str] = []
    waits: dict[str, list[float]] = {"gpt-4o-mini": [], "gpt-6-luna": []}

    async def one(models: Models, name: str) -> None:
        waits[name].append((await call(models, name))[1])
        order.append(name)

    async with hub(limits=Limits(concurrency=2)) as models:
        with pytest.raises(RateLimited) as caught:
            await call(models, text="first")
        async with anyio.create_task_group() as group:
            for name in ["gpt-4o-mini"] * 5 + ["gpt-6-luna"] * 3:
                group.start_soon(one, models, name)
        assert is_idle(models)

    assert caught.value.limits is not None
    assert caught.value.limits.requests.limit == 500
    assert order[:3] == ["gpt-6-luna"] * 3, "who is paused holds no place"
    assert min(waits["gpt-4o-mini"]) > 0.4
    assert max(waits["gpt-6-luna"]) < 0.4


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "reply",
    ["ok", Fail(500), Fail(400), Garbage("{}"), StreamError(), Quota()],
    ids=["ok", "500", "400", "garbage", "stream", "quota"],
)
async def test_limits_are_learned_from_the_headers_of_every_answer(
    scripted_server: ScriptedServer, reply: object, streamed: bool
) -> None:
    scripted_server.rate_headers = SPENT
    scripted_server.script(reply)
    on_text: OnText | None = (lambda _: None) if streamed else None

    async with hub() as models:
        try:
            told = (await call(models, on_text=on_text))[0].limits
        except ModelError as error:
            told = error.limits
        with anyio.move_on_after(0.2) as scope:
            await call(models, on_text=on_text)
        assert is_idle(models)

    assert told == TOLD
    assert scope.cancelled_caught, "the next one waits"


async def test_a_server_that_tells_nothing_is_not_waited_for(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")

    async with hub() as models:
        replies = [await call(models) for _ in range(5)]

    assert all(reply.limits is None for reply, _ in replies)
    assert max(waited for _, waited in replies) < QUICK


async def test_a_quota_that_is_used_up_pauses_nothing(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Quota(), "ok")

    async with hub() as models:
        with pytest.raises(QuotaExhausted):
            await call(models)
        assert (await call(models))[1] < 0.5


async def test_tokens_that_were_not_used_are_given_back(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: Say("ok", usage=Tokens(input=6, output=4)))

    async with hub(limits=Limits(tokens=(Window(100, 3600),))) as models:
        waits = [(await call(models, tokens=90))[1] for _ in range(2)]
        with anyio.move_on_after(0.2) as scope:
            await call(models, tokens=90)

    assert max(waits) < QUICK
    assert scope.cancelled_caught, "20 of 100 were used, and 90 do not fit"


@pytest.mark.parametrize("refused", [Fail(400), Fail(404)], ids=["400", "404"])
async def test_a_request_that_is_refused_uses_no_tokens(scripted_server: ScriptedServer, refused: Fail) -> None:
    scripted_server.script(refused, "ok")

    async with hub(limits=Limits(tokens=(Window(100, 3600),))) as models:
        with pytest.raises(RequestRejected):
            await call(models, tokens=90)
        assert (await call(models, tokens=90))[1] < QUICK


async def test_a_call_that_cannot_be_sent_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    async with hub(limits=Limits(requests=ONCE)) as models:
        for _ in range(3):
            with pytest.raises(NoApiKey):
                await call(models)
        assert is_idle(models)


def test_what_the_server_said_of_limits_is_in_no_record_of_the_reply() -> None:
    told, untold = ChatReply(text="a", limits=TOLD), ChatReply(text="a")
    broken = ChatReply(text="\ud800", limits=TOLD)  # written in another way, because no JSON can say it

    assert told == untold
    assert repr(told) == repr(untold)
    assert encoder(ChatReply)(told) == encoder(ChatReply)(untold)
    assert b"limits" not in encoder(ChatReply)(told)
    assert b"limits" not in encoder(ChatReply)(broken)


# --- who shares a limit


async def test_models_with_the_same_endpoint_key_and_name_at_the_server_share_one_limit() -> None:
    def model(
        name: str, key: str = "sk-a", url: str = "http://a.example/v1", called: str = "m", **settings: Any
    ) -> OpenAIModel:
        return OpenAIModel(name, model=called, api_key=key, base_url=url, **settings)

    same = [model("one"), model("two", url="http://a.example/v1/", limits=Limits(concurrency=3))]
    others = [model("key", key="sk-b"), model("endpoint", url="http://b.example/v1"), model("name", called="n")]

    async with hub(*same, *others) as models:
        find: Callable[[ChatModel], object] = models._limiter  # pyright: ignore[reportPrivateUsage]
        limiters = [find(one) for one in (*same, *others)]
        assert models._limiter(same[0]).pace.allowance.concurrency == 3, "the limits of the one that has some"  # pyright: ignore[reportPrivateUsage]

    assert limiters[0] is limiters[1]
    assert len(set(map(id, limiters))) == 4


async def test_a_clients_key_names_the_limit_and_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai

    client = openai.AsyncOpenAI(api_key="sk-secret", base_url="http://user:pass@host.example/v1")
    given = OpenAIModel("m", api_key="sk-secret", base_url="http://user:pass@host.example/v1")
    azure = openai.AsyncAzureOpenAI(api_key="sk-secret", azure_endpoint="https://host.example", api_version="2024-10-21")
    keys = [OpenAIModel("m", client=client).limit_key, OpenAIModel("m", client=azure).limit_key, given.limit_key]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\udcff")
    keys.append(OpenAIModel("m").limit_key)
    await client.close()
    await azure.close()

    assert keys[0] == keys[2]
    assert len(set(keys)) == 3
    assert not any(word in key for key in keys for word in ("secret", "pass", "host", "sk-"))
    assert all(key.startswith("m@") for key in keys)


async def test_a_models_own_limits_hold_in_place_of_the_swarms_and_its_concurrency_within_them() -> None:
    own, other = Local("own", Limits(concurrency=2)), Local("other")

    async with hub(own, other, limits=Limits(concurrency=5)) as models, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(call, models, "own")
            group.start_soon(call, models, "other")
        await anyio.wait_all_tasks_blocked()
        assert own.inside <= 2
        assert own.inside + other.inside == 5, "five over all models"
        own.gate.set()
        other.gate.set()


async def test_models_of_any_kind_share_a_limit_by_their_limit_key() -> None:
    models = [Local("a", limit_key="x"), Local("b", Limits(concurrency=1), limit_key="x"), Local("c")]

    async with hub(*models) as used, anyio.create_task_group() as group:
        for name in "abc" * 2:
            group.start_soon(call, used, name)
        await anyio.wait_all_tasks_blocked()
        a, b, c = (model.inside for model in models)
        assert (a + b, c) == (1, 2)
        for model in models:
            model.gate.set()


# --- whose turn it is


async def test_runs_take_turns_and_a_higher_priority_goes_first(scripted_server: ScriptedServer) -> None:
    gate = Gate()
    scripted_server.script(Held("first", gate))
    scripted_server.answer(lambda _: "ok")
    order: list[str] = []

    async def one(models: Models, run: str, priority: int) -> None:
        await call(models, run=run, priority=priority)
        order.append(run)

    async with hub(limits=Limits(concurrency=1)) as models, anyio.create_task_group() as group:
        group.start_soon(one, models, "first", 0)
        await scripted_server.wait_for_async(in_flight=1, timeout=30)
        for run, priority in [*[("wide", 0)] * 6, *[("small", 0)] * 2, ("urgent", 1)]:
            group.start_soon(one, models, run, priority)
        await anyio.wait_all_tasks_blocked()
        gate.open()

    assert order[:2] == ["first", "urgent"]
    assert order[2:6].count("small") == 2, "two calls of a small run do not wait for the six of a wide one"


# --- cancellation


@pytest.mark.parametrize("where", ["limiter", "place"])
async def test_cancelled_while_queued_leaves_nothing(where: str) -> None:
    if where == "limiter":
        holder = waiter = Local("holder", Limits(concurrency=1))
    else:
        holder, waiter = Local("holder"), Local("waiter", Limits(requests=ONCE))
    given = [holder] if waiter is holder else [holder, waiter]
    limits = Limits() if waiter is holder else Limits(concurrency=1)

    async with hub(*given, limits=limits) as models, anyio.create_task_group() as group:
        group.start_soon(call, models, "holder")
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as queued:
            for _ in range(5):
                queued.start_soon(call, models, waiter.name)
            await anyio.wait_all_tasks_blocked()
            queued.cancel_scope.cancel()
        assert (holder.inside, models._limiter(waiter).pace.waiting) == (1, 0)  # pyright: ignore[reportPrivateUsage]
        holder.gate.set()
        waiter.gate.set()
        assert (await call(models, waiter.name))[0].text == "ok"
        await anyio.wait_all_tasks_blocked()
        assert is_idle(models)


async def test_a_call_that_is_cancelled_in_flight_stays_counted() -> None:
    model = Local("m", Limits(requests=ONCE))

    async with hub(model) as models:
        for inside in (True, False):
            with anyio.move_on_after(0.1) as scope:
                await call(models)
            assert scope.cancelled_caught, inside
        assert is_idle(models)


# --- counted elsewhere


class Shared:
    """Stores that count in this process."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.closed = 0
        self.meter = Meter()

    def store(self, name: str) -> Store:
        self.names.append(name)
        return self

    async def take(self, ask: Ask) -> Charge | Later:
        await checkpoint()
        return self.meter.take(anyio.current_time(), ask)

    async def close(self, charge: Charge, outcome: Outcome) -> None:
        await checkpoint()
        self.meter.close(anyio.current_time(), charge.at, outcome)

    async def aclose(self) -> None:
        await checkpoint()
        self.closed += 1


async def test_limits_are_counted_where_the_hub_is_told_to(scripted_server: ScriptedServer) -> None:
    scripted_server.answer(lambda _: "ok")
    shared = Shared()
    limits = Limits(requests=(Window(2, 3600),))

    async with hub(limits=limits, stores=shared) as one, hub(limits=limits, stores=shared) as two:
        await call(one)
        await call(two)
        with anyio.move_on_after(0.2) as scope:
            await call(one)

    assert scope.cancelled_caught, "both have counted in one window"
    assert len(scripted_server.requests) == 2
    assert shared.closed == 2
    assert len(set(shared.names)) == 1
    assert scripted_server.api_key not in shared.names[0]
    assert "127.0.0.1" not in shared.names[0]


# --- settings that make no sense


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute="),
        ({"tokens_per_minute": 1.5}, "tokens_per_minute="),
        ({"tokens_per_minute": True}, "tokens_per_minute="),
        ({"requests": Window(10, 300)}, "takes a tuple of windows"),
        ({"tokens": (300,)}, "takes a tuple of windows"),
        ({"requests": 10}, "takes a tuple of windows"),
        ({"requests_per_minute": 5, "requests": (Window(6),)}, "two windows of the same length"),
        ({"tokens": (Window(5, 10), Window(6, 10))}, "two windows of the same length"),
        ({"concurrency": None}, "concurrency="),
    ],
    ids=str,
)
def test_limits_that_cannot_be_kept_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(GraphError, match=told):
        Limits(**settings)


@pytest.mark.parametrize(("limits", "told"), [(5, "takes Limits"), (Limits(tools=3), "calls no tools")], ids=str)
def test_limits_that_a_model_cannot_have_are_refused(limits: Any, told: str) -> None:
    with pytest.raises(GraphError, match=told):
        OpenAIModel("m", limits=limits)
