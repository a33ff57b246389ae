# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""Microsoft Agent Framework: workflows of executors."""

from typing import Never

import anyio
from agent_framework import Executor, WorkflowBuilder, WorkflowContext, handler

MANY = 100_000
AT_ONCE = 1_000
"""A workflow runs once at a time, so as many are built beforehand as run at once."""


class Increment(Executor):
    def __init__(self, name: str, last: bool):
        super().__init__(id=name)
        self._last = last

    @handler
    async def handle(self, value: int, ctx: WorkflowContext[int, int]) -> None:
        await (ctx.yield_output if self._last else ctx.send_message)(value + 1)


class Start(Executor):
    @handler
    async def handle(self, value: int, ctx: WorkflowContext[int]) -> None:
        await ctx.send_message(value)


class Same(Executor):
    def __init__(self, name: str, number: int):
        super().__init__(id=name)
        self._number = number

    @handler
    async def handle(self, value: int, ctx: WorkflowContext[int]) -> None:
        await ctx.send_message(self._number)


class Larger(Executor):
    @handler
    async def first(self, value: int, ctx: WorkflowContext[int]) -> None:
        await ctx.send_message(value + 1)

    @handler
    async def handle(self, values: list[int], ctx: WorkflowContext[int]) -> None:
        await ctx.send_message(max(values) + 1)


class Total(Executor):
    @handler
    async def handle(self, values: list[int], ctx: WorkflowContext[Never, int]) -> None:
        await ctx.yield_output(sum(values))


class Top(Executor):
    @handler
    async def handle(self, values: list[int], ctx: WorkflowContext[Never, int]) -> None:
        await ctx.yield_output(max(values))


class Count(Executor):
    def __init__(self, name: str, rounds: int):
        super().__init__(id=name)
        self._rounds = rounds

    @handler
    async def handle(self, value: int, ctx: WorkflowContext[int, int]) -> None:
        await (ctx.send_message if value + 1 < self._rounds else ctx.yield_output)(value + 1)


class Wait(Executor):
    def __init__(self, name: str, seconds: float):
        super().__init__(id=name)
        self._seconds = seconds

    @handler
    async def handle(self, value: int, ctx: WorkflowContext[int]) -> None:
        await anyio.sleep(self._seconds)
        await ctx.send_message(1)


class AgentFramework:
    """Workflows."""

    @staticmethod
    def running(build, count=1):
        free = [build() for _ in range(count)]

        async def once():
            workflow = free.pop()
            result = (await workflow.run(0)).get_outputs()[0]
            free.append(workflow)
            return result

        return once

    async def chain(self, steps):
        def build():
            executors = [Increment(f"step{index}", index == steps - 1) for index in range(steps)]
            return WorkflowBuilder(MANY, start_executor=executors[0]).add_chain(executors).build()

        return self.running(build, AT_ONCE if steps == 10 else 1)

    async def fan(self, steps):
        def build():
            start, row, join = Start("start"), [Same(f"step{index}", index) for index in range(steps)], Total("join")
            builder = WorkflowBuilder(MANY, start_executor=start)
            return builder.add_fan_out_edges(start, row).add_fan_in_edges(row, join).build()

        return self.running(build)

    async def layers(self, depth, width):
        def build():
            start, top = Start("start"), Top("top")
            builder = WorkflowBuilder(MANY, start_executor=start)
            before = []
            for layer in range(depth):
                row = [Larger(f"layer{layer}step{index}") for index in range(width)]
                if not before:
                    builder.add_fan_out_edges(start, row)
                for one in row if before else ():
                    builder.add_fan_in_edges(before, one)
                before = row
            return builder.add_fan_in_edges(before, top).build()

        return self.running(build)

    async def loop(self, rounds):
        def build():
            count = Count("count", rounds)
            return WorkflowBuilder(MANY, start_executor=count).add_edge(count, count).build()

        return self.running(build)

    async def diamond(self, long):
        def build():
            start, join = Start("start"), Total("join")
            first = [Wait("left1", long), Wait("right1", 0)]
            second = [Wait("left2", 0), Wait("right2", long)]
            builder = WorkflowBuilder(MANY, start_executor=start).add_fan_out_edges(start, first)
            for one, two in zip(first, second, strict=True):
                builder.add_edge(one, two)
            return builder.add_fan_in_edges(second, join).build()

        return self.running(build)

    async def stages(self, waits):
        def build():
            start, join = Start("start"), Total("join")
            rows = [[Wait(f"item{item}stage{stage}", one) for stage, one in enumerate(all_)] for item, all_ in enumerate(waits)]
            builder = WorkflowBuilder(MANY, start_executor=start).add_fan_out_edges(start, [row[0] for row in rows])
            for row in rows:
                builder.add_chain(row)
            return builder.add_fan_in_edges([row[-1] for row in rows], join).build()

        return self.running(build)


CONTENDERS = {"MS Agent Framework": AgentFramework}
