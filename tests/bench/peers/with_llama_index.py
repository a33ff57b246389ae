# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""LlamaIndex Workflows: a step for each event."""

import anyio
from workflows import Context, Workflow, step
from workflows.events import Event, StartEvent, StopEvent


class Value(Event):
    value: int


class Result(Event):
    value: int


class Item(Event):
    waits: list


def running(workflow, **inputs):
    async def once():
        return await workflow.run(**inputs)

    return once


def made(steps):
    """A workflow class of these step functions."""
    return type("Made", (Workflow,), dict(steps))(timeout=None)


def annotated(function, takes, gives):
    """A step: what it takes and gives is read from its annotations."""
    function.__annotations__ = {"ctx": Context, "ev": takes, "return": gives}
    return function


class LlamaIndex:
    """Workflows."""

    async def chain(self, steps):
        kinds = [StartEvent, *(type(f"Value{index}", (Value,), {}) for index in range(1, steps)), StopEvent]

        def one(index):
            async def increment(self, ctx, ev):
                value = ev.value + 1
                return StopEvent(result=value) if index == steps - 1 else kinds[index + 1](value=value)

            increment.__name__, increment.__qualname__ = f"step{index}", f"Made.step{index}"
            return step(annotated(increment, kinds[index], kinds[index + 1]))

        return running(made({f"step{index}": one(index) for index in range(steps)}), value=0)

    async def fan(self, steps):
        class Fan(Workflow):
            @step
            async def start(self, ctx: Context, ev: StartEvent) -> Value | None:
                for value in range(steps):
                    ctx.send_event(Value(value=value))

            @step(num_workers=steps)
            async def same(self, ctx: Context, ev: Value) -> Result:
                return Result(value=ev.value)

            @step
            async def join(self, ctx: Context, ev: Result) -> StopEvent | None:
                results = ctx.collect_events(ev, [Result] * steps)
                return None if results is None else StopEvent(result=sum(one.value for one in results))

        return running(Fan(timeout=None))

    async def layers(self, depth, width):
        class Layers(Workflow):
            @step
            async def start(self, ctx: Context, ev: StartEvent) -> Value | None:
                for _ in range(width):
                    ctx.send_event(Value(value=0))

            @step(num_workers=width)
            async def larger(self, ctx: Context, ev: Value) -> Result:
                return Result(value=ev.value + 1)

            @step
            async def join(self, ctx: Context, ev: Result) -> Value | StopEvent | None:
                results = ctx.collect_events(ev, [Result] * width)
                if results is None:
                    return None
                top = max(one.value for one in results)
                if top == depth:
                    return StopEvent(result=top)
                for _ in range(width):
                    ctx.send_event(Value(value=top))
                return None

        return running(Layers(timeout=None))

    async def loop(self, rounds):
        class Loop(Workflow):
            @step
            async def start(self, ctx: Context, ev: StartEvent) -> Value:
                return Value(value=0)

            @step
            async def count(self, ctx: Context, ev: Value) -> Value | StopEvent:
                value = ev.value + 1
                return Value(value=value) if value < rounds else StopEvent(result=value)

        return running(Loop(timeout=None))

    async def diamond(self, long):
        class Left(Event):
            pass

        class Right(Event):
            pass

        class LeftDone(Event):
            pass

        class RightDone(Event):
            pass

        class Diamond(Workflow):
            @step
            async def left1(self, ctx: Context, ev: StartEvent) -> Left:
                await anyio.sleep(long)
                return Left()

            @step
            async def right1(self, ctx: Context, ev: StartEvent) -> Right:
                return Right()

            @step
            async def left2(self, ctx: Context, ev: Left) -> LeftDone:
                return LeftDone()

            @step
            async def right2(self, ctx: Context, ev: Right) -> RightDone:
                await anyio.sleep(long)
                return RightDone()

            @step
            async def join(self, ctx: Context, ev: LeftDone | RightDone) -> StopEvent | None:
                both = ctx.collect_events(ev, [LeftDone, RightDone])
                return None if both is None else StopEvent(result=len(both))

        return running(Diamond(timeout=None))

    async def stages(self, waits):
        class First(Item):
            pass

        class Second(Item):
            pass

        class Third(Item):
            pass

        class Stages(Workflow):
            @step
            async def start(self, ctx: Context, ev: StartEvent) -> First | None:
                for one in waits:
                    ctx.send_event(First(waits=one))

            @step(num_workers=100)
            async def first(self, ctx: Context, ev: First) -> Second:
                await anyio.sleep(ev.waits[0])
                return Second(waits=ev.waits)

            @step(num_workers=100)
            async def second(self, ctx: Context, ev: Second) -> Third:
                await anyio.sleep(ev.waits[1])
                return Third(waits=ev.waits)

            @step(num_workers=100)
            async def third(self, ctx: Context, ev: Third) -> Result:
                await anyio.sleep(ev.waits[2])
                return Result(value=1)

            @step
            async def join(self, ctx: Context, ev: Result) -> StopEvent | None:
                results = ctx.collect_events(ev, [Result] * len(waits))
                return None if results is None else StopEvent(result=len(results))

        return running(Stages(timeout=None))


CONTENDERS = {"LlamaIndex Workflows": LlamaIndex}
