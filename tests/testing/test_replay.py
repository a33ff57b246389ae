"""A recorded run, run again with no network."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from tenacity import wait_none

from swarmlet import (
    Budget,
    BudgetExceeded,
    GraphError,
    Image,
    JournalError,
    MemoryCache,
    Message,
    Node,
    OpenAIModel,
    Profile,
    Retry,
    Run,
    StepFailed,
    Swarm,
    SwarmletError,
    agent,
    cascade,
    current,
    each,
    graph,
    node,
    race,
    team,
    vote,
)
from swarmlet.errors import ModelUnavailable, NotRecorded, ReplyTruncated
from swarmlet.models.profiles import Prices
from swarmlet.testing import (
    Barrier,
    Fail,
    Gate,
    Held,
    RateLimit,
    Recording,
    ReplayError,
    Say,
    ScriptedServer,
    Tokens,
    call,
    recording,
    replay,
    save_recording,
)
from swarmlet.testing.replays.replay import SwarmSettings
from swarmlet.trace import TextDelta
from tests.testing.replaying import City, capital, forecast, model_at, not_recorded, of, outputs_of, run_on, say

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server in the place of the provider's that fails the test when it is asked; and no key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield


# What is the same again


async def test_a_run_gives_the_same_again(server: ScriptedServer, tmp_path: Path) -> None:
    server.reply(City(name="Oslo"), usage=Tokens(input=1000, output=20, cached=500))
    run = await run_on(server, capital, "Norway")
    save_recording(run, tmp_path / "oslo.jsonl")

    async with replay(tmp_path / "oslo.jsonl") as swarm:
        again = await swarm.run(capital, "Norway")

    assert of(again) == of(run)
    assert again.usage.cached_tokens == 500
    assert again.usage.usd > 0


async def test_a_trace_a_run_and_a_recording_can_be_replayed_without_a_file(server: ScriptedServer) -> None:
    server.script("Hei")
    run = await run_on(server, say, "Hello")
    for source in (run, run.trace, recording(run)):
        async with replay(source) as swarm:
            assert (await swarm.run(say, "Hello")).output == "Hei"


async def test_tools_run_for_real(server: ScriptedServer) -> None:
    server.script(call("weather", city="Oslo"), "Rain.")
    run = await run_on(server, forecast, "Oslo")

    async with replay(run) as swarm:
        again = await swarm.run(forecast, "Oslo")

    assert of(again) == of(run)
    [tool] = again.trace.step("forecast").tools
    assert again.trace.value(tool.ended.result if tool.ended else None) == "It rains in Oslo."


async def test_a_reply_that_was_sent_back_is_sent_back_again(server: ScriptedServer) -> None:
    server.script('{"name": 3}', City(name="Oslo"))
    run = await run_on(server, capital, "Norway")

    async with replay(run) as swarm:
        assert of(await swarm.run(capital, "Norway")) == of(run)


async def test_tool_calls_without_ids_of_their_own_are_told_apart(server: ScriptedServer) -> None:
    same = [call("weather", city="Oslo", id="x"), call("weather", city="Bergen", id="x")]
    server.reply(tool_calls=same)
    server.reply(tool_calls=same)
    server.script("Rain.")
    run = await run_on(server, forecast, "Norway")

    async with replay(run) as swarm:
        assert of(await swarm.run(forecast, "Norway")) == of(run)


async def test_pictures_are_compared_and_not_kept(server: ScriptedServer) -> None:
    @agent(str)
    def look(url: str) -> Sequence[Message]:
        return [Message.user("What is it?", Image(url))]

    cat, dog = ("data:image/png;base64," + letter * 5000 for letter in "cd")
    server.script("A cat.")
    run = await run_on(server, look, cat)

    assert "cccc" not in str(recording(run).calls)
    async with replay(run) as swarm:
        assert (await swarm.run(look, cat)).output == "A cat."
    with pytest.raises(StepFailed, match=r"message 1 \(user\): \.\.\.data:image/png,5000 characters, blake2b \[-\w+-\]"):
        async with replay(run) as swarm:
            await swarm.run(look, dog)


async def test_teams_hand_over_as_they_did(server: ScriptedServer) -> None:
    @agent(str)
    def desk(chat: Sequence[Message]) -> Sequence[Message]:
        """You are the desk."""
        return chat

    @agent(str)
    def bills(chat: Sequence[Message]) -> Sequence[Message]:
        """You know the bills."""
        return chat

    office = team(desk, bills)
    chat = [Message.user("My bill?")]
    server.script(call("hand_to_bills", why="a bill"), "It is paid.")
    run = await run_on(server, office, chat)

    async with replay(run) as swarm:
        again = await swarm.run(office, chat)

    assert (again.output.by, again.output.output) == ("bills", "It is paid.")


async def test_several_models_are_told_apart_by_name(server: ScriptedServer, tmp_path: Path) -> None:
    small, big = say.with_options(model="small", name="small"), say.with_options(model="big", name="big")

    @graph
    def both(text: str) -> tuple[str, str, str]:
        return small(text), big(text), say(text)

    for name in ("small", "big", "gpt-4o-mini"):
        server.when(lambda request, name=name: request.model == name, f"I am {name}")  # type: ignore[misc]
    async with Swarm(model=model_at(server), models=[model_at(server, "small"), model_at(server, "big")]) as swarm:
        run = await swarm.run(both, "Who?")
    save_recording(run, tmp_path / "r.jsonl")

    async with replay(tmp_path / "r.jsonl") as swarm:
        assert (await swarm.run(both, "Who?")).output == ("I am small", "I am big", "I am gpt-4o-mini")


async def test_the_only_model_of_a_recording_is_the_default(server: ScriptedServer) -> None:
    server.script("Hei")
    async with Swarm(model=model_at(server, "gpt-6-luna")) as swarm:
        run = await swarm.run(say, "Hello")

    async with replay(run) as swarm:
        assert (await swarm.run(say, "Hello")).output == "Hei"
    with pytest.raises(StepFailed, match=r"model: gpt-\[-6-\]\{\+4o\+\}-\[-luna-\]\{\+mini\+\}"):
        async with replay(run, model="gpt-4o-mini") as swarm:
            await swarm.run(say, "Hello")


async def test_runs_that_wait_for_one_another_are_replayed_side_by_side(server: ScriptedServer) -> None:
    server.answer(lambda request: Say(f"Re: {request.text}"))
    texts = [f"letter {number}" for number in range(30)]
    run = await run_on(server, each(say), texts)

    async with replay(run) as swarm:
        assert (await swarm.run(each(say), texts)).output == run.output


async def test_texts_are_streamed_in_pieces(server: ScriptedServer) -> None:
    text = "  Once upon a time,\nthere was " + "a" * 50 + "\n\n"
    server.script(text)
    run = await run_on(server, say, "Tell")

    async with replay(run) as swarm, swarm.stream(say, "Tell") as stream:
        pieces = [event.text async for event in stream if isinstance(event, TextDelta)]

    assert "".join(pieces) == text
    assert len(pieces) > 5
    assert stream.output == text


# The same request several times


async def test_samples_get_what_their_own_step_got(server: ScriptedServer) -> None:
    answers = iter(["a", "b", "a", "c", "b"])
    server.answer(lambda _: Say(next(answers)))
    five = each(say)
    run = await run_on(server, five, ["same"] * 5)

    for _ in range(5):
        async with replay(run) as swarm:
            assert (await swarm.run(five, ["same"] * 5)).output == run.output


async def test_steps_that_moved_get_what_the_most_similar_path_got(server: ScriptedServer) -> None:
    @graph
    def before(texts: list[str]) -> list[str]:
        return each(say)(texts)

    @graph
    def after(texts: list[str]) -> list[str]:
        return each(say)(texts)

    server.script("a", "b", "c")
    run = await run_on(server, before, ["same"] * 3)

    async with replay(run) as swarm:
        assert (await swarm.run(after, ["same"] * 3)).output == run.output


async def test_a_vote_that_stopped_early_is_replayed(server: ScriptedServer) -> None:
    ballot = vote(say, of=5, quorum=2)
    server.answer(lambda _: Say("yes"))
    run = await run_on(server, ballot, "Is it?")

    async with replay(run) as swarm:
        assert (await swarm.run(ballot, "Is it?")).output == "yes"


async def test_a_request_that_is_made_once_more_than_recorded_fails(server: ScriptedServer) -> None:
    server.script("Hei")
    run = await run_on(server, say, "Hello")

    with pytest.raises(StepFailed) as caught:
        await outputs_of(replay(run), say, "Hello", "Hello")

    assert "the same request was recorded once, and is made once more" in str(not_recorded(caught.value))


# What was cancelled, and what failed


async def a_race(server: ScriptedServer) -> tuple[Run[str], Node[[str], str], Node[[str], str]]:
    """The run of a race, who has lost it, and the race."""
    slow, quick = say.with_options(name="slow", model="slow"), say.with_options(name="quick", model="quick")
    both = race(slow, quick)
    server.when(lambda request: request.model == "slow", Held("late", Gate()))
    server.when(lambda request: request.model == "quick", Barrier(2, "soon"))
    async with Swarm(models=[model_at(server, "slow"), model_at(server, "quick")]) as swarm:
        return await swarm.run(both, "Who?"), slow, both


async def test_the_same_one_wins_a_race_again(server: ScriptedServer) -> None:
    run, _, both = await a_race(server)

    assert [call.cancelled for call in recording(run).calls] == [False, True]
    async with replay(run) as swarm:
        assert (await swarm.run(both, "Who?")).output == "soon"


async def test_attempts_that_failed_are_left_out(server: ScriptedServer) -> None:
    server.script(RateLimit(retry_after_ms=1), Fail(503), "Hei")
    run = await run_on(server, say.with_options(retry=Retry(wait=wait_none())), "Hello")

    assert run.usage.requests == 3
    async with replay(run) as swarm:
        assert (await swarm.run(say, "Hello")).usage.requests == 1


async def test_a_call_that_failed_for_good_fails_again_at_once(server: ScriptedServer) -> None:
    patient = say.with_options(retry=Retry(attempts=1), fallback=say.with_options(model="other", name="other"))
    server.when(lambda request: request.model == "gpt-4o-mini", Fail(503, message="down"))
    server.when(lambda request: request.model == "other", "I am here")
    async with Swarm(model=model_at(server), models=[model_at(server, "other")]) as swarm:
        run = await swarm.run(patient, "Hello")

    [failed] = [one for one in recording(run).calls if one.error]
    assert failed.error is not None
    assert failed.error.type == "ModelUnavailable"
    async with replay(run) as swarm:
        again = await swarm.run(patient.with_options(retry=Retry(attempts=5)), "Hello")
    assert again.output == "I am here"


async def test_the_error_of_a_replay_is_of_the_recorded_class(server: ScriptedServer) -> None:
    server.script(Fail(503, message="down"))
    once = say.with_options(retry=Retry(attempts=1))
    with pytest.raises(StepFailed) as recorded:
        await run_on(server, once, "Hello")
    assert recorded.value.run is not None

    with pytest.raises(StepFailed) as caught:
        async with replay(recorded.value.run) as swarm:
            await swarm.run(say, "Hello")
    assert isinstance(caught.value.__cause__, ModelUnavailable)
    assert "down" in str(caught.value)


# Money


async def test_budgets_count_what_was_recorded(server: ScriptedServer) -> None:
    server.reply("a", usage=Tokens(input=400, output=100))
    server.reply("b", usage=Tokens(input=400, output=100))

    @node
    async def twice(text: str) -> str:
        return await current().run(say, f"{text} 1") + await current().run(say, f"{text} 2")

    run = await run_on(server, twice, "x")

    async with replay(run, budget=Budget(tokens=20_000)) as swarm:
        assert (await swarm.run(twice, "x")).usage.total_tokens == 1000
    with pytest.raises(BudgetExceeded):
        async with replay(run) as swarm:
            await swarm.run(twice.with_options(budget=Budget(tokens=4_500)), "x")


async def test_a_smaller_cap_cuts_the_reply_off(server: ScriptedServer) -> None:
    @agent(str, max_tokens=100, min_tokens=10)
    def write(text: str) -> str:
        return text

    server.reply("word " * 80, usage=Tokens(input=10, output=80))
    run = await run_on(server, write, "Go")

    with pytest.raises(StepFailed) as caught:
        async with replay(run) as swarm:
            await swarm.run(write.with_options(budget=Budget(output_tokens=20)), "Go")
    assert isinstance(caught.value.__cause__, ReplyTruncated)
    assert caught.value.run is not None
    assert caught.value.run.usage.output_tokens == 20


async def test_prices_of_given_models_hold_and_can_be_recorded(server: ScriptedServer, tmp_path: Path) -> None:
    price = Prices(input=Decimal(1), cached=Decimal(1), output=Decimal("2.50"))
    own = Profile(name="own", context_window=10_000, prices={"default": price})
    model = OpenAIModel("own", base_url=server.base_url, api_key=server.api_key, profile=own)
    server.reply("Hei", usage=Tokens(input=1_000, output=100))
    async with Swarm(model=model) as swarm:
        run = await swarm.run(say, "Hello")
    assert run.usage.usd == Decimal("0.00125")

    save_recording(run, tmp_path / "own.jsonl", models=[model])
    async with replay(tmp_path / "own.jsonl") as swarm:
        assert (await swarm.run(say, "Hello")).usage == run.usage
    async with replay(run, model=OpenAIModel("own", profile=own)) as swarm:
        assert (await swarm.run(say, "Hello")).usage == run.usage
    async with replay(run) as swarm:
        assert (await swarm.run(say, "Hello")).usage.unpriced_requests == 1


async def test_calls_that_a_cache_answered_are_recorded_with_what_they_would_have_cost(server: ScriptedServer) -> None:
    cached = say.with_options(cache=True)
    server.reply("Hei", usage=Tokens(input=100, output=10))
    async with Swarm(model=model_at(server), cache=MemoryCache()) as swarm:
        first = await swarm.run(cached, "Hello")
        free = await swarm.run(cached, "Hello")
    assert free.usage.requests == 0

    async with replay(free) as swarm:
        again = await swarm.run(say, "Hello")
    assert of(again) == of(first)


# What does not fit


async def test_a_request_that_was_not_recorded_shows_which_words_differ(server: ScriptedServer, tmp_path: Path) -> None:
    server.answer(lambda _: City(name="?"))
    async with Swarm(model=model_at(server)) as swarm:
        run = await swarm.run(each(capital), ["Norway", "Sweden"])
    save_recording(run, tmp_path / "r.jsonl")

    with pytest.raises(StepFailed) as caught:
        async with replay(tmp_path / "r.jsonl") as swarm:
            await swarm.run(capital, "the old Sweden")

    assert str(not_recorded(caught.value)).splitlines() == [
        f"step 'capital' asked 'gpt-4o-mini' for a reply that the recording {str(tmp_path / 'r.jsonl')!r} does not have.",
        "The nearest is on its line 2, step 'capital[0]'; [-recorded-] and {+asked+} differ in:",
        "  message 2 (user): The capital of [-Norway-]{+the old Sweden+}?",
        f"To record it: replay({str(tmp_path / 'r.jsonl')!r}, mode='new')",
    ]


async def test_a_request_that_was_not_recorded_is_not_tried_again_and_costs_nothing(server: ScriptedServer) -> None:
    server.script("Hei")
    run = await run_on(server, say, "Hello")

    with pytest.raises(StepFailed) as caught:
        async with replay(run) as swarm:
            await swarm.run(say, "Goodbye")

    assert caught.value.run is not None
    assert len(caught.value.run.trace.step("say").calls) == 1
    assert caught.value.run.usage.total_tokens == 0


async def test_a_model_that_is_not_in_the_recording_is_not_called(server: ScriptedServer) -> None:
    server.script("Hei")
    run = await run_on(server, say, "Hello")

    with pytest.raises(StepFailed, match=r"asked 'another' for a reply"):
        async with replay(run) as swarm:
            await swarm.run(say.with_options(model="another"), "Hello")


async def test_a_given_model_is_not_called_either(server: ScriptedServer, lenient: ScriptedServer) -> None:
    server.script("Hei")
    run = await run_on(server, say, "Hello")

    with pytest.raises(StepFailed):
        async with replay(run, model=model_at(lenient), models=[model_at(lenient, "other")]) as swarm:
            await swarm.run(say, "Goodbye")
    assert lenient.requests == []


async def test_recorded_requests_that_were_not_made_fail_the_block(server: ScriptedServer) -> None:
    server.script("a", "b")
    run = await run_on(server, each(say, concurrency=1), ["first", "second"])
    replaying = replay(run)

    with pytest.raises(ReplayError, match=r"never asked for: the call of step 'say\[1\]' in turn 1, to 'gpt-4o-mini'"):
        async with replaying as swarm:
            await swarm.run(say, "first")

    assert [one.step for one in replaying.unused] == ["say[1]"]
    async with replay(run, allow_unused=True) as swarm:
        await swarm.run(say, "first")


async def test_what_fails_in_the_block_goes_before_complaints(server: ScriptedServer) -> None:
    server.script("a")
    run = await run_on(server, say, "first")
    with pytest.raises(ZeroDivisionError):
        async with replay(run):
            raise ZeroDivisionError


async def test_a_failure_that_a_fallback_hid_fails_the_block(server: ScriptedServer) -> None:
    @node
    def shrug(text: str) -> str:
        return "..."

    server.script("a")
    run = await run_on(server, say, "first")
    replaying = replay(run, allow_unused=True)
    with pytest.raises(ReplayError, match="does not have") as caught:
        async with replaying as swarm:
            assert (await swarm.run(say.with_options(fallback=shrug), "second")).output == "..."

    assert isinstance(caught.value.__cause__, NotRecorded)
    assert replaying.missed == (caught.value.__cause__,)


async def test_a_cascade_climbs_as_it_did(server: ScriptedServer) -> None:
    small, big = say.with_options(name="small", model="small"), say.with_options(name="big", model="big")
    climbing = cascade(small, big, accept=lambda text: text != "?")
    server.script("?", "42")
    async with Swarm(models=[model_at(server, "small"), model_at(server, "big")]) as swarm:
        run = await swarm.run(climbing, "Why?")

    async with replay(run) as swarm:
        assert of(await swarm.run(climbing, "Why?")) == of(run)


# How it is used


async def test_the_settings_of_a_swarm_are_passed_on(server: ScriptedServer, tmp_path: Path) -> None:
    class Desk:
        pass

    @node
    async def ask(text: str) -> str:
        assert current().get(Desk) is desk
        return await current().run(say, text)

    desk = Desk()
    server.script("Hei")
    async with Swarm(model=model_at(server), resources={Desk: desk}) as swarm:
        run = await swarm.run(ask, "Hello")

    async with replay(run, resources={Desk: desk}, journal=tmp_path / "j.sqlite", capture=False) as swarm:
        again = await swarm.run(ask, "Hello")
    assert again.output == "Hei"
    assert again.trace.output("ask") is None
    assert (tmp_path / "j.sqlite").exists()


async def test_a_replay_is_opened_once_at_a_time_and_can_be_opened_again(server: ScriptedServer) -> None:
    server.script("Hei")
    run = await run_on(server, say, "Hello")
    replaying = replay(run)
    with pytest.raises(SwarmletError, match="was not opened"):
        _ = replaying.unused
    for _ in range(2):
        async with replaying as swarm:
            await swarm.run(say, "Hello")
            with pytest.raises(SwarmletError, match="open already"):
                await replaying.__aenter__()


async def test_wrong_settings_are_refused(server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="'strict', 'new', 'all', not 'none'"):
        replay(tmp_path / "r.jsonl", mode="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(GraphError, match="has to be the path of one"):
        replay(Recording(), mode="new")
    with pytest.raises(GraphError, match="capture=False"):
        replay(tmp_path / "r.jsonl", mode="all", capture=False)
    with pytest.raises(JournalError, match=r"there is no recording .*mode='new'"):
        async with replay(tmp_path / "r.jsonl"):
            pass


async def test_a_scrub_of_the_users_makes_requests_the_same(server: ScriptedServer) -> None:
    def no_dates(text: str) -> str:
        return text.replace("Monday", "<day>").replace("Tuesday", "<day>")

    server.script("Hei")
    run = await run_on(server, say, "It is Monday")

    assert "Monday" not in str(recording(run, scrub=no_dates).calls)
    async with replay(recording(run, scrub=no_dates), scrub=no_dates) as swarm:
        assert (await swarm.run(say, "It is Tuesday")).output == "Hei"


async def test_a_call_that_was_cancelled_and_now_is_not_fails_in_the_end(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmlet.testing.replays.models._PATIENCE", 0.01)
    run, slow, _ = await a_race(server)

    with pytest.raises(StepFailed, match="was cancelled before its reply came"):
        async with replay(run) as swarm:
            await swarm.run(slow, "Who?")


def test_a_replay_takes_every_setting_of_a_swarm() -> None:
    settings = set(inspect.signature(Swarm).parameters) - {"model", "models"}
    assert settings == set(SwarmSettings.__annotations__)
