"""Whether a call of a tool may run: what people are asked before it does, and after it was lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, final

from pydantic import ValidationError

from swarmlet.agents.approval import Approve, as_verdict, verdicts
from swarmlet.agents.output import complaint
from swarmlet.engine.people import Form, Misfit, arguments_of, put
from swarmlet.errors import ToolError
from swarmlet.models.base import whole_text
from swarmlet.trace.encode import text_of, to_any_json

if TYPE_CHECKING:
    from swarmlet.agents.approval import Verdict
    from swarmlet.agents.tools import Tool
    from swarmlet.engine.context import Current
    from swarmlet.trace.events import ToolStarted


@final
@dataclass(frozen=True, slots=True)
class Clearance:
    """What people, or an earlier process, have made of a call."""

    arguments: str | None = None
    """The arguments to run with, if they are not those that the model wrote."""
    refusal: str | None = None
    """What the model is told instead of a result, if it is not to run."""

    def told(self, result: str) -> str:
        """What the model is told: also that it was not its own arguments that the tool ran with."""
        return result if self.arguments is None else f"(A person has changed the arguments to {self.arguments}.)\n{result}"


async def approval(tool: Tool, written: str, own: Current, *, fresh: bool) -> Clearance:
    """Ask whether the tool may run with the arguments as the model wrote them, if they are such that somebody must be asked.

    `fresh`: no earlier process has asked it.
    """
    if not _needs_approval(tool, written):
        return Clearance()
    form = Form(
        text=f"May {tool.name} run?",
        answers=verdicts(),
        about="approval",
        tool=tool.name,
        arguments=arguments_of(written),
        check=partial(_check_arguments, tool),
    )
    verdict = as_verdict(await put(own, form, fresh=fresh))
    if isinstance(verdict, Approve):
        return _with_arguments(verdict)
    reason = f": {whole_text(verdict.reason)}" if verdict.reason else "."
    return Clearance(refusal=f"Not run, as a person has refused it{reason}")


async def after_loss(tool: Tool, arguments: str, begun: ToolStarted | None, own: Current) -> Clearance:
    """Ask what is to become of a call that had begun when its process was killed."""
    # to the microsecond: if it is lost once more, that is another question
    at = datetime.fromtimestamp(begun.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if begun is not None else "an unknown time"
    form = Form(
        text=(
            f"{tool.name} was running when its process was killed (it began at {at} UTC), and may have acted or not. "
            "Shall it run again, with the same idempotency key? If not: what has happened?"
        ),
        answers=verdicts(),
        about="lost",
        tool=tool.name,
        arguments=arguments_of(arguments),
        check=partial(_check_arguments, tool),
    )
    verdict = as_verdict(await put(own, form))
    if isinstance(verdict, Approve):
        return _with_arguments(verdict)
    happened = f"A person has found out: {whole_text(verdict.reason)}" if verdict.reason else "It is not run again."
    return Clearance(refusal=f"It was running when its process was killed. {happened}")


def _with_arguments(verdict: Approve) -> Clearance:
    return Clearance() if verdict.arguments is None else Clearance(_json(verdict.arguments))


def _json(value: object) -> str:
    return to_any_json(value).decode()


def _needs_approval(tool: Tool, written: str) -> bool:
    """Raises `ToolError` if the function that decides it fails: then the tool does not run."""
    try:
        bound = tool.signature.bind(written)
    except Exception:  # noqa: BLE001  # also a validator of the user's: the model is told what is wrong when it is to run
        return False
    if isinstance(tool.approve, bool):
        return tool.approve
    try:
        return bool(tool.approve(dict(bound.arguments)))
    except Exception as error:
        raise ToolError(f"tool(approve=) failed, so it does not run: {type(error).__name__}: {text_of(error)}") from error


def _check_arguments(tool: Tool, answer: Verdict) -> None:
    """Whether the arguments that a person has written fit the tool."""
    if not isinstance(answer, Approve) or answer.arguments is None:
        return
    try:
        tool.signature.bind(_json(answer.arguments))
    except ValidationError as error:
        raise Misfit(f"the arguments do not fit: {complaint(error, whole='the arguments')}") from error
    except Exception as error:  # a validator of the user's raised what pydantic lets through
        raise Misfit(f"the arguments cannot be read: {type(error).__name__}: {text_of(error)}") from error
