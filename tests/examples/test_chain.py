"""Prompt chaining: the gate decides whether the last call is made."""

from __future__ import annotations

import pytest

from examples.chain import LAMP, Copy, Highlights, describe, pick, translate, write
from swarmlet import run
from swarmlet.testing import ScriptedServer
from tests.examples.steps import asked, paths

pytestmark = pytest.mark.anyio


def script(server: ScriptedServer, text: str) -> None:
    server.when(asked(pick), Highlights(points=["12 hours"]), times=1)
    server.when(asked(write), Copy(text=text), times=1)


async def test_text_that_keeps_to_the_facts_is_translated(scripted_server: ScriptedServer) -> None:
    script(scripted_server, "Shines for 12 hours.")
    scripted_server.when(asked(translate), Copy(text="12 heures."), times=1)
    result = await run(describe, LAMP)
    assert result.output.english == "Shines for 12 hours."
    assert result.output.french == "12 heures."
    assert "Shines for 12 hours." in scripted_server.requests[-1].last
    assert paths(result.trace) == {
        "describe/pick",
        "describe/write",
        "describe/switch/honest",
        "describe/switch/publish/translate",
        "describe/switch/publish/Page",
    }


async def test_an_invented_number_is_held_back_before_the_last_call(scripted_server: ScriptedServer) -> None:
    script(scripted_server, "Shines for 99 hours.")
    result = await run(describe, LAMP)
    assert "Battery lasts 12 hours" in result.output.english
    assert result.output.french is None
    assert paths(result.trace) == {"describe/pick", "describe/write", "describe/switch/honest", "describe/switch/hold"}
    assert result.usage.requests == 2


async def test_each_prompt_has_what_the_step_before_it_made(scripted_server: ScriptedServer) -> None:
    script(scripted_server, "A lamp of 5 kg.")
    await run(describe, LAMP)
    first, second = scripted_server.requests
    assert all(fact in first.last for fact in LAMP.facts)
    assert second.last.endswith("- 12 hours")
