"""Resources of a subtree: the values by type that `node.with_options(resources=...)` hands to the steps below.

They are the caller's own: nothing records them, and nothing shows more of them than their types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar, cast, final

from swarmlet.errors import GraphError

Kind = TypeVar("Kind", bound=type)
"""The keys of `resources`: a mapping's keys are invariant, so plain `type` would refuse a `dict[type[Database], ...]`."""


@final
class Resources:
    """Values by type, checked. Two of them are never equal, as nobody may compare what is in them."""

    __slots__ = ("by_type",)

    def __init__(self, by_type: Mapping[type, object]) -> None:
        self.by_type: Mapping[type, object] = by_type

    @classmethod
    def of(cls, given: object) -> Resources:
        """What a caller has given. Raises `GraphError` that lists all that is wrong, without a word of the values."""
        if not isinstance(given, Mapping):
            kind = type(given).__name__
            raise GraphError(f"resources= is a mapping of types to values, such as {{Customer: customer}}, and no {kind}")
        pairs = dict(cast("Mapping[object, object]", given))
        if problems := [problem for key, value in pairs.items() for problem in _problems(key, value)]:
            raise GraphError(problems)
        return cls(cast("dict[type, object]", pairs))

    def over(self, around: Resources | None) -> Resources:
        """These, and of other types those `around`."""
        return self if around is None else Resources({**around.by_type, **self.by_type})

    def __str__(self) -> str:
        return ",".join(kind.__name__ for kind in self.by_type)

    def __repr__(self) -> str:
        return f"<resources: {self}>"


def _problems(key: object, value: object) -> Iterator[str]:
    if not isinstance(key, type):
        yield f"a key of resources= is a {type(key).__name__}, and no type"
        return
    is_one, name, given = _is_one(value, key), key.__name__, type(value).__name__
    if not is_one and callable(value):
        yield (
            f"resources[{name}] is a {given}, and no {name}: a node takes values that are there; what opens one goes to "
            "Swarm(resources=), which also closes it"
        )
    elif is_one is False:
        yield f"resources[{name}] is a {given}, and no {name}"


def _is_one(value: object, kind: type) -> bool | None:
    """Whether it is one; `None` where nobody can tell, as for protocols that are not `runtime_checkable`."""
    try:
        return isinstance(value, kind)
    except TypeError:
        return None
