"""Run a coroutine in a context of its own without a task of its own.

Steps that follow one another are executed by the same task, because a task a step costs several times the step. Their
context variables must not leak from one to the next all the same, so each coroutine is driven in its own copied context.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from contextvars import Context

T = TypeVar("T")


@coroutine
def in_context(context: Context, steps: Coroutine[Any, Any, T], *wishes: Any) -> Generator[Any, Any, T]:
    """Await `steps` with `context` as the current context. `wishes`: what it waits for, if it was begun."""
    result: Any = None  # Any, as above: what the event loop sends and is sent, which is its own business
    thrown: BaseException | None = None
    begun = bool(wishes)
    while True:
        if begun:
            wish, begun = wishes[0], False
        else:
            try:
                wish = context.run(steps.send, result) if thrown is None else context.run(steps.throw, thrown)
            except StopIteration as stop:
                value: T = stop.value
                return value
        try:
            result, thrown = (yield wish), None
        except GeneratorExit:
            context.run(steps.close)
            raise
        except BaseException as error:  # noqa: BLE001  # thrown in by the event loop: it belongs to the coroutine
            thrown = error
