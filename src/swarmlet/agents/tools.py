"""Tools: functions and nodes that the model may call.

What goes wrong in a tool is told to the model by default, because it can often mend its call: a bad argument, an unknown
tool, an exception, a timeout. `on_error="raise"` fails the agent instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from types import EllipsisType
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import anyio
from pydantic import ValidationError

from swarmlet.agents.output import complaint
from swarmlet.agents.signature import tool_signature
from swarmlet.engine.calling import call_async, call_in_thread
from swarmlet.engine.context import current, enter
from swarmlet.engine.stray import stray_cancellation
from swarmlet.errors import GraphError, ToolError
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Leaf
from swarmlet.models.base import ToolDefinition, whole_text
from swarmlet.trace.encode import text_of, to_any_json

if TYPE_CHECKING:
    from swarmlet.agents.approval import Approves
    from swarmlet.agents.signature import ToolSignature
    from swarmlet.engine.context import Current
    from swarmlet.graph.shape import AnyNode
    from swarmlet.policy.options import Scope

OnToolError: TypeAlias = Literal["tell", "raise"]
OnLost: TypeAlias = Literal["ask", "retry", "fail"]
AnyTool: TypeAlias = "Tool | Callable[..., object]"
"""What an agent takes as a tool: a function, a node, or either with settings (`tool(...)`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function or node with the settings under which a model may call it. Made by `tool(...)`."""

    signature: ToolSignature
    target: Callable[..., object]
    timeout: float | None = 60
    on_error: OnToolError = "tell"
    effects: bool = False
    """Whether it acts on the world, so that nothing may run it again of its own accord."""
    on_lost: OnLost = "ask"
    """What becomes of a call with effects that was running when its process was killed."""
    approve: Approves = False
    """Which calls a person must approve before they run."""

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        return self.signature.name

    @property
    def definition(self) -> ToolDefinition:
        """The tool as the model sees it."""
        signature = self.signature
        return ToolDefinition(signature.name, signature.description, signature.schema, signature.strict)

    async def call(self, arguments: str, step: Current) -> str:
        """Call it with arguments as the model wrote them; the text is what the model is told.

        `step` is what `current()` gives inside, one for each call. Raises `ToolError` with a text for the model, and the cause.
        """
        try:
            bound = self.signature.bind(arguments)
        except ValidationError as error:
            raise ToolError(f"the arguments do not fit:\n{complaint(error, whole='the arguments')}") from error
        except Exception as error:  # a validator of the user's raised what pydantic lets through
            raise ToolError(f"the arguments cannot be read: {_reason(error)}") from error
        if self.effects and step.scope.independent:
            raise ToolError("it acts on the world, and this is one of several samples or tries, each of which would act")
        if self.effects:
            step.state.acts(step.path, self.name)
            step.scope = _without_step_retries(step.scope)
        with anyio.move_on_after(self.timeout) as scope:
            try:
                return as_text(await _invoke(self.target, bound, step))
            except Exception as error:
                raise ToolError(_reason(error)) from error
            except BaseException as error:
                if (failure := stray_cancellation(error)) is None:
                    raise
                raise ToolError(str(failure)) from failure
        if scope.cancelled_caught:
            raise ToolError(f"the tool took longer than its {self.timeout:g} s and was given up")
        raise AssertionError("this is a bug in swarmlet: a tool ended without result and without cancellation")


def tool(
    function: Callable[..., object],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | EllipsisType | None = ...,
    on_error: OnToolError = "tell",
    effects: bool = False,
    approve: Approves = False,
    on_lost: OnLost = "ask",
) -> Tool:
    """A function or a node as a tool, with settings.

    Parameters come from its type hints, descriptions from its docstring. An async function runs on the event loop, a sync
    one in a worker thread; a node or a graph runs as a step below the agent's. Inside, `current()` names this one call of
    the tool, so `current().idempotency_key` differs from call to call and what `current().run` starts lies below it; context
    variables that one call sets are not seen by another. `timeout` is in seconds: 60, or for a node that asks people none.
    `on_error="tell"` gives errors to the model as the tool's result, `"raise"` fails the agent.

    `effects=True` says that it acts on the world: sends mail, pays, deletes. An agent that has it cannot be hedged, sampled by
    `vote` or `best`; and once the tool has begun, no step around it is tried again and no fallback that has the same tool is
    run. The model may well call it again.

    `approve=True` has a person asked before each call, with the tool's name and its arguments; a function of the arguments, by
    name, says which calls that is. The answer is `True` or `Approve(...)`, with other arguments if need be, `False` or
    `Refuse(reason)`: then the model is told the reason. What is asked in one turn is asked at once, and other tools go on.

    `on_lost` is for a tool with effects that was running when its process was killed: nobody knows whether it has acted. When
    the run is resumed, `"ask"` asks a person: `True` or `Approve(...)` runs it again, with the same
    `current().idempotency_key`, and `Refuse(reason)` tells the model what has really happened. `"retry"` runs it again without
    asking, for what acts once for each key. `"fail"` fails the agent.

    Raises `GraphError` for a signature that the API would refuse.
    """
    is_node = isinstance(cast("object", function), Node)
    if isinstance(timeout, EllipsisType):
        timeout = None if is_node and _asks(cast("AnyNode", function)) else 60
    if timeout is not None and not timeout > 0:
        raise GraphError(f"tool(timeout=) is in seconds and must be above 0, not {timeout!r}")
    if on_lost not in ("ask", "retry", "fail"):
        raise GraphError(f"tool(on_lost=) is 'ask', 'retry' or 'fail', not {on_lost!r}")
    if not isinstance(cast("object", approve), bool) and not callable(approve):
        raise GraphError(f"tool(approve=) is True, or a function of the arguments that gives True or False, not {approve!r}")
    if on_error not in ("tell", "raise"):
        raise GraphError(f"tool(on_error=) is 'tell' or 'raise', not {on_error!r}")
    if not isinstance(cast("object", effects), bool):
        raise GraphError(f"tool(effects=) is True or False, not {effects!r}")
    if effects and is_node:
        _check_retry(cast("AnyNode", function))
    facade = _facade(cast("AnyNode", function)) if is_node else function
    signature = tool_signature(facade, name=name, description=description)
    return Tool(
        signature=signature,
        target=function,
        timeout=timeout,
        on_error=on_error,
        effects=effects,
        approve=approve,
        on_lost=on_lost,
    )


def tools_of(given: Sequence[AnyTool]) -> tuple[Tool, ...]:
    """The tools of an agent. Raises `GraphError` for two of one name."""
    tools = tuple(one if isinstance(one, Tool) else tool(one) for one in given)
    names = [one.name for one in tools]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise GraphError(f"two tools of the agent are both named {doubled[0]!r}: give one of them tool(..., name=)")
    return tools


def nodes_of(tools: Sequence[Tool]) -> tuple[AnyNode, ...]:
    """Those of the tools that are nodes."""
    return tuple(cast("AnyNode", one.target) for one in tools if isinstance(cast("object", one.target), Node))


def as_text(value: object) -> str:
    """A tool's result as the model reads it: text as it is, anything else as JSON."""
    return whole_text(value) if isinstance(value, str) else to_any_json(value).decode()


async def _invoke(target: Callable[..., object], bound: inspect.BoundArguments, step: Current) -> object:
    if isinstance(target, Node):
        return await step.start(cast("AnyNode", target), bound.args, bound.kwargs, step.path)
    context = copy_context()
    context.run(enter, step)
    call = partial(target, *bound.args, **bound.kwargs)
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None)):  # noqa: B004
        return await call_async(call, context)
    return await call_in_thread(call, context, partial(_note_left, getattr(target, "__name__", repr(target))))


