"""Runs that are in the journal already: their arguments, their results, and what was left open when their process died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.engine.keep import declared_of, keep_values
from swarmlet.engine.restore import NOTHING, restored
from swarmlet.engine.step import named_arguments
from swarmlet.errors import GraphChanged, GraphError, NotResumable, SwarmletError
from swarmlet.graph.fingerprint import changes, fingerprint, load
from swarmlet.graph.node import Node
from swarmlet.trace.events import CallEnded, CallStarted, RunId, StepEnded, ToolEnded, ToolStarted
from swarmlet.trace.record import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from swarmlet.graph.shape import AnyNode
    from swarmlet.trace.events import Digest
    from swarmlet.trace.journal import Store
    from swarmlet.trace.past import Past
    from swarmlet.trace.read import Trace


def read_run(journal: str | Path | Store | None, run_id: str) -> Trace | None:
    """What a journal has of the run of this very id, or `None`. Raises `JournalError` if that cannot be read."""
    assert journal is not None  # noqa: S101  # a swarm asks its own journal
    from swarmlet.trace.journal import Journal
    from swarmlet.trace.journal.base import Wanted

    reader = Journal(journal)
    with reader.store.looking() as look:
        known = look.runs(Wanted(runs=(RunId(run_id),)))
    return reader.trace(run_id) if known else None


def check_resumable(doing: str, run_id: object, node: object, changed: object = "refuse") -> None:
    """Raise `GraphError` for what is no id, no node, or no way to treat a changed graph."""
    if not isinstance(run_id, str):
        raise GraphError(f"{doing}() takes the id of a run first, a str, not {run_id!r}")
    if not isinstance(node, Node):
        raise GraphError(f"{doing}() takes a node, not {node!r}; make a node of a function with @node")
    if changed not in ("refuse", "match"):
        raise GraphError(f"{doing}(changed=) is 'refuse' or 'match', not {changed!r}")


def check_same_call(trace: Trace, node: AnyNode, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
    """Raise `SwarmletError` if a run of this id was begun with other arguments."""
    named = named_arguments(node.signature, args, kwargs)
    inputs, _ = keep_values(Recorder(trace.run_id), named, node.encode_inputs)
    then = trace.started.inputs
    differ = [name for name in {**then, **inputs} if then.get(name) != inputs.get(name)]
    if differ and None not in (*then.values(), *inputs.values()):
        raise SwarmletError(
            f"run {trace.run_id!r} was begun with another {differ[0]!r}: an id names one piece of work; "
            "go on with that by resume(), or give this one an id of its own"
        )


def check_plan(trace: Trace, node: AnyNode) -> None:
    """Raise `GraphChanged`, which says what differs, unless the run is one of this node as it is now."""
    plan = last_plan(trace)
    now = fingerprint(node)
    content = trace.content(plan)
    if content is None:
        if trace.started.node != node.origin:
            raise GraphChanged(trace.run_id, [f"the node: it was {trace.started.node}, and is now {node.origin}"])
        return
    try:
        then = load(content)
    except ValueError as error:
        raise NotResumable(f"run {trace.run_id!r} has a plan that cannot be read: {error}") from error
    if then.digest != now.digest:
        raise GraphChanged(trace.run_id, changes(then, now))


def last_plan(trace: Trace) -> Digest | None:
    """The plan that the run had when a process last began with it."""
    from swarmlet.trace.events import RunResumed

    resumed = [event.plan for event in trace.events if isinstance(event, RunResumed) and event.plan is not None]
    return resumed[-1] if resumed else trace.started.plan


def recorded_arguments(
    trace: Trace, node: AnyNode, edits: Mapping[str, object] | None = None
) -> tuple[tuple[object, ...], dict[str, object]]:
    """The arguments that the run had, with those of `edits` in their place. Raises `NotResumable`."""
    edits = dict(edits or {})
    named: dict[str, object] = {}
    for name, digest in trace.started.inputs.items():
        named[name] = edits.pop(name) if name in edits else _argument(trace, node, name, digest)
    known = {parameter.name for parameter in node.signature.parameters}
    if strays := sorted(set(edits) - known):
        raise SwarmletError(f"{node.name!r} has no parameter {strays[0]!r}; it has: {', '.join(sorted(known)) or 'none'}")
    return _call_of(node, named | edits)


def _argument(trace: Trace, node: AnyNode, name: str, digest: Digest | None) -> object:
    content = trace.content(digest)
    if content is None:
        raise NotResumable(
            f"run {trace.run_id!r} cannot be resumed: its argument {name!r} is not in the record"
            " (content capture was off, or it could not be written)"
        )
    note, encode = trace.started.types.get(name, ""), node.encode_inputs.get(name) or _as_any
    value = restored(content, declared_of(node, name), note, encode)
    if value is NOTHING:
        raise NotResumable(f"run {trace.run_id!r} cannot be resumed: its argument {name!r} cannot be read back as it was")
    return value


def _as_any(value: object) -> bytes:
    from swarmlet.trace.encode import to_any_json

    return to_any_json(value)


def _call_of(node: AnyNode, named: Mapping[str, object]) -> tuple[tuple[object, ...], dict[str, object]]:
    """Arguments by name, as a call: the reverse of `named_arguments`."""
    args: list[object] = []
    kwargs: dict[str, object] = {}
    positional = set(node.signature.positional)
    for name, value in named.items():
        if (name in positional and not kwargs) or (name.endswith("]") and "[" in name):
            args.append(value)
        else:
            kwargs[name.removeprefix("**")] = value
    return tuple(args), kwargs


def recorded_output(trace: Trace, node: AnyNode) -> object:
    """The result of a run that has finished, or `NOTHING` if that cannot be read back."""
    if trace.ended is None or trace.ended.state != "finished":
        return NOTHING
    content = trace.content(trace.ended.output)
    if content is None:
        return NOTHING
    return restored(content, node.signature.returns, trace.ended.type, node.encode_output)


def mark_lost(recorder: Recorder, past: Past) -> None:
    """Record that what was going on when the process was killed has come to nothing, or nobody knows to what."""
    for left in past.left_open():
        at = recorder.now()
        match left:
            case CallStarted():
                recorder.emit(
                    CallEnded(at=at, path=left.path, turn=left.turn, attempt=left.attempt, state="lost", unknown_cost=True)
                )
            case ToolStarted():
                recorder.emit(ToolEnded(at=at, path=left.path, turn=left.turn, id=left.id, tool=left.tool, state="lost"))
            case _:
                recorder.emit(StepEnded(at=at, path=left.path, state="lost"))


def edit(past: Past, again: Iterable[str], outputs: Mapping[str, bytes]) -> None:
    """Change the past for a fork. Raises `SwarmletError` for a path that is no step of it."""
    if isinstance(again, str):
        raise GraphError(f"fork(again=) takes a list of paths, [{again!r}], not a text")
    if both := sorted(set(again) & set(outputs)):
        raise GraphError(f"fork() cannot both execute {both[0]!r} again and have an output in its place")
    for path in again:
        if past.step(path) is None and not any(one.startswith((f"{path}/", f"{path}[")) for one in past.steps):
            raise SwarmletError(f"there is no step {path!r} in the run; its steps begin with {_some(past)}")
        past.forget(path)
    for path, content in outputs.items():
        if not past.replace(path, content):
            raise SwarmletError(f"there is no step {path!r} in the run; its steps begin with {_some(past)}")


def _some(past: Past) -> str:
    paths = list(past.steps)
    return ", ".join(paths[:10]) + (", ..." if len(paths) > 10 else "")
