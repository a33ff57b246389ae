"""The reply as a value of the declared type.

The schema makes the API hold the model to the type; the value is validated all the same, because servers differ and a schema
cannot say everything (a pattern in a validator, a sum that must match). What does not fit goes back with the reasons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pydantic import ValidationError

from swarmlet.models.base import ReplyFormat
from swarmlet.schema import output_schema

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from swarmlet.schema import OutputSchema

T = TypeVar("T")

_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Output(Generic[T]):
    """How the text of a reply becomes a value. `schema` is `None` for plain text."""

    schema: OutputSchema[T] | None

    @property
    def format(self) -> ReplyFormat | None:
        """What the request says about the reply."""
        if self.schema is None:
            return None
        return ReplyFormat(self.schema.name, self.schema.schema, self.schema.strict)

    def parse(self, text: str) -> T:
        """The value. Raises pydantic's `ValidationError` if the text does not fit.

        JSON in a Markdown fence is taken out of it: small models write that where a server does not force the schema.
        """
        if self.schema is None:
            return cast("T", text)
        fenced = _FENCE.match(text)
        return self.schema.parse(fenced[1] if fenced else text)


def output_of(type_: TypeForm[T]) -> Output[T]:
    """The output of an agent that returns this type. Raises `GraphError` for what no reply can be."""
    return Output(None if type_ is str else output_schema(type_))


def complaint(error: ValidationError, *, whole: str = "the reply", limit: int = 10) -> str:
    """What the model is told about what does not fit: each place in the `whole`, and what is wrong there."""
    lines = [
        f"- {'.'.join(str(part) for part in one['loc']) or whole}: {one['msg']}"
        for one in error.errors(include_url=False, include_context=False, include_input=False)[:limit]
    ]
    more = error.error_count() - len(lines)
    return "\n".join([*lines, *([f"- and {more} more"] if more > 0 else [])])
