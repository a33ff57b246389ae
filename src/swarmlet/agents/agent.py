"""`@agent`: how a prompt function becomes a node."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ForwardRef, Generic, ParamSpec, Protocol, TypeVar, cast

from swarmlet.agents.output import Output, output_of
from swarmlet.agents.prompt import Prompt, to_messages
from swarmlet.agents.settings import AgentSettings, Truncated
from swarmlet.agents.tools import AnyTool, Tool, nodes_of, tools_of
from swarmlet.engine.context import current
from swarmlet.errors import GraphError
from swarmlet.graph.lift import origin_of
from swarmlet.graph.node import Node, step_name
from swarmlet.graph.shape import Leaf
from swarmlet.graph.signature import Signature, describe, signature_of
from swarmlet.graph.source import user_line
from swarmlet.graph.types import show
from swarmlet.models.base import Message
from swarmlet.policy.options import Options
from swarmlet.trace.encode import to_any_json

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from swarmlet.agents.lists import Lists
    from swarmlet.models.base import ReplyFormat
    from swarmlet.models.fit import Fit

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Agent(Node[P, T_co], Generic[P, T_co]):
    """A node that asks a model. Made by `@agent(Output)`."""

    prompt: Callable[P, Prompt | Awaitable[Prompt]]
    settings: AgentSettings

    def render(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Message, ...]:
        """The messages that these arguments make, without calling a model: for tests and for reading.

        Raises `GraphError` if the prompt function is async; use `render_async`.
        """
        prompt = self.prompt(*args, **kwargs)
        if inspect.iscoroutine(prompt):
            prompt.close()
            raise GraphError(f"the prompt of agent {self.name!r} is async: await {self.name}.render_async(...)")
        return to_messages(self.settings.instructions, cast("Prompt", prompt), self.name)

    async def render_async(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Message, ...]:
        """As `render`, also for async prompt functions."""
        prompt = self.prompt(*args, **kwargs)
        if inspect.isawaitable(prompt):
            prompt = await prompt
        return to_messages(self.settings.instructions, prompt, self.name)


class AgentDecorator(Protocol[T_co]):
    """What `@agent(Output)` decorates with: a prompt function becomes an agent of its parameters."""

    def __call__(self, prompt: Callable[P, Prompt] | Callable[P, Coroutine[Any, Any, Prompt]], /) -> Agent[P, T_co]:
        """Make the agent."""
        ...


def agent(
    output: TypeForm[T],
    /,
    *,
    tools: Sequence[AnyTool] = (),
    model: str | None = None,
    instructions: str | None = None,
    name: str | None = None,
    max_turns: int = 10,
    max_tokens: int = 4096,
    min_tokens: int | None = None,
    repairs: int = 2,
    temperature: float | None = None,
    seed: int | None = None,
    fit: Fit | Sequence[Fit] | None = None,
    window: int | None = None,
    truncated: Truncated = "raise",
    early: bool = False,
) -> AgentDecorator[T]:
    """Make a node of a prompt function: its parameters go in, its text (or messages) goes to a model, `output` comes back.

    The docstring of the function is the instructions (the system message), unless `instructions` are given. `output` is any
    type pydantic can validate; `str` is plain text. A reply that does not fit goes back, `repairs` times at most. `tools` are
    functions, nodes or graphs that the model may call; `max_turns` bounds its replies, `max_tokens` the tokens of each. Where a
    budget leaves less, that cap is lowered, but not below `min_tokens`; without it never. `model` is a name; without it the
    nearest `with_options(model=)` decides, then the swarm's default. `fit` are policies, `DropOldest()` say, that cut a
    conversation which has outgrown the model's window, or the smaller `window` that you give: prompt and `max_tokens` together.
    A reply that reaches `max_tokens` is an error; with `truncated="keep"` a text is taken as it is, cut off. With `early=True`
    an `each` over the output, or a list in it, starts each item as soon as it is written. That is a bet: items that the reply
    has otherwise in the end are stopped and run again, and what was spent is lost; so for steps that change nothing outside.

    Raises `GraphError` for an output type or a tool that the API would refuse.
    """
    _check_numbers(max_turns=max_turns, max_tokens=max_tokens, repairs=repairs, temperature=temperature)
    shape = _shape_of(output, truncated)
    lists, known = _lists_of(output, shape, early=early), tools_of(tools)
    policies, least = _policies_of(fit, window, max_tokens), _least(min_tokens, max_tokens)

    def decorate(prompt: Callable[..., object], /) -> Agent[..., T]:
        told = _told(prompt, instructions)
        settings = AgentSettings(
            instructions=told,
            tools=known,
            output=cast("Output[object]", shape),
            max_turns=max_turns,
            max_tokens=max_tokens,
            min_tokens=least,
            repairs=repairs,
            temperature=temperature,
            seed=seed,
            policies=policies,
            window=window,
            truncated=truncated,
            lists=lists,
            cache_key=_cache_key(origin_of(prompt), told, known, shape.format),
        )
        signature = replace(signature_of(prompt), returns=output)
        return _make(prompt, name or prompt.__name__, signature, Options(model=model), settings)

    return cast("AgentDecorator[T]", decorate)


def _told(prompt: Callable[..., object], instructions: str | None) -> str:
    """The instructions: those that were given, or else the docstring."""
    if not inspect.isroutine(prompt):
        raise GraphError(f"@agent decorates a prompt function, not {describe(prompt)}")
    return (inspect.cleandoc(instructions) if instructions is not None else inspect.getdoc(prompt)) or ""


def _least(least: int | None, most: int) -> int | None:
    if least is not None:
        _check_numbers(min_tokens=least, repairs=0, temperature=None)
        if least > most:
            raise GraphError(f"{user_line()}: agent(min_tokens={least}) is above max_tokens={most}")
    return least


def _check_window(window: int | None, max_tokens: int, policies: Sequence[Fit]) -> None:
    if window is None:
        return
    _check_numbers(window=window, repairs=0, temperature=None)
    if window <= max_tokens:
        raise GraphError(f"{user_line()}: agent(window={window}) leaves no room for a prompt beside max_tokens={max_tokens}")
    if not policies:
        raise GraphError(f"{user_line()}: agent(window={window}) is for what fit= does, so it needs a policy: fit=DropOldest()")


def _shape_of(output: TypeForm[T], truncated: object) -> Output[T]:
    """What a reply must be, if that is something that may be cut off as the agent wants it."""
    _check_output(output)
    shape = output_of(output)
    if truncated not in ("raise", "keep"):
        raise GraphError(f"{user_line()}: agent(truncated=) is 'raise' or 'keep', not {truncated!r}")
    if truncated == "keep" and shape.schema is not None:
        raise GraphError(f"{user_line()}: agent(truncated='keep') is for str; half a {show(output)} would be none")
    return shape


def _cache_key(origin: str, instructions: str, tools: Sequence[Tool], answer: ReplyFormat | None) -> str:
    """A digest of all that every request of the agent begins with; the API takes 64 characters at most."""
    begins = to_any_json([origin, instructions, [tool.definition for tool in tools], answer])
    return f"swarmlet-{blake2b(begins, digest_size=16).hexdigest()}"


def _policies_of(given: Fit | Sequence[Fit] | None, window: int | None, max_tokens: int) -> tuple[Fit, ...]:
    """What an agent is to do with a conversation that is too long. Raises `GraphError` for what is no policy."""
    several = isinstance(given, list | tuple)
    policies = () if given is None else tuple(cast("Sequence[Fit]", given)) if several else (cast("Fit", given),)
    for policy in policies:
        if isinstance(policy, type) or not callable(policy):
            raise GraphError(f"agent(fit=) takes policies such as DropOldest(), not {policy!r}")
    _check_window(window, max_tokens, policies)
    return policies


def _lists_of(output: object, shape: Output[Any], *, early: object) -> Lists | None:  # Any: only its schema is looked at
    """The lists in the output, if their items are to be handed on early."""
    if not isinstance(early, bool):
        raise GraphError(f"{user_line()}: agent(early=) is True or False, not {early!r}")
    if not early:
        return None
    from swarmlet.agents.lists import Lists  # only for who asks

    lists = Lists(output, wrapped=shape.schema is not None and shape.schema.wrapped)
    if not lists.any:
        raise GraphError(f"{user_line()}: agent(early=True) hands on the items of a list, and {show(output)} has none")
    return lists


def _check_output(output: object) -> None:
    line = user_line()
    if inspect.isroutine(output):
        raise GraphError(f"{line}: @agent needs the type that comes back: write `@agent(str)`, or a model's class")
    if isinstance(output, str | ForwardRef):
        raise GraphError(f"{line}: agent({output!r}) names a type as text; pass the type itself")


def _check_numbers(*, repairs: object, temperature: object, **counts: object) -> None:
    for setting, value in {**counts, "repairs": repairs}.items():
        least = 0 if setting == "repairs" else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise GraphError(f"{user_line()}: agent({setting}=) must be a whole number of at least {least}, not {value!r}")
    if temperature is not None and not isinstance(temperature, int | float):
        raise GraphError(f"{user_line()}: agent(temperature=) must be a number, not {temperature!r}")


def _seen_by_models(settings: AgentSettings) -> Mapping[str, object]:
    """The schemas that go to a model, by which a changed agent is told."""
    answer = settings.output.format
    tools = {f"tool {tool.name}": tool.definition.parameters for tool in settings.tools}
    return {"output": None if answer is None else answer.schema, **tools}


def _make(
    prompt: Callable[..., object], name: str, signature: Signature, options: Options, settings: AgentSettings
) -> Agent[..., Any]:  # Any: the output type is known to the caller
    async def call(*args: object, **kwargs: object) -> object:
        from swarmlet.agents.begin import begin  # what makes calls is imported by the first one

        messages = await made.render_async(*args, **kwargs)
        return await begin(current(), settings, messages).run()

    made: Agent[..., Any] = Agent(  # Any: as above
        name=step_name(name),
        signature=signature,
        shape=Leaf(
            call,
            is_async=True,
            retries_itself=True,
            offers=settings.lists is not None,
            calls=settings.turns,
            tools=nodes_of(settings.tools),
            effects=tuple(tool.name for tool in settings.tools if tool.effects),
            facts=partial(_seen_by_models, settings),
        ),
        origin=origin_of(prompt),
        doc=inspect.getdoc(prompt),
        options=options,
    )
    vars(made).update(prompt=prompt, settings=settings)
    return made
