"""Runs that are asked for wrongly: an id for other work, an edit that does not fit or is not met, no id, no node."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from swarmlet import GraphChanged, GraphError, StepFailed, Swarm, SwarmletError, graph, node
from swarmlet.trace.events import Noted

pytestmark = pytest.mark.anyio

worked: list[int] = []


@node
def double(number: int) -> int:
    worked.append(number)
    return 2 * number


@node
def add_one(number: int) -> int:
    return number + 1


def plain(number: int) -> int:
    return number


@graph
def both(number: int) -> int:
    return add_one(double(number))


async def test_an_id_names_one_piece_of_work(tmp_path: Path) -> None:
    worked.clear()
    async with Swarm(journal=tmp_path / "j.sqlite") as swarm:
        assert (await swarm.run_as("order-1", both, 3)).output == 7
        assert (await swarm.run_as("order-1", both, 3)).output == 7
        assert (await swarm.run_as("order-1", both, number=3)).output == 7
        with pytest.raises(SwarmletError, match="'order-1' was begun with another 'number'"):
            await swarm.run_as("order-1", both, 4)
        assert (await swarm.resume("order-1", both)).output == 7
    assert worked == [3]


async def test_an_output_that_does_not_fit_its_step_fails_the_fork_and_executes_nothing(tmp_path: Path) -> None:
    worked.clear()
    async with Swarm(journal=tmp_path / "j.sqlite") as swarm:
        run = await swarm.run(both, 3)
        with pytest.raises(StepFailed, match="does not fit int") as caught:
            await swarm.fork(run.id, both, outputs={"both/double": "six"})
        assert (await swarm.fork(run.id, both, outputs={"both/double": 10})).output == 11
    assert caught.value.path == "both/double"
    assert worked == [3]


async def test_an_edit_that_the_fork_does_not_come_to_is_noted(tmp_path: Path) -> None:
    @graph
    def now(number: int) -> int:
        return add_one(number)

    renamed = now.with_options(name="both")
    async with Swarm(journal=tmp_path / "j.sqlite") as swarm:
        run = await swarm.run(both, 3)
        fork = await swarm.fork(run.id, renamed, outputs={"both/double": 10})
    assert fork.output == 4
    notes = [event for event in fork.trace.events if isinstance(event, Noted)]
    assert any(event.path == "both/double" and "has not come to this step" in event.message for event in notes)


async def test_what_is_no_id_no_node_and_no_list_is_refused_in_a_sentence(tmp_path: Path) -> None:
    async with Swarm(journal=tmp_path / "j.sqlite") as swarm:
        run = await swarm.run(both, 3)
        with pytest.raises(GraphError, match="takes the id of a run first"):
            await swarm.resume(cast("Any", 17), both)
        with pytest.raises(GraphError, match=r"resume\(\) takes a node"):
            await swarm.resume(run.id, cast("Any", plain))
        with pytest.raises(GraphError, match=r"resume\(changed=\)"):
            await swarm.resume(run.id, both, changed=cast("Any", "refused"))
        with pytest.raises(GraphError, match="takes a list of paths"):
            await swarm.fork(run.id, both, again="both/double")
        with pytest.raises(GraphError, match="cannot both execute"):
            await swarm.fork(run.id, both, again=["both/double"], outputs={"both/double": 1})
        with pytest.raises(GraphChanged, match="'both', and is now 'double'"):
            await swarm.fork(run.id, double)
