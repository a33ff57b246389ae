"""The swarm in which mail is answered. `swarmlet resume ... --swarm examples.email.desk:desk` makes the same one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from examples._show import model
from examples.email.outbox import Outbox
from swarmlet import Question, Swarm
from swarmlet.trace.journal import default_path


def desk(people: Callable[[Question], Awaitable[object]] | None = None) -> Swarm:
    """With the journal that `swarmlet inbox` reads, and an outbox in the current folder."""
    return Swarm(model=model(), journal=default_path(), people=people, resources={Outbox: Outbox(Path("outbox"))})
