"""Replies to mail against a real model: nothing goes out before a person says so, and then once."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples._show import model
from examples.email.__main__ import CHAIRS
from examples.email.flow import reply
from examples.email.outbox import Outbox
from examples.email.shapes import Sent, Thread
from swarmlet import Suspended, Swarm
from tests.examples.real import REAL_MODEL, overlap

pytestmark = REAL_MODEL


async def test_a_reply_waits_for_a_person_and_goes_out_once(tmp_path: Path) -> None:
    outbox, journal = Outbox(tmp_path / "outbox"), tmp_path / "runs.sqlite"
    thread = Thread.model_validate_json(CHAIRS.read_bytes())
    async with Swarm(model=model(), journal=journal) as swarm:
        with pytest.raises(Suspended) as caught:
            await swarm.run(reply, thread)
    assert not outbox.folder.exists()
    assert caught.value.run is not None
    run = caught.value.run.id
    async with Swarm(model=model(), journal=journal, resources={Outbox: outbox}) as swarm:
        await swarm.answer(run, "reply/approve", {"verdict": "send"})
        result = await swarm.resume(run, reply)
    steps = {step.path: step for step in result.trace.steps()}
    assert isinstance(result.output, Sent)
    assert [file.name for file in outbox.folder.iterdir()] == [result.output.file]
    assert overlap(steps["reply/find_facts"], steps["reply/find_question"])
    assert result.usage == caught.value.run.usage
