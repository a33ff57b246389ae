# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""Haystack pipelines, run asynchronously without a bound on concurrency."""

import anyio
from haystack import Pipeline, component
from haystack.core.component.types import Variadic

MANY = 100_000


@component
class Increment:
    @component.output_types(value=int)
    def run(self, value: int):
        return {"value": value + 1}

    @component.output_types(value=int)
    async def run_async(self, value: int):
        return {"value": value + 1}


@component
class Same:
    def __init__(self, number: int):
        self.number = number

    @component.output_types(value=int)
    def run(self, start: int):
        return {"value": self.number}

    @component.output_types(value=int)
    async def run_async(self, start: int):
        return {"value": self.number}


@component
class Largest:
    @component.output_types(value=int)
    def run(self, values: Variadic[int]):
        return {"value": max(values) + 1}

    @component.output_types(value=int)
    async def run_async(self, values: Variadic[int]):
        return {"value": max(values) + 1}


@component
class Total:
    @component.output_types(value=int)
    def run(self, values: Variadic[int]):
        return {"value": sum(values)}


@component
class Top:
    @component.output_types(value=int)
    def run(self, values: Variadic[int]):
        return {"value": max(values)}


@component
class Count:
    def __init__(self, rounds: int):
        self.rounds = rounds

    @component.output_types(again=int, done=int)
    def run(self, values: Variadic[int]):
        value = max(values) + 1
        return {"again": value} if value < self.rounds else {"done": value}


@component
class Relay:
    @component.output_types(value=int)
    def run(self, value: int):
        return {"value": value}


@component
class Wait:
    def __init__(self, seconds: float):
        self.seconds = seconds

    @component.output_types(value=int)
    def run(self, value: int):
        raise NotImplementedError

    @component.output_types(value=int)
    async def run_async(self, value: int):
        await anyio.sleep(self.seconds)
        return {"value": 1}


class Haystack:
    """Pipelines."""

    @staticmethod
    def running(pipeline, data, last, output="value"):
        async def once():
            return (await pipeline.run_async(data, concurrency_limit=MANY))[last][output]

        return once

    async def chain(self, steps):
        pipeline = Pipeline()
        for index in range(steps):
            pipeline.add_component(f"step{index}", Increment())
            if index:
                pipeline.connect(f"step{index - 1}.value", f"step{index}.value")
        return self.running(pipeline, {"step0": {"value": 0}}, f"step{steps - 1}")

    async def fan(self, steps):
        pipeline = Pipeline()
        pipeline.add_component("join", Total())
        for index in range(steps):
            pipeline.add_component(f"step{index}", Same(index))
            pipeline.connect(f"step{index}.value", "join.values")
        return self.running(pipeline, {f"step{index}": {"start": 0} for index in range(steps)}, "join")

    async def layers(self, depth, width):
        pipeline = Pipeline()
        before = []
        for layer in range(depth):
            names = [f"layer{layer}step{index}" for index in range(width)]
            for name in names:
                pipeline.add_component(name, Largest())
                for one in before:
                    pipeline.connect(f"{one}.value", f"{name}.values")
            before = names
        pipeline.add_component("top", Top())
        for one in before:
            pipeline.connect(f"{one}.value", "top.values")
        return self.running(pipeline, {f"layer0step{index}": {"values": 0} for index in range(width)}, "top")

    async def loop(self, rounds):
        pipeline = Pipeline(max_runs_per_component=rounds + 1)
        pipeline.add_component("count", Count(rounds))
        pipeline.add_component("relay", Relay())  # a component cannot be connected to itself
        pipeline.connect("count.again", "relay.value")
        pipeline.connect("relay.value", "count.values")
        return self.running(pipeline, {"count": {"values": 0}}, "count", "done")

    async def diamond(self, long):
        pipeline = Pipeline()
        pipeline.add_component("join", Total())
        for side, first, second in (("left", long, 0), ("right", 0, long)):
            pipeline.add_component(f"{side}1", Wait(first))
            pipeline.add_component(f"{side}2", Wait(second))
            pipeline.connect(f"{side}1.value", f"{side}2.value")
            pipeline.connect(f"{side}2.value", "join.values")
        return self.running(pipeline, {"left1": {"value": 0}, "right1": {"value": 0}}, "join")

    async def stages(self, waits):
        pipeline = Pipeline()
        pipeline.add_component("join", Total())
        data = {}
        for item, seconds in enumerate(waits):
            for stage, one in enumerate(seconds):
                pipeline.add_component(f"item{item}stage{stage}", Wait(one))
                if stage:
                    pipeline.connect(f"item{item}stage{stage - 1}.value", f"item{item}stage{stage}.value")
            pipeline.connect(f"item{item}stage2.value", "join.values")
            data[f"item{item}stage0"] = {"value": 0}
        return self.running(pipeline, data, "join")


CONTENDERS = {"Haystack": Haystack}
