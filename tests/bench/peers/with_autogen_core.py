# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""AutoGen core: messages to agents on its runtime; what runs side by side is written with `asyncio.gather`."""

import asyncio
from dataclasses import dataclass

import anyio
from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler


@dataclass
class Value:
    value: int


@dataclass
class Values:
    values: list[int]


@dataclass
class Seconds:
    seconds: float


class Worker(RoutedAgent):
    def __init__(self) -> None:
        super().__init__("A worker.")

    @message_handler
    async def increment(self, message: Value, ctx: MessageContext) -> Value:
        return Value(message.value + 1)

    @message_handler
    async def largest(self, message: Values, ctx: MessageContext) -> Value:
        return Value(max(message.values, default=0) + 1)

    @message_handler
    async def wait(self, message: Seconds, ctx: MessageContext) -> Value:
        await anyio.sleep(message.seconds)
        return Value(1)


class AutoGen:
    """One runtime; an agent for each step."""

    async def started(self):
        runtime = SingleThreadedAgentRuntime()
        await Worker.register(runtime, "worker", Worker)
        runtime.start()

        async def send(message, key):
            return (await runtime.send_message(message, AgentId("worker", str(key)))).value

        return send

    async def chain(self, steps):
        send = await self.started()

        async def once():
            value = 0
            for index in range(steps):
                value = await send(Value(value), index)
            return value

        return once

    async def fan(self, steps):
        send = await self.started()

        async def once():
            return sum(await asyncio.gather(*(send(Value(index - 1), index) for index in range(steps))))

        return once

    async def layers(self, depth, width):
        send = await self.started()

        async def once():
            row = []
            for layer in range(depth):
                row = await asyncio.gather(*(send(Values(row), f"{layer}-{index}") for index in range(width)))
            return max(row)

        return once

    async def loop(self, rounds):
        send = await self.started()

        async def once():
            value = 0
            while value < rounds:
                value = await send(Value(value), "count")
            return value

        return once

    async def diamond(self, long):
        return await self.stages([[long, 0], [0, long]])

    async def stages(self, waits):
        send = await self.started()

        async def item(number, seconds):
            for stage, one in enumerate(seconds):
                await send(Seconds(one), f"{number}-{stage}")
            return 1

        async def once():
            return sum(await asyncio.gather(*(item(number, seconds) for number, seconds in enumerate(waits))))

        return once


CONTENDERS = {"AutoGen core": AutoGen}
