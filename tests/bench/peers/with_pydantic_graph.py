# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""pydantic-graph, by its builder."""

from itertools import pairwise

import anyio
from pydantic_graph import GraphBuilder, StepContext, TypeExpression, reduce_list_append, reduce_sum


class PydanticGraph:
    """Steps, maps, joins and decisions."""

    @staticmethod
    def running(builder, inputs):
        graph = builder.build()

        async def once():
            return await graph.run(inputs=inputs)

        return once

    async def chain(self, steps):
        builder = GraphBuilder(input_type=int, output_type=int)

        async def increment(ctx: StepContext[None, None, int]) -> int:
            return ctx.inputs + 1

        before = builder.start_node
        for index in range(steps):
            step = builder.step(increment, node_id=f"step{index}")
            builder.add(builder.edge_from(before).to(step))
            before = step
        builder.add(builder.edge_from(before).to(builder.end_node))
        return self.running(builder, 0)

    async def fan(self, steps):
        builder = GraphBuilder(input_type=list[int], output_type=int)

        async def same(ctx: StepContext[None, None, int]) -> int:
            return ctx.inputs

        step = builder.step(same, node_id="same")
        join = builder.join(reduce_sum, initial=0)
        builder.add(
            builder.edge_from(builder.start_node).map().to(step),
            builder.edge_from(step).to(join),
            builder.edge_from(join).to(builder.end_node),
        )
        return self.running(builder, list(range(steps)))

    async def layers(self, depth, width):
        builder = GraphBuilder(input_type=list[int], output_type=int)

        async def largest(ctx: StepContext[None, None, list[int]]) -> int:
            return max(ctx.inputs, default=0) + 1

        async def top(ctx: StepContext[None, None, list[int]]) -> int:
            return max(ctx.inputs)

        before = builder.start_node
        for layer in range(depth):
            row = [builder.step(largest, node_id=f"layer{layer}step{index}") for index in range(width)]
            join = builder.join(reduce_list_append, initial_factory=list[int], node_id=f"join{layer}")
            builder.add(builder.edge_from(before).to(*row), builder.edge_from(*row).to(join))
            before = join
        last = builder.step(top, node_id="top")
        builder.add(builder.edge_from(before).to(last), builder.edge_from(last).to(builder.end_node))
        return self.running(builder, [])

    async def loop(self, rounds):
        builder = GraphBuilder(input_type=int, output_type=int)

        async def count(ctx: StepContext[None, None, int]) -> int:
            return ctx.inputs + 1

        step = builder.step(count, node_id="count")
        again = builder.match(TypeExpression[int], matches=lambda value: value < rounds).to(step)
        done = builder.match(TypeExpression[int]).to(builder.end_node)
        builder.add(
            builder.edge_from(builder.start_node).to(step),
            builder.edge_from(step).to(builder.decision().branch(again).branch(done)),
        )
        return self.running(builder, 0)

    async def diamond(self, long):
        builder = GraphBuilder(input_type=int, output_type=int)

        def waits(name, seconds):
            async def wait(ctx: StepContext[None, None, int]) -> int:
                await anyio.sleep(seconds)
                return 1

            return builder.step(wait, node_id=name)

        first = [waits("left1", long), waits("right1", 0)]
        second = [waits("left2", 0), waits("right2", long)]
        join = builder.join(reduce_sum, initial=0)
        builder.add(
            builder.edge_from(builder.start_node).to(*first),
            *(builder.edge_from(one).to(two) for one, two in zip(first, second, strict=True)),
            builder.edge_from(*second).to(join),
            builder.edge_from(join).to(builder.end_node),
        )
        return self.running(builder, 0)

    async def stages(self, waits):
        builder = GraphBuilder(input_type=list[list[float]], output_type=int)

        def stage(index):
            async def wait(ctx: StepContext[None, None, list[float]]) -> list[float]:
                await anyio.sleep(ctx.inputs[index])
                return ctx.inputs

            return builder.step(wait, node_id=f"stage{index}")

        async def one(ctx: StepContext[None, None, list[float]]) -> int:
            return 1

        steps = [*(stage(index) for index in range(3)), builder.step(one, node_id="one")]
        join = builder.join(reduce_sum, initial=0)
        builder.add(
            builder.edge_from(builder.start_node).map().to(steps[0]),
            *(builder.edge_from(before).to(after) for before, after in pairwise(steps)),
            builder.edge_from(steps[-1]).to(join),
            builder.edge_from(join).to(builder.end_node),
        )
        return self.running(builder, waits)


CONTENDERS = {"pydantic-graph": PydanticGraph}
