"""One call of a tool: what the record has of it, whether it may run, and what its model is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, final

from swarmlet.agents.clearance import Clearance, after_loss, approval
from swarmlet.engine.step import Unfinished
from swarmlet.errors import ToolError
from swarmlet.trace.encode import to_any_json
from swarmlet.trace.events import ToolEnded, ToolStarted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from swarmlet.agents.recalled import Recalled
    from swarmlet.agents.tools import Tool
    from swarmlet.engine.context import Current
    from swarmlet.models.base import ToolCall
    from swarmlet.trace.events import State


@final
@dataclass(frozen=True)
class ToolUse:
    """A call of a tool, as the model wrote it in one of its turns. `step` is the agent's, `own` what the tool runs in."""

    tools: Mapping[str, Tool]
    call: ToolCall
    turn: int
    step: Current
    own: Current
    past: Recalled | None
    cleared: list[Clearance] = field(default_factory=list[Clearance])
    """What a person has said of it."""

    @cached_property
    def _known(self) -> ToolEnded | bool:
        """How it ended in an earlier process; if that is not known, whether it had begun."""
        return self.past.tool(self.turn, self.call.id) if self.past is not None else False

    @property
    def _tool(self) -> Tool | None:
        return self.tools.get(self.call.name)

    @property
    def _is_lost(self) -> bool:
        """Whether it may have acted on the world, and was running when its process was killed."""
        if self._known is not True or self._tool is None or not self._tool.effects or self.past is None:
            return False
        return not self.past.was_suspended(self.turn, self.call.id)

    @property
    def clear(self) -> Callable[[], Awaitable[None]] | None:
        """Asks a person whether it may run, if somebody must be asked."""
        tool = self._tool
        if tool is None or isinstance(self._known, ToolEnded):
            return None
        if self._is_lost:
            return self._ask_lost if tool.on_lost == "ask" else None
        return self._ask_approval if tool.approve and not self._known else None

    async def run(self) -> str:
        """What the model is told, of an error too. Raises `ToolError` where the tool was told to raise."""
        known, tool = self._known, self._tool
        if isinstance(known, ToolEnded):
            return self._as_recorded(known, tool)
        if self._is_lost and tool is not None and tool.on_lost == "fail":
            raise ToolError(
                f"tool {tool.name!r} was running when its process was killed, and nobody knows whether it has acted"
            )
        clearance = self.cleared[0] if self.cleared else Clearance()
        if clearance.arguments is None:
            clearance = replace(clearance, arguments=self._begun_with)
        if clearance.refusal is not None:
            return clearance.refusal
        return await self._execute(tool, clearance)

    async def _ask_approval(self) -> None:
        assert self._tool is not None  # noqa: S101  # `clear` has looked
        self.cleared.append(await approval(self._tool, self.call.arguments, self.own, fresh=not self._is_recorded))

    async def _ask_lost(self) -> None:
        assert self._tool is not None  # noqa: S101  # as above
        assert self.past is not None  # noqa: S101  # as above
        begun = self.past.begun(self.turn, self.call.id)
        self.cleared.append(await after_loss(self._tool, self._begun_with or self.call.arguments, begun, self.own))

    @property
    def _is_recorded(self) -> bool:
        """Whether the model has asked for it in an earlier process, so that an answer in the record is about this call."""
        return self.past is not None and self.past.has(self.turn)

    @property
    def _begun_with(self) -> str | None:
        """The arguments with which an earlier process began it, if a person had changed them."""
        if self.past is None or self._known is not True:
            return None
        arguments = self.past.arguments(self.turn, self.call.id)
        return None if arguments == self.call.arguments else arguments

    async def _execute(self, tool: Tool | None, clearance: Clearance) -> str:
        arguments = self.call.arguments if clearance.arguments is None else clearance.arguments
        await self._begin(tool, arguments)
        error: ToolError | None = None
        try:
            text = clearance.told(await self._found(tool).call(arguments, self.own))
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

    async def _begin(self, tool: Tool | None, arguments: str) -> None:
        recorder, effects = self.step.recorder, tool is not None and tool.effects
        event = ToolStarted(
            at=recorder.now(),
            path=self.step.path,
            turn=self.turn,
            id=self.call.id,
            tool=self.call.name,
            arguments=recorder.keep(arguments, to_any_json),
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
