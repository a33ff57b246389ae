"""What a swarm is made with: checked when it is made, opened when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import cast

from swarmlet.errors import GraphError
from swarmlet.policy.breaker import Breaker
from swarmlet.policy.budget import Budget
from swarmlet.policy.limits import Limits


def check_spending(budget: object, cache: object, breaker: object) -> None:
    """Raise `GraphError` for what bounds no spending."""
    if budget is not None and not isinstance(budget, Budget):
        raise GraphError(f"Swarm(budget=) takes a Budget, such as Budget(usd='5'), not {budget!r}")
    if isinstance(budget, Budget) and budget.seconds is not None:
        raise GraphError("Swarm(budget=) counts over all runs, and has no seconds: with_options(timeout=) bounds a node's time")
    if cache is not None and (isinstance(cache, type) or not hasattr(cache, "put")):
        raise GraphError(f"Swarm(cache=) takes a cache, such as MemoryCache(), not {cache!r}")
    if breaker is not None and not isinstance(breaker, Breaker):
        raise GraphError(f"Swarm(breaker=) takes a Breaker, such as Breaker(failures=5, seconds=30), not {breaker!r}")


def check_settings(model: object, models: Sequence[object], limits: object, limit_store: object) -> None:
    """Raise `GraphError` for what is no model or no limit."""
    for one in models:
        if not hasattr(one, "complete"):
            raise GraphError(f"Swarm(models=) takes model objects, such as OpenAIModel({one!r}), not {one!r}")
    if not (isinstance(model, str) and model) and not hasattr(model, "complete"):
        raise GraphError(f"Swarm(model=) is the name of a model or a model object, not {model!r}")
    if limits is not None and not isinstance(limits, Limits):
        raise GraphError(f"Swarm(limits=) takes Limits(...), not {limits!r}")
    if limit_store is not None and (isinstance(limit_store, type) or not hasattr(limit_store, "store")):
        raise GraphError(f"Swarm(limit_store=) takes RedisLimits(...) or PostgresLimits(...), not {limit_store!r}")


def check_listeners(listeners: Sequence[object]) -> None:
    """Raise `GraphError` for what cannot be told what runs record."""
    for one in listeners:
        if isinstance(one, type) or not hasattr(one, "wants_text"):
            raise GraphError(f"Swarm(listeners=) takes listeners, such as OtelTracer(), not {one!r}")


async def open_resource(stack: AsyncExitStack, kind: type, wanted: object) -> object:
    """The resource of this type: as it was given, or opened for as long as `stack`."""
    if not isinstance(cast("object", kind), type):
        raise GraphError(f"a key of resources= is a type, such as Database, not {kind!r}")
    if isinstance(wanted, kind):
        return wanted
    if not callable(wanted):
        raise GraphError(f"resources[{kind.__name__}] is neither a {kind.__name__} nor a function that opens one")
    manager = cast("Callable[[], object]", wanted)()
    if not isinstance(manager, AbstractAsyncContextManager):
        raise GraphError(
            f"resources[{kind.__name__}]() gave {manager!r}, which is not an async context manager; "
            f"what is there already is given itself: resources={{{kind.__name__}: value}}"
        )
    return await stack.enter_async_context(cast("AbstractAsyncContextManager[object]", manager))
