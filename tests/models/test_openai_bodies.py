"""What goes over the wire is, byte for byte, what the SDK's own `chat.completions.create` sends for the same request."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from swarmlet.errors import ModelError
from swarmlet.models.base import ChatRequest, Image, Message, ReplyFormat, ToolCall, ToolDefinition
from swarmlet.models.openai import OpenAIModel
from swarmlet.models.openai_wire import request_body
from swarmlet.models.profiles import Profile, profile_of
from swarmlet.testing import Say, ScriptedServer

pytestmark = pytest.mark.anyio

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "größe": {"type": "number", "enum": [1, 2.5, 1e-7, 10**20]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["größe", "tags"],
    "additionalProperties": False,
}
TOOL = ToolDefinition("look_up", "Looks something up.", SCHEMA, strict=True)
CALL = ToolCall("call_1", "look_up", '{"größe": 1, "tags": ["\\u00e9"]}')
ODD = 'quotes " \\ / \x00 \x1f \x7f \u2028 é \N{GRINNING FACE} </script>'
PLAIN = ChatRequest(model="gpt-4o-mini", messages=(Message.user("hi"),))
REQUESTS = {
    "plain": PLAIN,
    "odd text": replace(PLAIN, messages=(Message.system(ODD), Message.user(ODD), Message.assistant(ODD), Message.user(""))),
    "images": replace(
        PLAIN, messages=(Message.user("see", Image("data:image/png;base64,aGk=", "low"), ODD, Image("https://x/y")),)
    ),
    "long": replace(PLAIN, messages=tuple(Message.user(f"{number} {ODD}" * 20) for number in range(40))),
    "tools": replace(PLAIN, tools=(TOOL, replace(TOOL, name="b", description="", strict=False)), tool_choice="required"),
    "tool calls": replace(
        PLAIN,
        messages=(
            Message.user("hi"),
            Message.assistant("", (CALL, replace(CALL, id="call_2", arguments="{}"))),
            Message.tool("call_1", ODD),
            Message.tool("call_2", ""),
            Message.assistant("both", (replace(CALL, id="call_3"),)),
            Message.tool("call_3", "ok"),
        ),
        tools=(TOOL,),
    ),
    "a format": replace(PLAIN, format=ReplyFormat("Answer", SCHEMA, strict=True)),
    "everything": replace(
        PLAIN,
        tools=(TOOL,),
        format=ReplyFormat("Answer", SCHEMA, strict=False),
        max_tokens=7,
        temperature=0.1,
        seed=0,
        tool_choice="none",
        cache_key="key",
    ),
    "zeros": replace(PLAIN, temperature=0.0, seed=-1),
}
PROFILES = {
    "gpt-4o-mini": profile_of("gpt-4o-mini"),
    "gpt-6-luna": profile_of("gpt-6-luna"),
    "unknown": Profile(name="unknown", sampling=False),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_is_sent_as_the_sdk_would_send_it(request_: ChatRequest, profile: Profile, streamed: bool) -> None:
    with ScriptedServer(strict=False) as server:  # it would refuse some of these; here only the bytes count
        server.answer(lambda _: Say("ok"))
        model = OpenAIModel(profile.name, base_url=server.base_url, api_key=server.api_key, profile=profile)
        with suppress(ModelError):
            await model.complete(request_, list[str]().append if streamed else None)
        await model.aclose()
        with OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as sdk, suppress(APIStatusError):
            create: Any = sdk.chat.completions.create  # Any: its overloads do not take a dict
            answer = create(**request_body(request_, profile, streamed=streamed) | {"model": profile.name})
            list(answer)

    ours, theirs = server.requests
    assert ours.raw == theirs.raw
    of_its_kind = {"user-agent": "", "x-stainless-async": ""}  # theirs is the client without async
    assert {**ours.headers, **of_its_kind} == {**theirs.headers, **of_its_kind}
