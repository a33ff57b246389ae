"""What is retried, how long is waited, and that every attempt is in the record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from openai import AsyncOpenAI
from tenacity import wait_fixed, wait_none, wait_random_exponential

from swarmlet import GraphError, ModelError, OpenAIModel, Retry, StepFailed, Swarm
from swarmlet.errors import (
    ContextTooLong,
    ModelUnavailable,
    QuotaExhausted,
    RateLimited,
    ReplyMalformed,
    RequestRejected,
)
from swarmlet.testing import Cut, Fail, Garbage, Hang, Overflow, Quota, RateLimit, ScriptedServer

from .helpers import FAST, because, ended, errors_of, failure, outcome, partial, patient, say, sent

pytestmark = pytest.mark.anyio

HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Fail(408), ModelUnavailable),
        (Fail(409), ModelUnavailable),
        (RateLimit(), RateLimited),
        (Fail(500), ModelUnavailable),
        (Fail(502), ModelUnavailable),
        (Fail(503), ModelUnavailable),
        (Fail(529), ModelUnavailable),
        (Garbage(HTML, status=502, content_type="text/html"), ModelUnavailable),
        (Garbage(HTML), ReplyMalformed),
        (Garbage(""), ReplyMalformed),
        (Cut(), ModelUnavailable),
        (Cut(after=0), ModelUnavailable),
        (Cut(after=25), ModelUnavailable),
        (Fail(400, headers={"x-should-retry": "true"}), RequestRejected),
    ],
    ids=str,
)
async def test_what_may_pass_is_tried_again(scripted_server: ScriptedServer, reply: object, kind: type[ModelError]) -> None:
    scripted_server.script(reply, reply, "at last")

    run = await outcome(patient, "hi")

    assert run.output == "at last"
    assert errors_of(run) == [kind.__name__, kind.__name__, None]
    assert [(one.turn, one.attempt) for one in sent(run)] == [(1, 1), (1, 2), (1, 3)]
    assert [one.retry_in for one in ended(run)] == [0, 0, None]
    assert len(scripted_server.requests) == 3, "one HTTP call an attempt"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Fail(400), RequestRejected),
        (Overflow(), ContextTooLong),
        (Fail(401, "invalid_api_key"), RequestRejected),
        (Fail(403), RequestRejected),
        (Fail(404, "model_not_found"), RequestRejected),
        (Fail(422), RequestRejected),
        (Quota(), QuotaExhausted),
        (Quota(headers={"x-should-retry": "true"}), QuotaExhausted),
        (Fail(500, headers={"x-should-retry": "false"}), ModelUnavailable),
        (RateLimit(headers={"x-should-retry": "false"}), RateLimited),
    ],
    ids=str,
)
async def test_what_waiting_does_not_cure_is_not_tried_again(
    scripted_server: ScriptedServer, reply: Fail, kind: type[ModelError]
) -> None:
    scripted_server.script(reply)

    error = await failure(patient, "hi")

    assert error.path == "say"
    reason = because(error, kind)
    assert reason.status == reply.status
    assert reason.request_id == "req_000001"
    assert reply.message in str(error)
    assert errors_of(partial(error)) == [kind.__name__]
    assert len(scripted_server.requests) == 1


async def test_attempts_are_bounded_and_the_last_error_is_raised(scripted_server: ScriptedServer) -> None:
    scripted_server.script(*[Fail(500, message=f"number {number}") for number in (1, 2, 3)])

    error = await failure(say.with_options(retry=Retry(attempts=3, wait=wait_none())), "hi")

    assert because(error, ModelUnavailable).message == "500 number 3"
    assert errors_of(partial(error)) == ["ModelUnavailable"] * 3
    assert ended(partial(error))[-1].retry_in is None


async def test_one_attempt_is_exactly_one_http_call_also_with_a_client_of_the_callers(
    scripted_server: ScriptedServer,
) -> None:
    scripted_server.script(Fail(500))
    async with AsyncOpenAI(max_retries=5) as client:
        model = OpenAIModel("mine", client=client)
        async with Swarm(model=model) as swarm:
            with pytest.raises(StepFailed):
                await swarm.run(say.with_options(retry=Retry(attempts=1)), "hi")
        assert not client.is_closed(), "the caller closes what the caller opened"

    assert len(scripted_server.requests) == 1


async def test_a_call_that_times_out_is_tried_again(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Hang(), "late but here")
    async with (
        AsyncOpenAI(timeout=1) as client,
        Swarm(model=OpenAIModel("mine", client=client)) as swarm,
    ):
        run = await swarm.run(patient, "hi")

    assert run.output == "late but here"
    assert errors_of(run) == ["ModelUnavailable", None]
    fault = ended(run)[0].error
    assert fault is not None
    assert fault.message == "the model call timed out"


async def test_a_server_that_is_not_there_is_tried_again_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as gone:
        url = gone.base_url
    monkeypatch.setenv("OPENAI_BASE_URL", url)

    error = await failure(patient, "hi")

    assert f"the model server cannot be reached at {url}/chat/completions" in str(error)
    assert errors_of(partial(error)) == ["ModelUnavailable"] * 4


# Waits


@pytest.mark.parametrize(
    ("reply", "wait"),
    [
        (RateLimit(retry_after_ms=20), 0.02),
        (RateLimit(retry_after=0.03), 0.03),
        (RateLimit(retry_after_ms=10, retry_after=40), 0.01),
        (Fail(503, headers={"retry-after": "0.01"}), 0.01),
        (RateLimit(retry_after="Thu, 01 Jan 2026 00:00:00 GMT"), 0.0),
        (RateLimit(retry_after="soon"), 0.0),
        (RateLimit(retry_after="-1"), 0.0),
        (RateLimit(retry_after="nan", headers={"retry-after-ms": "inf"}), 0.0),
    ],
    ids=str,
)
async def test_the_servers_wish_is_obeyed(scripted_server: ScriptedServer, reply: Fail, wait: float) -> None:
    scripted_server.script(reply, "ok")

    run = await outcome(patient, "hi")

    retry_in = ended(run)[0].retry_in
    assert retry_in is not None
    assert wait <= retry_in <= wait * 1.1, "and a little more, so that not all come back at once"


async def test_the_own_backoff_holds_where_it_is_longer_than_the_servers_wish(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after_ms=1), "ok")

    run = await outcome(say.with_options(retry=Retry(wait=wait_fixed(0.02))), "hi")

    assert ended(run)[0].retry_in == 0.02


async def test_the_backoff_is_jittered(scripted_server: ScriptedServer) -> None:
    scripted_server.script(*[Fail(500)] * 7, "ok")
    wait = wait_random_exponential(multiplier=0.001, max=0.01)

    run = await outcome(say.with_options(retry=Retry(attempts=8, wait=wait)), "hi")

    waits = [one.retry_in for one in ended(run)[:-1]]
    assert all(one is not None and 0 <= one <= 0.01 for one in waits)
    assert len(set(waits)) > 1


@pytest.mark.parametrize(
    "reply",
    [
        RateLimit(retry_after=61),
        RateLimit(retry_after_ms=60_001),
        RateLimit(retry_after="Fri, 31 Dec 2100 23:59:59 GMT"),
        Fail(503, headers={"retry-after": "1e300"}),
    ],
    ids=str,
)
async def test_a_wish_above_the_longest_wait_is_not_begun(scripted_server: ScriptedServer, reply: Fail) -> None:
    scripted_server.script(reply)

    error = await failure(patient, "hi")

    assert isinstance(error.__cause__, RateLimited | ModelUnavailable)
    assert error.__cause__.retry_after is not None
    assert error.__cause__.retry_after > 60
    assert ended(partial(error))[0].retry_in is None


@pytest.mark.parametrize("own", [0, 0.02])
async def test_the_longest_wait_can_be_set_and_bounds_the_own_backoff_too(scripted_server: ScriptedServer, own: float) -> None:
    scripted_server.script(RateLimit(retry_after_ms=None if own else 20))
    policy = Retry(wait=wait_fixed(own), longest_wait=0.01)

    because(await failure(say.with_options(retry=policy), "hi"), RateLimited)


async def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after=30))

    error = await failure(patient.with_options(timeout=20), "hi")

    assert because(error, RateLimited).retry_after == 30
    assert ended(partial(error))[0].retry_in is None


async def test_a_date_is_a_wish_relative_to_now(scripted_server: ScriptedServer) -> None:
    at = datetime.now(UTC) + timedelta(seconds=300)
    scripted_server.script(RateLimit(retry_after=format_datetime(at, usegmt=True)))

    error = await failure(patient, "hi")

    wish = because(error, RateLimited).retry_after
    assert wish is not None
    assert 280 < wish <= 300


# The policy


async def test_a_policy_for_plain_steps_leaves_the_retries_of_model_calls_on(scripted_server: ScriptedServer) -> None:
    scripted_server.script(RateLimit(retry_after_ms=1), Fail(500), "ok")

    run = await outcome(say.with_options(retry=Retry(on=ConnectionError, wait=wait_none())), "hi")

    assert run.output == "ok"


@pytest.mark.parametrize("reply", [Quota(), Fail(404)], ids=str)
async def test_no_policy_repeats_a_call_that_waiting_does_not_cure(scripted_server: ScriptedServer, reply: Fail) -> None:
    scripted_server.script(reply)

    await failure(say.with_options(retry=Retry(on=Exception, wait=wait_none())), "hi")

    assert len(scripted_server.requests) == 1


async def test_the_nearest_policy_wins(scripted_server: ScriptedServer) -> None:
    scripted_server.script(Fail(500), "ok")

    run = await outcome(say.with_options(retry=Retry(attempts=1)).with_options(retry=FAST), "hi")

    assert run.output == "ok"


def test_a_policy_without_attempts_is_refused() -> None:
    with pytest.raises(GraphError, match="counts the first attempt"):
        Retry(attempts=0)


async def test_errors_of_attempts_do_not_drag_one_another_along(scripted_server: ScriptedServer) -> None:
    scripted_server.script(*[Fail(500)] * 4)

    error = await failure(patient, "hi")

    reason = because(error, ModelUnavailable)
    assert reason.__cause__ is None
    assert reason.__context__ is None, "the SDK's exception holds the request with its headers"
