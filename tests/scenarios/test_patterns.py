"""The patterns of OpenAI's agents examples, and the agents among Haystack's pipelines, over the scripted server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import pytest
from pydantic import BaseModel

from swarmlet import Again, Agent, Done, Message, Node, Swarm, agent, best, each, graph, loop, node, switch, team
from swarmlet.testing import Barrier, CallTools, Refuse, Say, ScriptedServer, Tokens, call
from swarmlet.trace.events import StepEnded, TextDelta
from tests.engine.quickly import quickly
from tests.scenarios.reading import chosen, ended, instructed, ran

pytestmark = pytest.mark.anyio


# Deterministic flows


class Verdict(BaseModel):
    good: bool
    science_fiction: bool


@agent(str)
def outline(prompt: str) -> str:
    """You outline stories."""
    return prompt


@agent(Verdict)
def check(outline: str) -> str:
    """You check outlines."""
    return outline


@agent(str)
def story(outline: str, verdict: Verdict) -> str:
    """You write stories."""
    return outline


@node
def stop(outline: str, verdict: Verdict) -> str:
    return "not science fiction" if verdict.good else "not good"


def fine(outline: str, verdict: Verdict) -> bool:
    return verdict.good and verdict.science_fiction


@graph
def write(prompt: str) -> str:
    outlined = outline(prompt)
    return switch(fine, {True: story, False: stop})(outlined, check(outlined))


@pytest.mark.parametrize("verdict", [Verdict(good=True, science_fiction=True), Verdict(good=True, science_fiction=False)])
async def test_a_flow_goes_on_or_stops_by_what_a_checker_says(scripted_server: ScriptedServer, verdict: Verdict) -> None:
    goes_on = verdict.science_fiction
    scripted_server.script("an outline", verdict, *(["a story"] if goes_on else []))
    run = await quickly(write, "robots")
    assert run.output == ("a story" if goes_on else "not science fiction")
    assert [request.last for request in scripted_server.requests[1:]] == ["an outline"] * (2 if goes_on else 1)
    assert run.usage.requests == (3 if goes_on else 2)


# Handoffs and routing


@agent(str)
def triage(chat: Sequence[Message]) -> Sequence[Message]:
    """You hand over to the agent of the language."""
    return list(chat)


@agent(str)
def french(chat: Sequence[Message]) -> Sequence[Message]:
    """You only speak French."""
    return list(chat)


@agent(str)
def spanish(chat: Sequence[Message]) -> Sequence[Message]:
    """You only speak Spanish."""
    return list(chat)


async def test_a_conversation_is_handed_to_the_agent_of_its_language_and_goes_on_with_it(
    scripted_server: ScriptedServer,
) -> None:
    desk = team(triage, french, spanish)
    scripted_server.script(call("hand_to_french", why="French"), "Bonjour !", "Au revoir !")
    first = await quickly(desk, [Message.user("Bonjour ?")])
    assert (first.output.by, first.output.output, first.output.spoke) == ("french", "Bonjour !", ("triage", "french"))
    assert scripted_server.requests[1].system == "You only speak French."
    assert ran(first) == ["team/triage", "team/french"]
    assert set(scripted_server.requests[0].tools) == {"hand_to_french", "hand_to_spanish"}

    following = team(french, triage, spanish)
    second = await quickly(following, [*first.output.chat, Message.user("Au revoir.")])
    assert second.output.output == "Au revoir !"
    assert [message["role"] for message in scripted_server.requests[2].messages][-1] == "user"


@pytest.mark.parametrize("to", ["search", "answer"])
async def test_a_small_model_routes_and_a_large_one_answers(scripted_server: ScriptedServer, to: str) -> None:
    @agent(Literal["search", "answer"], model="gpt-4o-mini")
    def route(question: str) -> str:
        return question

    @agent(str, model="gpt-4o")
    def answer(question: str) -> str:
        return f"Answer: {question}"

    @node
    def search(question: str) -> str:
        return f"found {question}"

    scripted_server.script({"value": to}, *(["42"] if to == "answer" else []))
    run = await quickly(switch(route, {"search": search, "answer": answer}), "what?")
    assert run.output == ("42" if to == "answer" else "found what?")
    assert ran(run) == ["switch/route", f"switch/{to}"]
    assert [request.model for request in scripted_server.requests] == ["gpt-4o-mini", "gpt-4o"][: 1 + (to == "answer")]


# Agents as tools


def translator(language: str) -> Agent[[str], str]:
    @agent(str, name=f"to_{language}", instructions=f"You translate to {language}.")
    def translate(text: str) -> str:
        return text

    return translate


Preference: TypeAlias = Literal["spanish", "french", "european"]
LANGUAGES = ("spanish", "french", "italian")


def orchestrator(*languages: str) -> Agent[[str], str]:
    @agent(str, tools=[translator(language) for language in languages])
    def orchestrate(text: str) -> str:
        """You use your tools to translate."""
        return text

    return orchestrate


@agent(str)
def synthesize(text: str) -> str:
    """You put translations together."""
    return text


async def test_agents_that_are_tools_translate_side_by_side_and_another_puts_it_together(
    scripted_server: ScriptedServer,
) -> None:
    @graph
    def translate(text: str) -> str:
        return synthesize(orchestrator(*LANGUAGES)(text))

    scripted_server.script(CallTools([call(f"to_{language}", text="hi") for language in LANGUAGES]))
    for language in LANGUAGES:
        scripted_server.when(
            instructed(f"You translate to {language}."),
            Barrier(3, f"hi in {language}"),
            times=1,
        )
    scripted_server.when(lambda request: len(request.tool_results) == 3, "all three", times=1)
    scripted_server.when(instructed("You put translations together."), "together", times=1)
    run = await quickly(translate, "hi")
    assert run.output == "together"
    told = next(request for request in scripted_server.requests if request.tool_results).tool_results
    assert list(told.values()) == [f"hi in {language}" for language in LANGUAGES]
    assert sorted(ran(run)) == [
        "translate/orchestrate",
        *sorted(f"translate/orchestrate/to_{language}" for language in LANGUAGES),
        "translate/synthesize",
    ]
    assert run.usage.requests == 6


@pytest.mark.parametrize(("preference", "tools"), [("spanish", 1), ("french", 2), ("european", 3)])
async def test_which_tools_an_agent_has_is_chosen_by_the_one_who_asks(
    scripted_server: ScriptedServer, preference: Preference, tools: int
) -> None:
    """An agent's tools never change; who asks decides between agents that have other tools."""

    def preferred(text: str, preference: Preference) -> Preference:
        return preference

    key: Node[[str, Preference], Preference] = node(preferred)

    def speaking(count: int) -> Agent[[str, Preference], str]:
        @agent(str, tools=[translator(language) for language in LANGUAGES[:count]], name=f"speaks_{count}")
        def speak(text: str, preference: Preference) -> str:
            return text

        return speak

    scripted_server.script("hola")
    desk = switch(key, {"spanish": speaking(1), "french": speaking(2), "european": speaking(3)})
    assert (await quickly(desk, "hi", preference)).output == "hola"
    assert list(scripted_server.requests[0].tools) == [f"to_{language}" for language in LANGUAGES[:tools]]


