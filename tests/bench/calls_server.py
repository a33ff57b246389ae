"""A model server that costs next to nothing: it answers every chat completion with the same bytes, after a pause.

    python -m tests.bench.calls_server

Prints its port. The path says what is wanted: `/L50/v1/chat/completions` waits 50 ms first. A request that holds
`"stream":true` gets a stream of `CHUNKS` events, all at once or, under `/L1/`, each 1 ms after the one before. `GET /cpu` gives
the CPU seconds that the server has used.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNKS = 100
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PAUSE = re.compile(rb"^\w+ /L(\d+)/")
_STREAM = re.compile(rb'"stream": ?true')
_SCHEMA = re.compile(rb'"json_schema"')
_HEAD = {"id": "chatcmpl-A1b2C3", "created": 1_700_000_000, "model": "gpt-4o-mini-2024-07-18", "service_tier": "default"}
_USAGE = {
    "prompt_tokens": 60,
    "completion_tokens": 20,
    "total_tokens": 80,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_HEADERS = (
    "x-request-id: req_0123456789abcdef\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\n"
    "x-ratelimit-limit-requests: 1000000\r\nx-ratelimit-limit-tokens: 1000000000\r\n"
    "x-ratelimit-remaining-requests: 999999\r\nx-ratelimit-remaining-tokens: 999999000\r\n"
    "x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 1ms\r\n"
)


def _answer(kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{_HEADERS}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _whole(text: str) -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE, "system_fingerprint": "fp_44709d6fcb"}
    return _answer("application/json", json.dumps(body, indent=2).encode())


def _streamed() -> list[bytes]:
    def event(delta: dict[str, str], finish: str | None, **more: object) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        chunk = {**_HEAD, "object": "chat.completion.chunk", "system_fingerprint": "fp_44709d6fcb", "usage": None}
        return b"data: " + json.dumps({**chunk, "choices": choices, **more}, separators=(",", ":")).encode() + b"\n\n"

    pieces = [event({"content": f" word{number}"}, None) for number in range(CHUNKS - 2)]
    events = [*pieces, event({}, "stop"), event({}, None, choices=[], usage=_USAGE), b"data: [DONE]\n\n"]
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{_HEADERS}transfer-encoding: chunked\r\n\r\n"
    return [head.encode(), *(b"%x\r\n%b\r\n" % (len(one), one) for one in events), b"0\r\n\r\n"]


_TEXT = _whole("The answer to this question is, in one sentence of some length, the following: it depends on what is asked.")
_JSON = _whole('{"answer": "it depends on what is asked", "sure": true}')
_EVENTS = _streamed()


class _Talk(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        end = self.seen.find(b"\r\n\r\n")
        length = _LENGTH.search(self.seen, 0, end) if end >= 0 else None
        if end >= 0 and len(self.seen) >= end + 4 + (int(length[1]) if length else 0):
            request, self.seen = self.seen, b""
            self.answer(request)

    def answer(self, request: bytes) -> None:
        found = _PAUSE.search(request)
        pause = int(found[1]) / 1000 if found else 0
        if request.startswith(b"GET /cpu"):
            self.send(_answer("text/plain", str(time.process_time()).encode()))
        elif _STREAM.search(request):
            self.later(pause, _EVENTS if pause else [b"".join(_EVENTS)])
        else:
            self.later(pause, [_JSON if _SCHEMA.search(request) else _TEXT])

    def later(self, pause: float, answers: list[bytes]) -> None:
        """Send them, each so many seconds after the one before."""
        if not pause:
            self.send(answers[0])
            return
        first, *rest = answers
        asyncio.get_running_loop().call_later(pause, self.send, first, pause, rest)

    def send(self, answer: bytes, pause: float = 0, rest: Sequence[bytes] = ()) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
        if rest:
            self.later(pause, list(rest))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Talk, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    asyncio.get_running_loop().run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: server.close())
    async with server:
        await server.wait_closed()


if __name__ == "__main__":
    if find_spec("uvloop") is not None:
        import uvloop

        uvloop.install()
    asyncio.run(_serve())
