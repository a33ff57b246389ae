"""Reading a source of items for a map: every item in the same task, as generators may hold cancel scopes over their `yield`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, final

import anyio

from swarmlet.engine.frame import END
from swarmlet.engine.stray import stray_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from swarmlet.engine.frame import Frame


@final
class Reader:
    """Reads one source, an item each time that one is wanted."""

    def __init__(self, source: AsyncIterator[object], frame: Frame) -> None:
        self.source = source
        self.frame = frame
        self.wanted: anyio.Event = anyio.Event()

    async def read(self, tell: Callable[[object], None], note: Callable[[str], None]) -> None:
        """Give items to `tell` as they are wanted, until the source ends. Raises what the source raises.

        A generator is closed at the end by this task, whatever happens; what that raises goes to `note`, as it must not cost
        the map its result.
        """
        try:
            while True:
                await self.wanted.wait()
                self.wanted = anyio.Event()
                item = await self._next()
                tell(item)
                if item is END:
                    return
        finally:
            await self._close(note)

    async def _next(self) -> object:
        try:
            return await self.source.__anext__()
        except StopAsyncIteration:
            return END
        except BaseException as error:
            if (failure := stray_cancellation(error)) is None:
                raise
            raise failure from error

    async def _close(self, note: Callable[[str], None]) -> None:
        if not inspect.isasyncgen(self.source):
            return  # whoever made it closes it
        try:
            await self.source.aclose()
        except Exception as error:  # noqa: BLE001  # the map has its result, or its failure
            note(f"closing the source raised {type(error).__name__}: {error}")
        except BaseExceptionGroup as group:  # a task group around the `yield` gives the end of its generator back like this
            if rest := group.split(GeneratorExit)[1]:
                raise rest from None
