"""One call of a tool: what the record has of it, whether it may run, and what its model is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from swarmlet.engine.step import Unfinished
from swarmlet.errors import ToolError
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import ToolEnded, ToolStarted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swarmlet.agents.recalled import Recalled
    from swarmlet.agents.tools import Tool
    from swarmlet.engine.context import Current
    from swarmlet.models.base import ToolCall
    from swarmlet.trace.events import State


@final
@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool, as the model wrote it in one of its turns. `step` is the agent's, `own` what the tool runs in."""

    tools: Mapping[str, Tool]
    call: ToolCall
    turn: int
    step: Current
    own: Current
    past: Recalled | None

    async def run(self) -> str:
        """What the model is told, of an error too. Raises `ToolError` where the tool was told to raise."""
        tool = self.tools.get(self.call.name)
        known = self.past.tool(self.turn, self.call.id) if self.past is not None else False
        if isinstance(known, ToolEnded):
            return self._as_recorded(known, tool)
        if known and tool is not None and tool.effects:
            self._check_lost(tool)
        return await self._execute(tool)

    async def _execute(self, tool: Tool | None) -> str:
        await self._begin(tool)
        error: ToolError | None = None
        try:
            text = await self._found(tool).call(self.call.arguments, self.own)
        except ToolError as failure:
            error, text = failure, f"Error: {failure}"
        except Exception as failure:
            self._end("failed", None, failure)
            raise
        except BaseException as stop:
            self._end("suspended" if isinstance(stop, Unfinished) else "cancelled", None, None)
            raise
        self._end("failed" if error else "finished", text, error)
        if tool is not None and tool.effects:
            await self.step.state.durable()  # it is never done again
        if error is not None and tool is not None and tool.on_error == "raise":
            raise ToolError(f"tool {self.call.name!r} failed: {error}") from (error.__cause__ or error)
        return text

    async def _begin(self, tool: Tool | None) -> None:
        recorder, effects = self.step.recorder, tool is not None and tool.effects
        event = ToolStarted(
            at=recorder.now(),
            path=self.step.path,
            turn=self.turn,
            id=self.call.id,
            tool=self.call.name,
            arguments=recorder.keep(self.call.arguments, to_any_json),
            effects=effects,
        )
        recorder.emit(event)
        if effects:
            await self.step.state.durable()  # whoever goes on after a kill must know that it may have acted

    def _end(self, state: State, text: str | None, error: Exception | None) -> None:
        recorder = self.step.recorder
        event = ToolEnded(
            at=recorder.now(),
            path=self.step.path,
            turn=self.turn,
            id=self.call.id,
            tool=self.call.name,
            state=state,
            result=None if text is None else recorder.keep(text, to_any_json),
            error=recorder.fault(error) if error else None,
        )
        recorder.emit(event)

    def _found(self, tool: Tool | None) -> Tool:
        if tool is None:
            known = ", ".join(sorted(self.tools)) or "none"
            raise ToolError(f"there is no tool {self.call.name!r}; there are: {known}")
        return tool

    def _as_recorded(self, ended: ToolEnded, tool: Tool | None) -> str:
        text = self.past.text(ended) if self.past is not None else ""
        if ended.state == "failed" and tool is not None and tool.on_error == "raise":
            raise ToolError(f"tool {self.call.name!r} failed: {text.removeprefix('Error: ')}")
        return text

    def _check_lost(self, tool: Tool) -> None:
        """It acts on the world, and was running when its process was killed."""
        if tool.on_lost == "retry":
            return
        raise ToolError(
            f"tool {tool.name!r} was running when its process was killed, and nobody knows whether it has acted; "
            "tool(on_lost='retry') runs it again with the same idempotency key"
        )
