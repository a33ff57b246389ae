"""Each example as a program: it runs, and prints its result and its trace."""

from __future__ import annotations

from importlib import import_module

import pytest

from swarmlet.testing import ScriptedServer

EXAMPLES = {
    "chain": "describe/write",
    "route": "answer[2]/switch/classify",
    "parallel": "review/join",
    "orchestrate": "research/combine",
    "evaluate": "headline/attempt[0]/decide",
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_prints_its_result_and_its_steps(
    name: str, scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXAMPLE_MODEL", "gpt-6-luna")
    scripted_server.answer_from_schema()
    await import_module(f"examples.{name}").main()
    result, _, steps = capsys.readouterr().out.partition("\n\n")
    assert result
    assert steps.split()[:5] == ["step", "began", "took", "in", "out"]
    assert EXAMPLES[name] in steps
    assert f"{len(scripted_server.requests)} model calls" in steps
    assert {request.model for request in scripted_server.requests} == {"gpt-6-luna"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_a_model_writes_is_bounded(name: str) -> None:
    from swarmlet import Agent

    agents = [value for value in vars(import_module(f"examples.{name}")).values() if isinstance(value, Agent)]
    assert agents
    for agent in agents:
        format_ = agent.settings.request("any", ()).format
        assert format_ is not None
        assert list(unbounded(format_.schema)) == []
        assert agent.settings.max_tokens <= 300


def unbounded(schema: object) -> list[object]:
    """The strings and lists in a schema that have no maximum."""
    if isinstance(schema, list):
        return [found for part in schema for found in unbounded(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if not schema.keys() & {"enum", "const", LIMITS.get(schema.get("type"), "type")} else []
    return own + [found for part in schema.values() for found in unbounded(part)]


LIMITS = {"string": "maxLength", "array": "maxItems"}