async def test_the_words_of_an_agent_that_is_a_tool_are_streamed_under_its_own_path(scripted_server: ScriptedServer) -> None:
    scripted_server.script(call("to_french", text="hi"), "salut à toi", "It is: salut à toi")
    spoken: dict[str, str] = {}
    async with Swarm() as swarm, swarm.stream(orchestrator("french"), "hi") as events:
        async for event in events:
            if isinstance(event, TextDelta):
                spoken[event.path] = spoken.get(event.path, "") + event.text
    assert spoken == {"orchestrate/to_french": "salut à toi", "orchestrate": "It is: salut à toi"}
    assert events.output == "It is: salut à toi"


async def test_an_agent_that_is_a_tool_takes_several_typed_arguments_and_bad_ones_are_told(
    scripted_server: ScriptedServer,
) -> None:
    @agent(str)
    def translate(text: str, source: Literal["es", "en"], target: Literal["fr", "en"]) -> str:
        """Translate text.

        Args:
            text: Text to translate.
            source: Source language code.
            target: Target language code.
        """
        return f"{source} to {target}: {text}"

    @agent(str, tools=[translate])
    def dispatch(text: str) -> str:
        return text

    scripted_server.script(
        call("translate", text="Hola", source="es", target="de"),
        call("translate", text="Hola", source="es", target="fr"),
        "Salut",
        "It is Salut",
    )
    run = await quickly(dispatch, "Translate Hola")
    assert run.output == "It is Salut"
    schema = scripted_server.requests[0].tools["translate"]["parameters"]
    assert set(schema["required"]) == {"text", "source", "target"}
    assert "target" in next(iter(scripted_server.requests[1].tool_results.values()))
    assert scripted_server.requests[2].last == "es to fr: Hola"
    assert ended(run) == ["dispatch/translate~2", "dispatch"]


