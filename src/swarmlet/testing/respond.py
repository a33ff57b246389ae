"""From a request to its response: the key, the rules, the script, and whatever a reply waits for.

Below `server`, which owns the sockets; above `script`, `rules` and `bodies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import anyio

from swarmlet.testing import bodies
from swarmlet.testing.bodies import CountTokens, Delivery
from swarmlet.testing.record import Record
from swarmlet.testing.replies import (
    Barrier,
    Cut,
    Fail,
    Garbage,
    Hang,
    Held,
    Paced,
    RateHeaders,
    Reply,
    Slow,
    StreamError,
    as_reply,
)
from swarmlet.testing.requests import Request
from swarmlet.testing.rules import complaint
from swarmlet.testing.script import Script

_MODELS = ("GET", "/v1/models")
_NO_RETRY = {"x-should-retry": "false"}


class Responder:
    """Says what is sent back, and tells the record what the test must hear of."""

    def __init__(self, script: Script, record: Record, api_key: str, models: tuple[str, ...], count: CountTokens) -> None:
        self._script = script
        self._record = record
        self._key = api_key
        self._models = models
        self._count = count
        self.rate_headers: RateHeaders | None = None

    async def chat(self, request: Request) -> Delivery:
        """Return the response to a chat request, once it is due."""
        return self._with_headers(await self._respond(request), f"{request.n:06}")

    def other(self, method: str, path: str, headers: Mapping[str, str]) -> Delivery:
        """Return the response to any other request."""
        return self._with_headers(self._elsewhere(method, path, headers), "other")

    def _with_headers(self, delivery: Delivery, identity: str) -> Delivery:
        common = {
            "x-request-id": f"req_{identity}",
            "openai-version": "2020-10-01",
            "openai-processing-ms": "1",
        }
        limits = self.rate_headers.headers() if self.rate_headers else {}
        return replace(delivery, headers={**common, **limits, **delivery.headers})

    def _elsewhere(self, method: str, path: str, headers: Mapping[str, str]) -> Delivery:
        refused = self._unauthorized(headers)
        if refused is not None:
            return bodies.error(refused)
        if (method, path) == _MODELS:
            return bodies.models(self._models)
        self._record.problem(f"unexpected request: {method} {path}")
        return bodies.error(Fail(404, message=f"Invalid URL ({method} {path})"))

    def _unauthorized(self, headers: Mapping[str, str]) -> Fail | None:
        if headers.get("authorization") == f"Bearer {self._key}":
            return None
        return Fail(401, "invalid_api_key", "Incorrect API key provided.")

    async def _respond(self, request: Request) -> Delivery:
        refused = self._unauthorized(request.headers)
        if refused is not None:
            return bodies.error(refused)
        found = complaint(request)
        if found is not None:
            self._record.problem(f"request {request.n} is invalid: {found.message}")
            return bodies.error(Fail(400, message=found.message, param=found.param))
        try:
            reply = await self._script.next(request)
        except Exception as error:  # noqa: BLE001 the test's own function: the test hears of it by `verify`
            return self._broken(f"request {request.n}: the answering function raised {error!r}", error)
        if reply is None:
            return self._broken(f"request {request.n} was not expected, no reply is left: {request.last!r}")
        return await self._deliver(reply, request)

    def _broken(self, sentence: str, cause: Exception | None = None) -> Delivery:
        self._record.problem(sentence, cause)
        return bodies.error(Fail(500, "scripted_server", sentence, headers=_NO_RETRY))

    async def _deliver(self, reply: Reply, request: Request) -> Delivery:
        """Wait for what `reply` waits for, and return what is to be sent."""
        match reply:
            case Hang():
                await anyio.sleep_forever()
                raise AssertionError("this is a bug in swarmlet: a sleep without end ended")
            case Slow(inner, seconds):
                await anyio.sleep(seconds)
                return await self._deliver(as_reply(inner), request)
            case Held(inner, gate):
                await gate.passing()
                return await self._deliver(as_reply(inner), request)
            case Barrier():
                return await self._together(reply, request)
            case Paced(inner, seconds, gate):
                delivery = await self._deliver(as_reply(inner), request)
                return replace(delivery, pause=seconds, gate=gate)
            case Cut(inner, after):
                return replace(await self._deliver(as_reply(inner), request), cut=True, kept=after)
            case StreamError(inner, after, error):
                delivery = await self._deliver(as_reply(inner), request)
                if not delivery.stream:
                    return bodies.error(error)
                return replace(delivery, pieces=(*delivery.pieces[:after], bodies.error_event(error)))
            case Fail():
                return bodies.error(reply)
            case Garbage():
                return bodies.garbage(reply)
            case _:
                return bodies.completion(reply, request, self._count)

    async def _together(self, barrier: Barrier, request: Request) -> Delivery:
        with anyio.move_on_after(barrier.timeout) as waiting:
            await self._record.overlap(barrier.n)
        if not waiting.cancelled_caught:
            return await self._deliver(as_reply(barrier.reply), request)
        return self._broken(
            f"request {request.n}: {barrier.n} requests were never in flight at once within "
            f"{barrier.timeout} s, at most {self._record.max_in_flight} were"
        )
