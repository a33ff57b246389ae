"""What an agent is made of is checked when it is defined."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from swarmlet import GraphError, OpenAIModel, agent, run
from swarmlet.testing import ScriptedServer


class City(BaseModel):
    name: str


def ask(country: str) -> str:
    """You know capitals."""
    return country


def test_an_agent_without_a_type_says_how_to_write_it() -> None:
    with pytest.raises(GraphError, match=r"test_settings\.py:.*write `@agent\(str\)`"):
        agent(ask)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_type_as_text_is_refused() -> None:
    with pytest.raises(GraphError, match="pass the type itself"):
        agent("City")


@pytest.mark.parametrize(
    "settings",
    [{"max_turns": 0}, {"max_tokens": "5"}, {"max_tokens": True}, {"repairs": -1}, {"temperature": "hot"}],
    ids=str,
)
def test_numbers_that_are_none_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(GraphError, match=r"agent\((max_turns|max_tokens|repairs|temperature)=\)"):
        agent(City, **settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_model_object_is_refused_where_a_name_is_asked() -> None:
    with pytest.raises(GraphError, match=r"Swarm\(models="):
        agent(City, model=OpenAIModel("mini"))(ask)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.anyio
async def test_json_in_a_fence_is_taken_out_of_it(scripted_server: ScriptedServer) -> None:
    scripted_server.reply('```json\n{"name": "Oslo"}\n```')
    assert (await run(agent(City)(ask), "Norway")).output == City(name="Oslo")