async def test_a_tool_that_must_be_called_is_a_step_that_the_model_writes_the_arguments_of(
    scripted_server: ScriptedServer,
) -> None:
    class Where(BaseModel):
        city: str

    @agent(Where)
    def where(question: str) -> str:
        return question

    @node
    async def weather(where: Where) -> str:
        return f"{where.city}: sunny"

    @graph
    def ask(question: str) -> str:
        return weather(where(question))

    scripted_server.script(Where(city="Tokyo"))
    run = await quickly(ask, "What's the weather in Tokyo?")
    assert (run.output, run.usage.requests) == ("Tokyo: sunny", 1)


# Judges and parallel tries


@dataclass(frozen=True)
class Draft:
    topic: str
    feedback: str = ""


class Judgement(BaseModel):
    score: Literal["pass", "needs_improvement"]
    feedback: str


@agent(str)
def draft(state: Draft) -> str:
    """You write outlines."""
    return f"{state.topic} {state.feedback}".strip()


@agent(Judgement)
def judge(text: str) -> str:
    """You judge outlines."""
    return text


@node
def decide(state: Draft, text: str, judgement: Judgement) -> Again[Draft] | Done[str]:
    return Done(text) if judgement.score == "pass" else Again(replace(state, feedback=judgement.feedback))


@graph
def improve(state: Draft) -> Again[Draft] | Done[str]:
    text = draft(state)
    return decide(state, text, judge(text))


async def test_a_judge_sends_a_draft_back_until_it_passes(scripted_server: ScriptedServer) -> None:
    scripted_server.script(
        "first",
        Judgement(score="needs_improvement", feedback="longer"),
        "second",
        Judgement(score="pass", feedback=""),
    )
    run = await quickly(loop(improve, rounds=3), Draft("robots"))
    assert run.output == "second"
    assert [request.last for request in scripted_server.requests] == ["robots", "first", "robots longer", "second"]
    assert ran(run) == [f"improve[{index}]/{step}" for index in (0, 1) for step in ("draft", "judge", "decide")]


