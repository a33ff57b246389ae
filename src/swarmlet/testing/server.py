"""The scripted server: OpenAI's chat completions over a real socket on loopback, in a thread of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self, cast, final

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute, TaskStatus
from anyio.from_thread import start_blocking_portal

from swarmlet.testing.bodies import CountTokens, quarter_of_characters
from swarmlet.testing.record import Flight, Record
from swarmlet.testing.replies import Call, CallTools, Completion, Finish, RateHeaders, Tokens, as_reply
from swarmlet.testing.requests import JsonObject, Request
from swarmlet.testing.respond import Responder
from swarmlet.testing.script import Answer, Matcher, Script, ScriptError, from_schema
from swarmlet.testing.wire import Connection, HttpRequest, ProtocolError

_CHAT = ("POST", "/v1/chat/completions")


@final
class ScriptedServer:
    """An OpenAI-compatible server on loopback that answers what a test tells it to.

        with ScriptedServer() as server:
            server.script("Hello", RateLimit(retry_after_ms=20), "Hello again")
            client = AsyncOpenAI(base_url=server.base_url, api_key=server.api_key)

    It runs in its own thread and event loop, so it works beside asyncio, trio and sync code alike. Each
    request is checked as the real API would; what the API would refuse gets a 400 and fails the test.
    A request is answered by the first rule (`when`) that matches, else by the next reply of the queue
    (`script`, `reply`), else by the function (`answer`). With none left the answer is a 500 that clients
    must not retry, and the test fails.

    Args:
        api_key: the one bearer key that is accepted; any other gets a 401.
        strict: whether leaving the context raises `ScriptError` for what did not fit (see `verify`).
        models: what `GET /v1/models` lists.
        rate_headers: the `x-ratelimit-*` headers of every reply; `None` sends none.
        count_tokens: counts the tokens for replies that give no usage (four characters each by default).
    """

    def __init__(
        self,
        *,
        api_key: str = "sk-scripted",
        strict: bool = True,
        models: Sequence[str] = ("gpt-4o-mini", "gpt-6-luna"),
        rate_headers: RateHeaders | None = None,
        count_tokens: CountTokens = quarter_of_characters,
    ) -> None:
        self._api_key = api_key
        self._strict = strict
        self._script = Script()
        self._record = Record()
        self._responder = Responder(self._script, self._record, api_key, tuple(models), count_tokens)
        self._responder.rate_headers = rate_headers
        self._port: int | None = None
        self._running = ExitStack()

    # --- what to answer

    def script(self, *replies: object) -> None:
        """Queue replies, handed out in the order in which requests arrive."""
        self._script.add(replies)

    def reply(
        self,
        content: object = "",
        *,
        tool_calls: Sequence[Call] = (),
        usage: Tokens | None = None,
        finish: Finish | None = None,
    ) -> None:
        """Queue one reply: a text, a model or JSON value, tool calls, or any `Reply` (as `script` does).

        Raises:
            TypeError: `usage` or `finish` for a reply that is no completion (such as `Hang()`).
        """
        reply = CallTools(tool_calls, text=str(content) or None) if tool_calls else as_reply(content)
        if usage is not None or finish is not None:
            if not isinstance(reply, Completion):
                raise TypeError(f"a reply that is no completion has no usage and no finish: {reply!r}")
            reply = replace(reply, usage=usage or reply.usage, finish=finish or reply.finish)
        self.script(reply)

    def when(self, matcher: Matcher, reply: object, *, times: int | None = None) -> None:
        """Answer requests that match, however often, or `times` times (then each must be asked for).

        Args:
            matcher: a piece of the text of the messages, or a function of the `Request`.
            reply: what to answer.
            times: how often; `None` is any number, none included.
        """
        self._script.when(matcher, reply, times)

    def answer(self, function: Answer) -> None:
        """Answer by `function(request)`, sync or async, whatever rules and queue leave open.

        It runs in the server's thread, so a sync one that blocks blocks the server. What it raises is
        answered with a 500 and fails the test.
        """
        self._script.answer(function)

    def answer_from_schema(self) -> None:
        """Answer everything left open with a valid sample of its schema, a demanded tool call, or `text`."""
        self.answer(from_schema)

    @property
    def rate_headers(self) -> RateHeaders | None:
        """The `x-ratelimit-*` headers of every reply from now on; `None` sends none."""
        return self._responder.rate_headers

    @rate_headers.setter
    def rate_headers(self, headers: RateHeaders | None) -> None:
        self._responder.rate_headers = headers

    # --- what was seen

    @property
    def base_url(self) -> str:
        """The URL to give to a client, `http://127.0.0.1:PORT/v1`."""
        if self._port is None:
            raise RuntimeError("the scripted server is not running: write `with ScriptedServer() as server:`")
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def api_key(self) -> str:
        """The key to give to a client."""
        return self._api_key

    @property
    def requests(self) -> list[Request]:
        """All chat requests so far, in order of arrival, refused ones included."""
        return list(self._record.requests)

    @property
    def in_flight(self) -> int:
        """How many requests are being answered right now."""
        return self._record.in_flight

    @property
    def max_in_flight(self) -> int:
        """How many requests were in flight at once, at most."""
        return self._record.max_in_flight

    @property
    def disconnects(self) -> list[Request]:
        """The requests whose connection the client closed before the answer was complete."""
        return list(self._record.disconnects)

    @property
    def problems(self) -> list[str]:
        """What `verify` would complain about now: refused and unexpected requests, replies not asked for."""
        return [*self._record.problems, *self._script.left()]

    def verify(self) -> None:
        """Check that every request was valid and expected, and that every scripted reply was asked for.

        Raises:
            ScriptError: with one sentence for each thing that did not fit.
        """
        problems = self.problems
        if problems:
            raise ScriptError(problems) from next(iter(self._record.causes), None)

    def wait_for(
        self,
        requests: int = 0,
        *,
        in_flight: int = 0,
        disconnects: int = 0,
        idle: bool = False,
        timeout: float = 5.0,
    ) -> None:
        """Block until the server has seen at least so much. For sync code; async code uses `wait_for_async`.

        Args:
            requests: how many requests must have arrived.
            in_flight: how many must be in flight at once.
            disconnects: how many must have been dropped by the client.
            idle: whether nothing may be in flight any more.
            timeout: seconds of real time.

        Raises:
            TimeoutError: that was not seen in time.
        """
        met = self._sight(requests, in_flight, disconnects, idle)
        if not self._record.wait(met, timeout):
            raise self._too_late(timeout)

    async def wait_for_async(
        self,
        requests: int = 0,
        *,
        in_flight: int = 0,
        disconnects: int = 0,
        idle: bool = False,
        timeout: float = 5.0,  # noqa: ASYNC109 real time, whatever clock the caller's event loop has
    ) -> None:
        """Do as `wait_for` does, without blocking the caller's event loop."""
        met = self._sight(requests, in_flight, disconnects, idle)
        if not await anyio.to_thread.run_sync(self._record.wait_in_worker, met, timeout):
            raise self._too_late(timeout)

    def _sight(self, requests: int, in_flight: int, disconnects: int, idle: bool) -> Callable[[], bool]:
        record = self._record
        return lambda: (
            len(record.requests) >= requests
            and record.in_flight >= in_flight
            and len(record.disconnects) >= disconnects
            and not (idle and record.in_flight)
        )

    def _too_late(self, timeout: float) -> TimeoutError:
        record = self._record
        return TimeoutError(
            f"not seen within {timeout} s: {len(record.requests)} requests so far, {record.in_flight} in "
            f"flight (at most {record.max_in_flight}), {len(record.disconnects)} disconnects"
        )

    # --- running

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio"))
            serving, self._port = portal.start_task(self._serve)
            stack.callback(_stop, serving)
            self._running = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._running.close()
        if error is None and self._strict:
            self.verify()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    async def _serve(self, *, task_status: TaskStatus[int]) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            task_status.started(listener.extra(SocketAttribute.local_port))  # noqa: S610 no Django here
            await listener.serve(self._converse)

    async def _converse(self, stream: ByteStream) -> None:
        connection = Connection(stream)
        try:
            while (http := await connection.next_request()) is not None:
                if not await self._exchange(connection, http):
                    break
        except ProtocolError as error:
            self._record.problem(f"what came is no HTTP/1.1: {error}", error)
        finally:
            await anyio.aclose_forcefully(stream)

    async def _exchange(self, connection: Connection, http: HttpRequest) -> bool:
        """Answer one HTTP request; whether the connection may go on."""
        if (http.method, http.path) != _CHAT:
            return await connection.send(self._responder.other(http.method, http.path, http.headers))
        request = Request(len(self._record.requests) + 1, _json_object(http.body), http.headers, http.body)
        with self._record.flight(request) as flight:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_watch, connection, flight, tasks.cancel_scope)
                flight.dropped = not await connection.send(await self._responder.chat(request))
                tasks.cancel_scope.cancel()
        return not flight.dropped


async def _watch(connection: Connection, flight: Flight, scope: anyio.CancelScope) -> None:
    """Give up the answer once the client has hung up."""
    await connection.hung_up()
    flight.dropped = True
    scope.cancel()


def _stop(serving: Future[None]) -> None:
    if not serving.cancel():
        serving.result()  # it ended by itself, which only a bug does: show it


def _json_object(body: bytes) -> JsonObject:
    try:
        parsed: object = json.loads(body)
    except ValueError:
        return {}  # the rules read the raw body and say what is wrong with it
    return cast(JsonObject, parsed) if isinstance(parsed, dict) else {}
