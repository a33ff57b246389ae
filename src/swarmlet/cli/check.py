"""`swarmlet check TARGET...`: whether graphs can be built, and what their runs may do at most, before any model call."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from swarmlet.cli import UsageError, message, print_json
from swarmlet.errors import GraphError
from swarmlet.graph.building import Broken, checking
from swarmlet.graph.node import Node
from swarmlet.graph.shape import Leaf
from swarmlet.trace.views import visible

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]
    from types import ModuleType, TracebackType

    from swarmlet.graph.bound import Bound
    from swarmlet.graph.plan import Plan
    from swarmlet.trace.views import Data

_AnyNode: TypeAlias = "Node[..., object]"
Found: TypeAlias = dict[str, _AnyNode]
"""Nodes by the target that names each, `package.module:name`."""


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `check`."""
    parser = subparsers.add_parser("check", help="check graphs, and show their plans and worst-case numbers of model calls")
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="+",
        help="a node, `package.module:name`, or a module, `package.module`, for every public node that it defines",
    )


def run(options: Namespace) -> int:
    """Print the plans. Raises `GraphError` with all that is wrong with the graphs."""
    checked = _check(cast("Sequence[str]", options.targets))
    plans = {target: node.plan for target, node in checked.found.items() if not _broken(node)}
    whole = {target: plan for target, plan in plans.items() if all(row.what != "broken" for row in plan.outline.rows)}
    if options.json:
        print_json(
            {
                "plans": [_plan_data(target, checked.found[target], plan) for target, plan in whole.items()],
                "problems": list(checked.problems),
                "not_found": checked.not_found,
            }
        )
    else:
        print("\n\n".join(visible(f"{target}\n\n{plan}") for target, plan in whole.items()), end="\n" if whole else "")
    for target in [target for target in plans if target not in whole]:
        message(f"{target} has no plan, as there are broken graphs in it")
    if checked.problems and checked.not_found:
        message(str(GraphError(checked.problems)))
    if checked.not_found:
        raise UsageError("\nswarmlet: ".join(checked.not_found))
    if checked.problems:
        raise GraphError(checked.problems)
    return 0


# Finding


@dataclass(slots=True)
class _Checked:
    """What was found for all targets, and what is wrong."""

    found: Found = field(default_factory=dict[str, _AnyNode])
    errors: list[GraphError] = field(default_factory=list[GraphError])
    not_found: list[str] = field(default_factory=list[str])

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong with graphs, each once."""
        broken = [error for node in self.found.values() if (error := _broken(node))]
        return tuple(dict.fromkeys(problem for error in [*self.errors, *broken] for problem in error.problems))


def _check(targets: Sequence[str]) -> _Checked:
    checked = _Checked()
    with importing(), checking() as errors:
        for target in targets:
            try:
                checked.found.update(nodes_named(target))
            except UsageError as error:
                checked.not_found.append(str(error))
            except GraphError as error:  # not of a graph: of an agent, or of a combinator outside graphs
                errors.append(error)
    checked.errors += errors
    return checked


@contextmanager
def importing() -> Generator[None, None, None]:
    """Modules of the current directory can be imported, and what they print is no data."""
    before = list(sys.path)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    invalidate_caches()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before


def nodes_named(target: str) -> Found:
    """The nodes that a target names."""
    name, colon, attribute = target.partition(":")
    if not all(part.isidentifier() for part in [*name.split("."), *(attribute.split(".") if colon else [])]):
        raise UsageError(f"{target!r} is no target: give package.module, or package.module:name" + _hint(name))
    module = _import(name)
    public = _public_nodes(module)
    if not colon:
        if not public:
            raise UsageError(f"module {name!r} defines no public node")
        return {f"{name}:{attribute}": node for attribute, node in public.items()}
    value: object = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            known = f"; its nodes are {', '.join(public)}" if public else ""
            raise UsageError(f"module {name!r} has no {attribute!r}{known}") from None
    if not isinstance(value, Node):
        raise UsageError(f"{target} is no node, it is of type {type(value).__name__!r}; @node makes a node of a function")
    return {target: cast("_AnyNode", value)}


def imported(name: str) -> ModuleType:
    """A module, also of the current directory. Raises `UsageError` if there is none, or if it cannot be imported."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is no module: give package.module" + _hint(name))
    with importing():
        return _import(name)


def _hint(name: str) -> str:
    """What is meant by a file's path."""
    path = name.removeprefix("./")
    return f"; for a file, {path[:-3].replace('/', '.')}" if path.endswith(".py") and not path.startswith("/") else ""


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except GraphError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        where = _user_place(error.__traceback__)
        raise UsageError(f"module {name!r} cannot be imported{where}: {type(error).__name__}: {error}{_hint(name)}") from error


def _user_place(trace: TracebackType | None) -> str:
    """Where the imported code stood when it raised, if it had begun."""
    frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith("<frozen")]
    inside = [frame for frame in frames if frame.filename not in (__file__, import_module.__code__.co_filename)]
    return f" ({Path(inside[-1].filename).name}:{inside[-1].lineno})" if inside else ""


def _public_nodes(module: ModuleType) -> Found:
    """The nodes that a module defines, and has not from elsewhere, each under its first public name."""
    values: dict[str, object] = vars(module)
    names = cast("Sequence[str]", values.get("__all__") or [name for name in values if not name.startswith("_")])
    found: Found = {}
    for name in names:
        value = values.get(name)
        if isinstance(value, Node):
            node = cast("_AnyNode", value)
            if not any(node is other for other in found.values()) and not _from_elsewhere(node, module):
                found[name] = node
    return found


def _from_elsewhere(node: _AnyNode, module: ModuleType) -> bool:
    """Whether another module defines the node. What `each` makes of an imported node has its origin there, and is not in it."""
    home = node.origin.partition(":")[0]
    return home != module.__name__ and any(node is value for value in vars(sys.modules.get(home, module)).values())


def _broken(node: _AnyNode) -> GraphError | None:
    """What is wrong with a node that stands in for a broken graph."""
    call = node.shape.call if isinstance(node.shape, Leaf) else None
    return call.error if isinstance(call, Broken) else None


# Data


def _plan_data(target: str, node: _AnyNode, plan: Plan) -> Data:
    return {
        "target": target,
        "name": node.name,
        "calls": _bound_data(plan.calls),
        "attempts": _bound_data(plan.attempts),
        "rows": [
            {
                "path": row.path,
                "depth": row.depth,
                "what": row.what,
                "bound": row.limits,
                "options": row.options,
                "calls": _bound_data(row.calls),
                "attempts": _bound_data(row.attempts),
            }
            for row in plan.outline.rows
        ],
    }


def _bound_data(bound: Bound) -> Data:
    return {"text": str(bound), "known": bound.known, "symbols": list(bound.symbols)}
