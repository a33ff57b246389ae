"""Each example as a program: it runs, and prints its result and its trace."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TypeAlias, cast

import pytest

from swarmlet import Agent
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
    found: list[object] = list(vars(import_module(f"examples.{name}")).values())
    agents: list[AnyAgent] = [value for value in found if isinstance(value, Agent)]
    assert agents
    for agent in agents:
        format_ = agent.settings.output.format
        assert format_ is not None
        assert list(unbounded(format_.schema)) == []
        assert agent.settings.max_tokens <= 250


AnyAgent: TypeAlias = Agent[..., object]
LIMITS = {"string": "maxLength", "array": "maxItems"}


def unbounded(schema: object) -> Iterator[object]:
    """The strings and lists in a schema that may go on for ever."""
    if isinstance(schema, list):
        for part in cast("list[object]", schema):
            yield from unbounded(part)
    elif isinstance(schema, dict):
        known = cast("dict[str, object]", schema)
        kind = known.get("type")
        limit = LIMITS.get(kind) if isinstance(kind, str) else None
        if limit and not known.keys() & {limit, "enum", "const"}:
            yield known
        for part in known.values():
            yield from unbounded(part)
