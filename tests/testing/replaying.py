"""Agents whose runs are recorded and replayed, and shorthands for doing so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio
from pydantic import BaseModel

from swarmlet import Node, OpenAIModel, Run, StepFailed, Swarm, agent
from swarmlet.errors import NotRecorded
from swarmlet.testing import Recording, Replay, ScriptedServer

P = ParamSpec("P")
T = TypeVar("T")


class City(BaseModel):
    name: str


def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}."


@agent(str)
def say(text: str) -> str:
    """You answer."""
    return text


@agent(City)
def capital(country: str) -> str:
    """You know capitals."""
    return f"The capital of {country}?"


@agent(str, tools=[weather])
def forecast(city: str) -> str:
    """You tell the weather."""
    return city


def model_at(server: ScriptedServer, name: str = "gpt-4o-mini") -> OpenAIModel:
    return OpenAIModel(name, base_url=server.base_url, api_key=server.api_key)


async def run_on(server: ScriptedServer, node: Node[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Run[T]:
    with anyio.fail_after(30):
        async with Swarm(model=model_at(server)) as swarm:
            return await swarm.run(node, *args, **kwargs)


def not_recorded(error: StepFailed) -> NotRecorded:
    """The cause of a step's failure, which must be that its call was not recorded."""
    assert isinstance(error.__cause__, NotRecorded)
    return error.__cause__


@dataclass
class Asked:
    """What a run costs and gives: all of it that has to be the same again."""

    output: object
    usage: object


def of(run: Run[T]) -> Asked:
    return Asked(run.output, run.usage)


def lines_of(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


async def outputs_of(replaying: Replay, node: Node[[str], T], *inputs: str) -> list[T]:
    """What the runs of a node give in a replay, one after another."""
    async with replaying as swarm:
        return [(await swarm.run(node, one)).output for one in inputs]


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def replies_in(path: Path) -> list[str]:
    return [call.reply.text for call in Recording.read(path).calls if call.reply]