def _asks(node: AnyNode) -> bool:
    """Whether a question to a person stands in a node: then nobody knows how long it takes."""
    seen: set[int] = set()
    stack = [node]
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        stack += [part.node for part in one.shape.parts()]
        if isinstance(one.shape, Leaf):
            if one.shape.asks:
                return True
            stack += one.shape.tools
        if one.options.fallback is not None:
            stack.append(cast("AnyNode", one.options.fallback))
    return False


def _check_retry(node: AnyNode) -> None:
    """Refuse a node that could never be tried again as its policy says, because it has effects."""
    shape, retry = node.shape, node.options.retry
    if isinstance(shape, Leaf) and not shape.retries_itself and retry is not None and retry.on != ():
        raise GraphError(
            f"tool({node.name}, effects=True): what acts on the world is not tried again, so its retry= never applies"
        )


def _without_step_retries(scope: Scope) -> Scope:
    """The scope under a tool with effects: policies from outside do not repeat its parts, only its model calls."""
    retry = scope.retry
    return scope if retry is None or retry.on == () else replace(scope, retry=replace(retry, on=()))


def _note_left(name: str) -> None:
    from swarmlet.trace.events import Noted

    step = current()  # the agent's, under which its tools' events are
    message = f"tool {name!r} was left while it ran in a thread: threads cannot be stopped, so it runs on"
    step.recorder.emit(Noted(at=step.recorder.now(), path=step.path, message=message))


def _facade(node: AnyNode) -> Callable[..., object]:
    """A function with the node's signature, for reading tools' parameters."""

    def facade(*_: object, **__: object) -> object:
        raise NotImplementedError

    facade.__name__ = facade.__qualname__ = node.name
    facade.__doc__ = node.__doc__ or (inspect.getdoc(node.shape.call) if isinstance(node.shape, Leaf) else None)
    facade.__annotations__ = {parameter.name: parameter.annotation for parameter in node.signature.parameters}
    facade.__signature__ = inspect.Signature(node.signature.parameters)  # type: ignore[attr-defined]
    return facade


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    return whole_text(": ".join(filter(None, (type(cause).__name__, text_of(cause)))))
