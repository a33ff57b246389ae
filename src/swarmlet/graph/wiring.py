"""The builder: a `@graph` body runs once, when it is defined, and every node it calls becomes a row of the plan.

What is wrong is collected, so that one `GraphError` lists all of it. Only what leaves no way to go on (an `if` on a ref)
stops the body at once, and is listed with what was found before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from swarmlet.errors import EdgeError, GraphError, WiringError
from swarmlet.graph.building import here
from swarmlet.graph.check import edge_problem, mismatches
from swarmlet.graph.expr import Const, Expr, Slot, slots, substitute
from swarmlet.graph.plan import GraphShape, Plan, PlannedStep
from swarmlet.graph.ref import About, Ref, about, hidden_refs, holds_refs, refs_in, to_expr
from swarmlet.graph.shape import called
from swarmlet.graph.signature import POSITIONAL, SCALARS
from swarmlet.graph.source import definition_line, user_line
from swarmlet.graph.types import element_type, members, show

if TYPE_CHECKING:
    from swarmlet.graph.shape import AnyNode
    from swarmlet.graph.signature import Signature


def compile_graph(name: str, signature: Signature, body: Callable[..., object]) -> Plan:
    """Run `body` on refs and give its plan. Raises `GraphError` with everything that is wrong."""
    line = definition_line(body)
    for parameter in signature.parameters:
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise GraphError(f"{line}: a graph cannot take *{parameter.name}: its inputs are fixed; take a list")
    builder = Builder(name, signature, line)
    try:
        with builder.building():
            result = body(*builder.positional, **builder.keywords)
        return builder.finish(result)
    except GraphError as error:
        if not builder.problems:
            raise
        raise _combined([*builder.problems, *((type(error), problem) for problem in error.problems)]) from error
    except ValidationError as error:
        if not any(holds_refs(one["input"]) for one in error.errors(include_url=False)):
            raise
        raise WiringError(
            f"{line}: a {error.title} is built from a ref, which stands for a value that does not exist yet; "
            f"make the model a node, `build = node({error.title})`, and call that"
        ) from error
    except Exception as error:
        error.add_note(
            f"while the graph {name!r} was built, at {line}: in its body, refs stand for values that do not exist yet, and can "
            "only be passed to nodes"
        )
        for problem in builder.problems:
            error.add_note(f"also wrong: {problem}")
        raise


class Builder:
    """Collects the steps of one graph while its body runs."""

    def __init__(self, name: str, signature: Signature, line: str) -> None:
        self.name = name
        self.signature = signature
        self.line = line
        self.inputs: tuple[str, ...] = tuple(parameter.name for parameter in signature.parameters)
        self.steps: list[PlannedStep] = []
        self.calls: list[tuple[AnyNode, str, Expr]] = []
        self.problems: list[tuple[type[GraphError], str]] = []
        self._names: dict[str, tuple[AnyNode, int]] = {}
        self._read: set[int] = set()
        refs = [
            self._ref(Slot(index), parameter.annotation, parameter.name) for index, parameter in enumerate(signature.parameters)
        ]
        pairs = list(zip(signature.parameters, refs, strict=True))
        self.positional: list[Ref] = [ref for parameter, ref in pairs if parameter.kind in POSITIONAL]
        self.keywords: dict[str, Ref] = {p.name: ref for p, ref in pairs if p.kind is inspect.Parameter.KEYWORD_ONLY}

    @contextmanager
    def building(self) -> Generator[None, None, None]:
        """Make this the graph that calls of nodes are recorded in."""
        token = here.set(self)
        try:
            yield
        finally:
            here.reset(token)

    def add(self, node: AnyNode, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Ref:
        """Record one call."""
        line = user_line()
        self._own(line, (*args, *kwargs.values()))
        name = self._unique(node, line)
        try:
            bound = node.signature.bind(args, kwargs)
        except TypeError as error:
            self.problems.append((WiringError, f"{line}: {node.name!r} is called wrongly: {error}; it is {node!r}"))
            self._read.update(slot for value in (*args, *kwargs.values()) for slot in slots(to_expr(value)))
            return self._ref(Const(None), node.signature.returns, name)
        self._check(node, bound, line)
        step = PlannedStep(
            name,
            node,
            tuple(to_expr(value) for value in bound.args),
            {key: to_expr(value) for key, value in bound.kwargs.items()},
            line,
        )
        inner = _inlined(node)
        output = self._append(step) if inner is None else self._inline(step, inner, bound)
        self.calls.append((node, line, output))
        return self._ref(output, node.signature.returns, name)

    def finish(self, result: object) -> Plan:
        """The plan, if nothing is wrong."""
        self._own(self.line, (result,))
        nothing = result is None and not _gives_nothing(self.signature.returns)
        if nothing:
            wanted = show(self.signature.returns)
            self.problems.append((EdgeError, f"{self.line}: the body returns nothing, but the graph declares {wanted}"))
        for found in () if nothing else mismatches(result, self.signature.returns):
            self.problems.append((EdgeError, edge_problem(self.line, "the graph's declared result", found)))
        output = to_expr(result)
        self._unused(output)
        if self.problems:
            problems, self.problems = self.problems, []
            raise _combined(problems)
        return Plan(self.name, self.inputs, tuple(self.steps), output)

    def _ref(self, expr: Expr, type_: object, label: str) -> Ref:
        return Ref(About(self, self.name, expr, type_, label))

    def _append(self, step: PlannedStep) -> Expr:
        self.steps.append(step)
        return Slot(len(self.inputs) + len(self.steps) - 1)

    def _inline(self, step: PlannedStep, plan: Plan, bound: inspect.BoundArguments) -> Expr:
        """Put the rows of a sub-graph into this table; its inputs become what it was called with."""
        bound.apply_defaults()
        replacements: list[Expr] = [to_expr(bound.arguments[name]) for name in plan.inputs]
        for row in plan.steps:
            moved = replace(
                row,
                path=f"{step.path}/{row.path}",
                args=tuple(substitute(expr, replacements) for expr in row.args),
                kwargs={key: substitute(expr, replacements) for key, expr in row.kwargs.items()},
            )
            replacements.append(self._append(moved))
        return substitute(plan.output, replacements)

    def _unique(self, node: AnyNode, line: str) -> str:
        """The step's name: the node's, with `~2`, `~3` for further calls in the order in which they are written."""
        first, count = self._names.get(node.name, (node, 0))
        if count and node.named and first.named and first is not node:
            self.problems.append((WiringError, f"{line}: two nodes of this graph are both named {node.name!r}"))
        self._names[node.name] = (first, count + 1)
        return node.name if count == 0 else f"{node.name}~{count + 1}"

    def _own(self, line: str, values: tuple[object, ...]) -> None:
        for value in values:
            if type(value) in SCALARS:
                continue
            for ref in refs_in(value):
                known = about(ref)
                if known.owner is not self:
                    raise WiringError(f"{line}: {ref!r} belongs to graph {known.graph!r}; pass it in as a parameter")
            for holder in hidden_refs(value):
                kind = type(holder).__name__
                raise WiringError(
                    f"{line}: here a {kind!r} holds a ref, which stands for a value that does not exist yet; only lists, tuples"
                    f", dicts and dataclasses are filled in when the graph runs: make it in a node, `build = node({kind})`"
                )

    def _check(self, node: AnyNode, bound: inspect.BoundArguments, line: str) -> None:
        for name, value in bound.arguments.items():
            parameter = node.signature.parameters_by_name[name]
            values: tuple[object, ...] = (value,)
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                values = value
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                values = tuple(value.values())
            for one in values:
                if type(one) is parameter.annotation and type(one) in SCALARS:
                    continue
                for found in mismatches(one, parameter.annotation):
                    self.problems.append((EdgeError, edge_problem(line, f"{called(node)}({name}=)", found)))

    def _unused(self, output: Expr) -> None:
        """Report results that nothing reads. A node that returns nothing is run for its effect, and may stand alone."""
        read = self._read.union(slots(output), *(step.needs for step in self.steps))
        for node, line, expr in self.calls:
            made = set(slots(expr))
            if made.isdisjoint(read) and made and not _gives_nothing(node.signature.returns):
                problem = f"{line}: nothing uses the result of {node.name!r}; return it, pass it on, or drop the call"
                self.problems.append((WiringError, problem))


def _inlined(node: AnyNode) -> Plan | None:
    """The plan whose rows take the place of the node: a graph's, unless it has options that need a scope of its own."""
    return node.shape.plan if isinstance(node.shape, GraphShape) and node.options.empty else None


def _gives_nothing(type_: object) -> bool:
    """Whether values of this type tell nothing: None, or the list of them that a mapped node gives."""
    return members(element_type(type_) or type_) == (None,)


def _combined(problems: list[tuple[type[GraphError], str]]) -> GraphError:
    """One error for all: of their common class if they are of one kind."""
    kinds = {kind for kind, _ in problems}
    kind = kinds.pop() if len(kinds) == 1 else GraphError
    return kind([text for _, text in problems])
