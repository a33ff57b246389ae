"""`ask`: how a question to a person becomes a node."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, ForwardRef, ParamSpec, Protocol, TypeVar, cast, final, overload

from swarmlet.engine.context import current
from swarmlet.engine.people import Answers, Form, Misfit, put, register
from swarmlet.errors import GraphError, SwarmletError
from swarmlet.graph.lift import origin_of
from swarmlet.graph.node import Node, step_name
from swarmlet.graph.shape import Leaf
from swarmlet.graph.signature import Signature, describe, signature_of
from swarmlet.graph.source import user_frame, user_line
from swarmlet.policy.checks import is_duration

if TYPE_CHECKING:
    from typing_extensions import TypeForm

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_NONE: Final[Any] = object()  # Any: it stands for a default of every type
"""No default."""


class AskDecorator(Protocol[T_co]):
    """What `@ask(Answer)` decorates with: a function that words a question becomes a node of its parameters."""

    def __call__(self, question: Callable[P, str] | Callable[P, Coroutine[Any, Any, str]], /) -> Node[P, T_co]:
        """Make the node."""
        ...


@overload
def ask(
    answer: TypeForm[T], question: str, /, *, timeout: float | None = None, default: T = _NONE, name: str | None = None
) -> Node[[], T]: ...


@overload
def ask(
    answer: TypeForm[T], /, *, timeout: float | None = None, default: T = _NONE, name: str | None = None
) -> AskDecorator[T]: ...


def ask(
    answer: TypeForm[T],
    question: str | None = None,
    /,
    *,
    timeout: float | None = None,
    default: T = _NONE,
    name: str | None = None,
) -> Node[[], T] | AskDecorator[T]:
    """Make a node of a question to a person: `answer` is the type that comes back, any that pydantic can validate.

    `ask(bool, "Go on?")` asks always the same. `@ask(Decision)` decorates a function, sync or async: its parameters go in, and
    the text that it returns is the question. What is answered is validated; what does not fit is asked again.

    Who answers: the callback of `Swarm(people=)`, the reader of a stream, or whoever calls `swarm.answer`. If nobody is there
    and the swarm has a journal, the run ends with `Suspended` when all else is done; it is answered later, also in another
    process, and goes on by `swarm.resume`. Without a journal the step fails with `Unanswered`.

    `timeout` is in seconds from the first asking, also if the run was suspended meanwhile. After it the answer is `default`;
    without one the step fails with `Unanswered`. `name` is how its steps are called in paths.

    Raises `GraphError` for a type that people cannot be asked for, and for a default that does not fit it.
    """
    asking = _asking(answer, timeout, default)

    if question is not None:
        return cast("Node[[], T]", _constant(answer, asking, question, name))

    def decorate(function: Callable[..., object], /) -> Node[..., T]:
        if not inspect.isroutine(function):
            raise GraphError(f"@ask decorates a function that returns the text of the question, not {describe(function)}")
        signature = replace(signature_of(function), returns=answer)
        made = _Asking(asking.form, function)
        doc = inspect.getdoc(function)
        return cast("Node[..., T]", _node(made, name or function.__name__, signature, origin_of(function), doc))

    return cast("AskDecorator[T]", decorate)


@final
@dataclass(frozen=True)
class _Asking:
    """What a step that asks calls. `form` is the question without its text."""

    form: Form[object]
    question: Callable[..., object] | None = None

    async def __call__(self, *args: object, **kwargs: object) -> object:
        text: object = self.form.text
        if self.question is not None:
            text = self.question(*args, **kwargs)
            text = await text if inspect.isawaitable(text) else text
        if not isinstance(text, str):
            raise SwarmletError(f"the text of a question is a str, not {text!r}")
        return await put(current(), replace(self.form, text=text))


def _asking(answer: object, timeout: object, default: object) -> _Asking:
    line = user_line()
    if inspect.isroutine(answer):
        raise GraphError(f"{line}: @ask needs the type of the answer: write `@ask(bool)`, or a model's class")
    if isinstance(answer, str | ForwardRef):
        raise GraphError(f"{line}: ask({answer!r}) names a type as text; pass the type itself")
    if timeout is not None and not is_duration(timeout):
        raise GraphError(f"{line}: ask(timeout=) is in seconds and must be above 0, not {timeout!r}")
    if default is not _NONE and timeout is None:
        raise GraphError(f"{line}: ask(default=) is the answer after a timeout=, and there is none")
    try:
        answers: Answers[object] = Answers(cast("Any", answer))  # Any: the type is known at run time only
        written = None if default is _NONE else answers.write(default)
    except GraphError as error:
        raise GraphError(f"{line}: {error}") from error
    except Misfit as misfit:
        raise GraphError(f"{line}: ask(default={default!r}): {misfit}") from misfit
    return _Asking(Form(text="", answers=answers, timeout=cast("float | None", timeout), default=written))


def _constant(
    answer: object, asking: _Asking, question: object, name: str | None
) -> Node[..., Any]:  # Any: known to the caller
    if not isinstance(question, str):
        raise GraphError(f"{user_line()}: ask(Answer, question) takes the text of the question, not {question!r}")
    made = _Asking(replace(asking.form, text=question))
    module = str(user_frame().f_globals.get("__name__", "?"))
    return _node(made, name or "ask", Signature((), answer), f"{module}:{name or 'ask'}", question)


def _node(
    asking: _Asking, name: str, signature: Signature, origin: str, doc: str | None
) -> Node[..., Any]:  # Any: the type of the answer is known to the caller
    answers = asking.form.answers
    register(origin, answers)
    return Node(
        name=step_name(name),
        signature=signature,
        shape=Leaf(asking, is_async=True, asks=True, facts=lambda: {"answer": answers.schema}),
        origin=origin,
        doc=doc,
    )
