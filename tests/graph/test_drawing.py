"""Pictures show every step, and stay Mermaid whatever the names are."""

from __future__ import annotations

import re
from typing import Any, Literal

from swarmlet import Again, Done, Node, each, graph, loop, node, switch


@node
def inc(count: int) -> int:
    return count + 1


@node
def total(counts: list[int]) -> int:
    return sum(counts)


@node
def judge(count: int) -> Again[int] | Done[int]:
    return Done(count)


@node
def give_up(count: int) -> int:
    return count


def parity(count: int) -> Literal["odd", "even"]:
    return "odd" if count % 2 else "even"


@graph
def attempt(count: int) -> Again[int] | Done[int]:
    return judge(switch(parity, {"odd": inc, "even": inc.with_options(name="twice")})(count))


@graph
def whole(counts: list[int]) -> int:
    return total(each(loop(attempt, rounds=3, otherwise=give_up), concurrency=2)(counts))


@graph
def empty(count: int) -> int:
    return count


LINE = re.compile(
    r"""^\s*(flowchart\ LR
    | (in|out)\(\[(in|out)\]\)
    | subgraph\ s\d+\["[^"\n]*"\]
    | end
    | n\d+(\["[^"\n]*"\] | \[\["[^"\n]*"\]\] | \{"[^"\n]*"\})
    | \w+\ (--> | --\ "[^"\n]*"\ --> | -\.\ [a-z ]+\ \.->)\ \w+
    )$""",
    re.VERBOSE,
)


def lines(of: Node[..., Any]) -> list[str]:  # Any: nodes of every type
    drawn = of.to_mermaid().splitlines()
    assert [line for line in drawn if not LINE.match(line)] == []
    assert sum("subgraph" in line for line in drawn) == sum(line.strip() == "end" for line in drawn)
    known = {"in", "out", *re.findall(r"\b([ns]\d+)(?=[\[{])", "\n".join(drawn))}
    for line in drawn:
        if match := re.match(r"^\s*(\w+) .*?> (\w+)$", line):
            assert known.issuperset(match.groups()), f"{line} joins what is not drawn"
    return [line.strip() for line in drawn]


def test_every_step_key_and_arm_is_drawn_in_the_box_of_its_combinator() -> None:
    drawn = "\n".join(lines(whole))
    for label in (
        "each attempt, 2 at once",
        "loop attempt, at most 3 rounds",
        "total",
        "judge",
        "parity",
        "inc",
        "twice",
        "give_up",
    ):
        assert f'"{label}"' in drawn
    assert '-- "odd" -->' in drawn
    assert "-. again .->" in drawn
    assert "-. rounds used up .->" in drawn


def test_edges_follow_the_data() -> None:
    @graph
    def diamond(count: int) -> int:
        return total([inc(count), inc(count)])

    assert lines(diamond) == [
        "flowchart LR",
        "in([in])",
        "out([out])",
        'subgraph s1["diamond"]',
        'n2["inc"]',
        'n3["inc~2"]',
        'n4["total"]',
        "n2 --> n4",
        "n3 --> n4",
        "end",
        "in --> n2",
        "in --> n3",
        "n4 --> out",
    ]


def test_a_single_node_and_an_empty_graph_can_be_drawn() -> None:
    assert 'n1["inc"]' in lines(inc)
    assert lines(empty)[-2:] == ["in --> s1", "s1 --> out"]


def test_names_and_keys_with_special_characters_stay_inside_their_quotes() -> None:
    odd = inc.with_options(name='a"<b>&#35;`x`')

    def key(count: int) -> str:
        return str(count)

    route = switch(key, {'"] --> evil\nn9["x"]': odd, "end": odd}, default=inc)
    drawn = "\n".join(lines(route))
    assert "&quot;] --&gt; evil n9[&quot;x&quot;]" in drawn
    assert "a&quot;&lt;b&gt;&amp;&num;35;&#96;x&#96;" in drawn


def test_notebooks_get_the_picture_and_the_text() -> None:
    bundle = whole._repr_mimebundle_(include=None, exclude=None)  # pyright: ignore[reportPrivateUsage]  # IPython's protocol
    assert bundle == {"text/vnd.mermaid": whole.to_mermaid(), "text/plain": "<Node whole(counts: list[int]) -> int>"}
