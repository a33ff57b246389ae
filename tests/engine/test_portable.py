"""What crosses to another process, and what is refused before it is sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from swarmlet import Budget, GraphError, Retry, StepFailed, Swarm, SwarmletError, each, graph, node
from swarmlet.engine.answers import Answer
from swarmlet.engine.portable import Arguments, Parcel, Terms, Written, load_node, portable, terms_of, write
from swarmlet.trace.events import RunId
from tests.engine import portable_nodes as nodes

HERE = "tests.engine.portable_nodes"


def as_any(value: object) -> Any:
    return value


def parcel_of(one: object, *args: object, **kwargs: object) -> Parcel:
    plain = as_any(one)
    arguments = Arguments.of(plain, args, kwargs)
    return Parcel(run=RunId("r1"), node=portable(plain), arguments=arguments, terms=terms_of(plain))


# Nodes


@pytest.mark.parametrize("one", [nodes.read, nodes.double, nodes.anything, nodes.doubled, nodes.either, nodes.bounded])
def test_a_node_of_a_module_can_cross(one: object) -> None:
    path = portable(as_any(one))
    assert load_node(path, [HERE]).shape is as_any(one).shape


def test_a_lambda_and_a_local_function_cannot_cross() -> None:
    @node
    def inside(number: int) -> int:
        return number

    with pytest.raises(
        GraphError, match=r"'inside' cannot be run by another process: it is defined inside the function '.*test_"
    ):
        portable(as_any(inside))
    identity: Callable[[int], int] = lambda number: number  # noqa: E731  # a function without a name is the point
    nameless = node(name="nameless")(identity)
    with pytest.raises(GraphError, match="it is made of a lambda, which has no name to import it by"):
        portable(as_any(nameless))


def test_a_node_of_the_script_that_runs_cannot_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(number: int) -> int:
        return number

    main.__module__, main.__qualname__ = "__main__", "main"
    monkeypatch.setattr(sys.modules["__main__"], "main", main, raising=False)
    with pytest.raises(GraphError, match="it is defined in the script that runs"):
        portable(as_any(node(main)))


def test_an_import_path_must_lead_back_to_the_node() -> None:
    with pytest.raises(
        GraphError, match=r"it is a each\(\.\.\.\), which has no name in the module '.*'; name it there, or in a"
    ):
        portable(as_any(each(nodes.double)))
    with pytest.raises(GraphError, match=r"its import path '.*:Flows.inner' does not lead to it"):
        portable(as_any(node(nodes.Flows.inner)))


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (nodes.named, "named"),
        (nodes.lifted, "lifted"),
        (nodes.careful, "careful"),
        (nodes.careful.with_options(timeout=2), "careful"),
        (nodes.read.with_options(timeout=2), "read"),
        (nodes.nameless, "nameless"),
    ],
)
def test_a_node_crosses_by_whatever_name_its_module_has_for_it(one: object, name: str) -> None:
    path = portable(as_any(one))
    assert path == f"{HERE}:{name}"
    assert load_node(path, [HERE]).shape is as_any(one).shape
    terms_of(as_any(one))


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (nodes.stream, r"numbers= is Iterator.int., which cannot cross: an iterator can be gone through only once"),
        (nodes.call, "function= is Callable"),
        (nodes.query, "its result is Connection, which cannot cross"),
    ],
)
def test_types_that_json_cannot_hold_are_named(one: object, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        portable(as_any(one))


def test_everything_that_is_in_the_way_is_told_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        portable(as_any(nodes.query))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("os:system", "this worker does not run 'os:system': it was started for 'tests.engine.portable_nodes'"),
        ("tests.engine.portable_nodes_2:x", "does not run"),
        (f"{HERE}:NOT_A_NODE", "is a int and no node"),
        (f"{HERE}:plain", "is a function and no node"),
        (f"{HERE}:missing", "cannot import"),
        (f"{HERE}.missing:x", "cannot import"),
        (f"{HERE}:double.__class__", "is not the import path of a node"),
        (f"{HERE}", "cannot import"),
        ("", "does not run"),
    ],
)
def test_only_nodes_of_the_packages_that_a_worker_was_started_for_are_loaded(path: str, why: str) -> None:
    with pytest.raises(SwarmletError, match=why):
        load_node(path, [HERE])


def test_a_package_allows_what_is_below_it() -> None:
    assert load_node(f"{HERE}:double", ["tests"]) is as_any(nodes.double)


def test_a_forbidden_module_is_not_even_imported() -> None:
    sys.modules.pop("this", None)
    with pytest.raises(SwarmletError):
        load_node("this:s", [HERE])
    assert "this" not in sys.modules


# Arguments


def test_arguments_come_back_as_they_were() -> None:
    task = nodes.Task(text="hello", due=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
    parcel = Parcel.load(parcel_of(nodes.read, task, "x", "ü\x00☃", kind="b", rest=3).dump())
    one, args, kwargs = parcel.open([HERE])
    assert one.shape is as_any(nodes.read).shape
    assert args == (task, "x", "ü\x00☃")
    assert kwargs == {"kind": "b", "rest": 3}


def test_a_subclass_of_a_declared_model_keeps_its_fields() -> None:
    big = nodes.Big(text="x", size=7)
    _, args, _ = Parcel.load(parcel_of(nodes.read, big).dump()).open([HERE])
    assert args == (big,)
    assert type(args[0]) is nodes.Big


@pytest.mark.parametrize("value", [1, "x", None, [1, {"a": 2.5}], True])
def test_plain_values_cross_where_no_type_says_what_they_are(value: object) -> None:
    _, args, _ = Parcel.load(parcel_of(nodes.anything, value).dump()).open([HERE])
    assert args == (value,)


@pytest.mark.parametrize("value", [nodes.Task(text="x"), [nodes.Task(text="x")], nodes.Connection(), lambda: 1, iter([1])])
def test_a_value_that_could_not_be_read_back_is_refused(value: object) -> None:
    with pytest.raises(GraphError, match=r"anything\(value=\) cannot cross to another process"):
        parcel_of(nodes.anything, value)


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(GraphError, match="a float for float cannot be read back"):
        parcel_of(nodes.double, float("inf"))


def test_arguments_of_another_type_are_refused_by_the_worker() -> None:
    parcel = Parcel(run=RunId("r"), node=f"{HERE}:double", arguments=Arguments(args=(Written('"text"'),)))
    with pytest.raises(SwarmletError, match=r"double\(number=\) is no float"):
        parcel.open([HERE])


def test_a_call_that_the_worker_does_not_know_is_refused() -> None:
    parcel = Parcel(run=RunId("r"), node=f"{HERE}:double", arguments=Arguments(args=(Written("1"), Written("2"))))
    with pytest.raises(SwarmletError, match="too many positional arguments"):
        parcel.open([HERE])


# Options


def test_the_options_in_force_cross() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    budget = Budget(tokens=100, usd="0.1", seconds=2.5)
    one = nodes.read.with_options(
        name="r", model="m", priority=3, cache=True, timeout=2, deadline=soon, budget=budget, queue="q"
    )
    node_there, _, _ = Parcel.load(parcel_of(one, nodes.Task(text="x")).dump()).open([HERE])
    options = node_there.options
    assert (node_there.name, options.model, options.priority, options.cache) == ("r", "m", 3, True)
    assert (options.timeout, options.budget, options.queue) == (2, budget, None)
    assert options.deadline is not None
    assert abs((options.deadline - soon).total_seconds()) < 0.001


def test_only_what_differs_from_the_definition_crosses() -> None:
    assert terms_of(as_any(nodes.bounded)) == Terms()
    assert terms_of(as_any(nodes.bounded.with_options(timeout=3))) == Terms(timeout=3)
    assert terms_of(as_any(nodes.read.with_options(budget=Budget(tokens=500)))) == Terms(tokens=500)


def test_options_that_may_hold_code_are_refused() -> None:
    with pytest.raises(GraphError, match="'double' has fallback=, which may hold code"):
        terms_of(as_any(nodes.careful.with_options(fallback=nodes.double)))
    with pytest.raises(GraphError, match="retry="):
        terms_of(as_any(nodes.double.with_options(retry=Retry(on=OSError))))


class Elsewhere:
    """Executes parcels as a worker would: from what is in them, and in a swarm of its own."""

    async def execute(self, parcel: Parcel) -> Answer:
        one, args, kwargs = Parcel.load(parcel.dump()).open([HERE])
        async with Swarm() as swarm:
            run = await swarm.run(as_any(one), *args, **kwargs)
        return Answer(run=parcel.run, state="finished", output=write("it", run.output, str, one.encode_output))


@pytest.mark.anyio
async def test_resources_of_a_subtree_do_not_cross_and_those_of_the_definition_are_there_already() -> None:
    ours: dict[type, object] = {nodes.Brand: nodes.Brand("ours")}

    @graph
    def whole(text: str) -> list[str]:
        return [nodes.printed(text), nodes.posted(text)]

    refused = r"'branded' is for another process, and under resources= of Brand, which never leave this one: set them only on"
    async with Swarm(workers=Elsewhere()) as swarm:
        assert (await swarm.run(whole, "x")).output == ["x of Lumo", "x of nobody"]
        for one in (whole, nodes.posted, nodes.printed):
            with pytest.raises(StepFailed, match=refused) as caught:
                await swarm.run(one.with_options(resources=ours), "x")
            assert isinstance(caught.value.__cause__, GraphError)
        assert (await swarm.run(graph(prints).with_options(resources=ours), "x")).output == "x of Lumo"
    async with Swarm() as swarm:
        assert (await swarm.run(whole.with_options(resources=ours), "x")).output == ["x of Lumo", "x of ours"]
    assert terms_of(as_any(nodes.printed)) == Terms()
    with pytest.raises(GraphError, match="of Brand, which never leave this one"):
        terms_of(as_any(nodes.posted.with_options(resources=ours)))


def prints(text: str) -> str:
    return nodes.printed(text)


def test_terms_apply_to_a_function_on_the_event_loop_too() -> None:
    options = Terms(model="m", usd=Decimal("0.5"), requests=2).apply(as_any(nodes.double)).options
    assert options.budget == Budget(usd="0.5", requests=2)


@pytest.mark.parametrize("queue", ["", "two words", 3])
def test_a_queue_is_named(queue: object) -> None:
    with pytest.raises(GraphError, match="queue= is the name of a queue, without spaces"):
        nodes.double.with_options(queue=cast("str", queue))


# Parcels


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"run": 1}', '{"run": "a", "node": "b", "terms": {"tokens": "many"}}', "\x00"]
)
def test_what_is_no_parcel_is_told_in_a_sentence(text: str) -> None:
    with pytest.raises(SwarmletError, match="this is no parcel of swarmlet"):
        Parcel.load(text)


def test_a_parcel_of_a_newer_swarmlet_is_refused() -> None:
    newer = {**json.loads(parcel_of(nodes.double, 1.0).dump()), "format": 2}
    with pytest.raises(SwarmletError, match="upgrade the worker"):
        Parcel.load(json.dumps(newer))
