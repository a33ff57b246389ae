"""What people say of a tool: that it may run, as it stands or with other arguments, or that it may not, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar, TypeAlias, final

from pydantic import BeforeValidator, ConfigDict, StrictBool

from swarmlet.engine.people import Answers

Approves: TypeAlias = "bool | Callable[[dict[str, object]], bool]"
"""Which calls of a tool a person must approve: all of them, or those for whose arguments a function says so."""


@final
@dataclass(frozen=True, slots=True)
class Approve:
    """The tool may run. `True` says the same. `arguments` replace all those that the model wrote."""

    arguments: Mapping[str, object] | None = None
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@final
@dataclass(frozen=True, slots=True)
class Refuse:
    """The tool does not run, and the model is told the `reason`. `False` says the same, without one."""

    reason: str = ""
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def _says_something(answer: object) -> object:
    if answer == {}:
        raise ValueError("{} is neither an approval nor a refusal: answer true, false, or with arguments or a reason")
    return answer


Verdict: TypeAlias = StrictBool | Approve | Refuse


@cache
def verdicts() -> Answers[Verdict]:
    """The answers that a question about a tool takes."""
    return Answers(Annotated[Verdict, BeforeValidator(_says_something)])


def as_verdict(answer: Verdict) -> Approve | Refuse:
    """An answer in one of two classes."""
    if isinstance(answer, bool):
        return Approve() if answer else Refuse()
    return answer
