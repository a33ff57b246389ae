"""Test code that calls models, without mocks: a scripted, OpenAI-compatible server on loopback, and recorded runs.

    from swarmlet.testing import RateLimit, ScriptedServer, call

    with ScriptedServer() as server:
        server.script(call("get_weather", city="Oslo"), RateLimit(retry_after_ms=20), "It rains in Oslo.")
        ...                     # run what calls the model at server.base_url with server.api_key

    from swarmlet.testing import replay, save_recording

    save_recording(run, "recordings/weather.jsonl")
    async with replay("recordings/weather.jsonl") as swarm:
        ...                     # run it again, with no network

In pytest the fixture `scripted_server` gives a server that a default client reaches, and `recorded` a replay for each test.
Floor plan:

    server    the server: what to answer, what was seen, running it
    respond   from a request to a response  script    which reply is next
    record    what was seen                 plugin    the pytest fixtures
    replies   what can be answered          gates     doors that the test opens
    requests  one request, typed            rules     what the API would refuse
    schemas   strict mode, and samples      bodies    replies as JSON and as events
    wire      HTTP/1.1 (h11) on a socket    replays   recorded runs as tests

Names are imported when they are first used: pytest loads this package in every project, for its plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmlet.testing.gates import Gate as Gate
    from swarmlet.testing.replays.call import RecordedCall as RecordedCall
    from swarmlet.testing.replays.file import Recording as Recording
    from swarmlet.testing.replays.fixture import Recorded as Recorded
    from swarmlet.testing.replays.recording import recording as recording
    from swarmlet.testing.replays.recording import save_recording as save_recording
    from swarmlet.testing.replays.replay import Replay as Replay
    from swarmlet.testing.replays.replay import ReplayError as ReplayError
    from swarmlet.testing.replays.replay import replay as replay
    from swarmlet.testing.replies import Barrier as Barrier
    from swarmlet.testing.replies import Call as Call
    from swarmlet.testing.replies import CallTools as CallTools
    from swarmlet.testing.replies import Cut as Cut
    from swarmlet.testing.replies import Fail as Fail
    from swarmlet.testing.replies import Garbage as Garbage
    from swarmlet.testing.replies import Hang as Hang
    from swarmlet.testing.replies import Held as Held
    from swarmlet.testing.replies import Overflow as Overflow
    from swarmlet.testing.replies import Paced as Paced
    from swarmlet.testing.replies import Quota as Quota
    from swarmlet.testing.replies import RateHeaders as RateHeaders
    from swarmlet.testing.replies import RateLimit as RateLimit
    from swarmlet.testing.replies import Refuse as Refuse
    from swarmlet.testing.replies import Reply as Reply
    from swarmlet.testing.replies import Say as Say
    from swarmlet.testing.replies import Slow as Slow
    from swarmlet.testing.replies import StreamError as StreamError
    from swarmlet.testing.replies import Tokens as Tokens
    from swarmlet.testing.replies import call as call
    from swarmlet.testing.requests import Request as Request
    from swarmlet.testing.schemas import sample as sample
    from swarmlet.testing.script import ScriptError as ScriptError
    from swarmlet.testing.server import ScriptedServer as ScriptedServer

__all__ = [
    "Barrier",
    "Call",
    "CallTools",
    "Cut",
    "Fail",
    "Garbage",
    "Gate",
    "Hang",
    "Held",
    "Overflow",
    "Paced",
    "Quota",
    "RateHeaders",
    "RateLimit",
    "Recorded",
    "RecordedCall",
    "Recording",
    "Refuse",
    "Replay",
    "ReplayError",
    "Reply",
    "Request",
    "Say",
    "ScriptError",
    "ScriptedServer",
    "Slow",
    "StreamError",
    "Tokens",
    "call",
    "recording",
    "replay",
    "sample",
    "save_recording",
]

_ROOMS = {
    "Gate": "gates",
    "Recorded": "replays.fixture",
    "RecordedCall": "replays.call",
    "Recording": "replays.file",
    "Replay": "replays.replay",
    "ReplayError": "replays.replay",
    "Request": "requests",
    "ScriptError": "script",
    "ScriptedServer": "server",
    "recording": "replays.recording",
    "replay": "replays.replay",
    "sample": "schemas",
    "save_recording": "replays.recording",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'replies')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
