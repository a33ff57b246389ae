"""What people say of a tool: that it may run, as it stands or with other arguments, or that it may not, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias, final

from pydantic import ConfigDict, Field, StrictBool

from swarmlet.engine.people import Answers, register

if TYPE_CHECKING:
    from swarmlet.trace.encode import Encoder

Approves: TypeAlias = "bool | Callable[[dict[str, object]], bool]"
"""Which calls of a tool a person must approve: all of them, or those for whose arguments a function says so."""


@final
@dataclass(frozen=True, slots=True)
class Approve:
    """The tool may run. `True` says the same. `arguments` replace all those that the model wrote."""

    arguments: Annotated[Mapping[str, object] | None, Field(min_length=0)] = None
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@final
@dataclass(frozen=True, slots=True)
class Refuse:
    """The tool does not run, and the model is told the `reason`. `False` says the same, without one."""

    reason: str = ""
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


Verdict: TypeAlias = StrictBool | Approve | Refuse


@cache
def verdicts() -> Answers[Verdict]:
    """The answers that a question about a tool takes."""
    answers: Answers[Verdict] = Answers(Verdict)
    register("", answers)
    return answers


def as_verdict(answer: Verdict) -> Approve | Refuse:
    """An answer in one of two classes."""
    if isinstance(answer, bool):
        return Approve() if answer else Refuse()
    return answer