async def test_three_tries_run_at_once_and_an_agent_picks_one(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def translate(text: str) -> str:
        """You translate."""
        return text

    @agent(str)
    def pick(text: str, tries: list[str]) -> str:
        """You pick the best."""
        return "\n".join([text, *tries])

    @graph
    def picked(text: str) -> str:
        return pick(text, [translate(text), translate(text), translate(text)])

    scripted_server.script(Barrier(3, "a"), Barrier(3, "b"), Barrier(3, "c"), "b")
    run = await quickly(picked, "hi")
    assert run.output == "b"
    assert sorted(scripted_server.requests[3].last.split("\n")) == ["a", "b", "c", "hi"]


async def test_the_try_that_a_judge_agent_scores_highest_is_taken(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def translate(text: str) -> str:
        return text

    @agent(float)
    def score(translation: str, text: str) -> str:
        return f"score {translation}"

    scripted_server.when("score bad", {"value": 1.0}, times=1)
    scripted_server.when("score good", {"value": 9.0}, times=1)
    scripted_server.script("bad", "good")
    run = await quickly(best(translate, of=2, score=score), "hi")
    assert run.output == "good"
    assert run.usage.requests == 4
    (winner,) = chosen(run).values()
    assert run.trace.output(winner) == "good"


# Haystack's agents


async def test_an_agent_thinks_and_searches_in_turns_until_it_finishes(scripted_server: ScriptedServer) -> None:
    @agent(str)
    def conclude(query: str, documents: list[str]) -> str:
        """You conclude from documents."""
        return f"{query}: {documents}"

    @node
    async def find(query: str) -> list[str]:
        return [f"about {query}"]

    @graph
    def search(query: str) -> str:
        """Search the web."""
        return conclude(query, find(query))

    @agent(str, tools=[search])
    def think(question: str) -> str:
        """You think, then act."""
        return question

    scripted_server.script(
        call("search", query="tallest tower"),
        "It is in Paris",
        call("search", query="Paris tower"),
        "Eiffel",
        "Eiffel Tower",
    )
    run = await quickly(think, "Which tower?")
    assert run.output == "Eiffel Tower"
    assert list(scripted_server.requests[-1].tool_results.values()) == ["It is in Paris", "Eiffel"]
    assert ran(run) == [
        "think",
        *(f"think/search{number}/{step}" for number in ("", "~2") for step in ("find", "conclude")),
    ]


async def test_a_reviewer_sends_an_agent_with_tools_back_to_work(scripted_server: ScriptedServer) -> None:
    files: list[str] = []

    async def edit(text: str) -> str:
        files.append(text)
        return "edited"

    @agent(str, tools=[edit])
    def code(state: Draft) -> str:
        """You edit files."""
        return f"{state.topic} {state.feedback}".strip()

    @agent(Literal["PASS", "FAIL"])
    def review(text: str) -> str:
        """You review."""
        return text

    @node
    def verdict(state: Draft, text: str, word: Literal["PASS", "FAIL"]) -> Again[Draft] | Done[str]:
        return Done(text) if word == "PASS" else Again(replace(state, feedback="once more"))

    @graph
    def work(state: Draft) -> Again[Draft] | Done[str]:
        text = code(state)
        return verdict(state, text, review(text))

    scripted_server.script(
        call("edit", text="one"), call("edit", text="two"), "done", {"value": "FAIL"},
        call("edit", text="three"), "done again", {"value": "PASS"},
    )  # fmt: skip
    run = await quickly(loop(work, rounds=2), Draft("sort"))
    assert (run.output, files) == ("done again", ["one", "two", "three"])
    assert scripted_server.requests[4].last == "sort once more"
    assert len(run.trace.step("work[0]/code").tools) == 2


# What is paid for


async def test_what_agents_below_agents_cost_is_counted_once_and_also_where_one_failed(scripted_server: ScriptedServer) -> None:
    scripted_server.when(instructed("You translate to french."), Say("oui", usage=Tokens(input=10, output=1)), times=1)
    scripted_server.when(instructed("You translate to spanish."), Refuse(), times=1)
    scripted_server.script(
        CallTools([call("to_french", text="a"), call("to_spanish", text="a")], usage=Tokens(input=100, output=10)),
        Say("done", usage=Tokens(input=1000, output=100)),
    )
    run = await quickly(orchestrator("french", "spanish"), "go")
    assert run.output == "done"
    assert run.usage.requests == 4
    french_steps = run.trace.step("orchestrate/to_french").usage
    assert (french_steps.input_tokens, french_steps.output_tokens) == (10, 1)
    assert run.trace.step("orchestrate").usage == run.usage
    assert run.usage.input_tokens >= 1110


async def test_workers_are_told_the_same_and_each_its_own(scripted_server: ScriptedServer) -> None:
    class Plan(BaseModel):
        tasks: list[str]

    @agent(Plan)
    def plan(goal: str) -> str:
        return goal

    @agent(str)
    def work(task: str, goal: str) -> str:
        return f"{task} for {goal}"

    @graph
    def orchestrated(goal: str) -> list[str]:
        return each(work)(plan(goal).tasks, goal)

    scripted_server.when("one for tea", Barrier(2, "1"), times=1)
    scripted_server.when("two for tea", Barrier(2, "2"), times=1)
    scripted_server.script(Plan(tasks=["one", "two"]))
    run = await quickly(orchestrated, "tea")
    assert run.output == ["1", "2"]


async def test_a_stream_of_a_graph_tells_which_agent_speaks(scripted_server: ScriptedServer) -> None:
    scripted_server.script("an outline", Verdict(good=True, science_fiction=True), "a story")
    told: list[str] = []
    async with Swarm() as swarm, swarm.stream(write, "robots") as events:
        async for event in events:
            if isinstance(event, TextDelta | StepEnded) and (not told or told[-1] != f"{event.kind} {event.path}"):
                told.append(f"{event.kind} {event.path}")
    assert events.output == "a story"
    assert [one for one in told if one.startswith("step_ended")] == [
        "step_ended write/outline",
        "step_ended write/check",
        "step_ended write/switch/fine",
        "step_ended write/switch/story",
    ]
    assert told.index("text_delta write/outline") < told.index("step_ended write/outline")
    assert told.index("text_delta write/switch/story") > told.index("step_ended write/check")
