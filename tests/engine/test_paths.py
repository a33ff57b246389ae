"""Every step has a path of its own, and whatever fails has one."""

from __future__ import annotations

import anyio
import pytest

from swarmlet import StepsFailed, cascade, current, node, vote
from tests.engine.random_nodes import Boom, IntNode
from tests.engine.random_runs import begin, started, virtually


async def child(of: IntNode, value: int) -> None:
    await current().run(of, value)


def test_a_judge_that_is_called_like_a_rung_has_paths_of_its_own() -> None:
    @node
    async def accept(value: int) -> int:
        return value

    @node
    async def last(value: int) -> int:
        return value

    def never(value: int) -> bool:
        return False

    async def main() -> list[str]:
        running = begin(cascade(vote(accept, of=3), last, accept=node(never, name="accept")), 1)
        await running.execute()
        return started(running)

    paths = virtually(main)
    assert len(set(paths)) == len(paths)


def test_several_children_of_the_only_step_that_fail_are_one_error_with_a_path() -> None:
    @node
    async def broken(value: int) -> int:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)  # the other one fails too, though it is told to stop
        raise Boom

    @node
    async def parent(value: int) -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(child, broken, 1)
            group.start_soon(child, broken, 2)
        return value

    async def main() -> object:
        return await begin(parent, 1).execute()

    with pytest.raises(StepsFailed) as caught:
        virtually(main)
    assert caught.value.path == "parent"
    assert {getattr(one, "path", None) for one in caught.value.exceptions} == {"parent/broken", "parent/broken~2"}
