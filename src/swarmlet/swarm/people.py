"""People who answer: those who are asked later, in the journal's inbox, and one who sits at the terminal.

    from swarmlet.swarm import people

    Swarm(people=people.terminal)       # asks whoever started the program

A callback of your own is an async function of a `Question`: it shows `text`, and gives a value of the type that is asked for,
or what JSON has in its place. `LATER` says that nobody can answer now; telling somebody of the question is then its work.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from swarmlet.agents.approval import verdicts
from swarmlet.engine.people import LATER, Later, Misfit, no_question, open_questions, registered
from swarmlet.errors import JournalError, SwarmletError
from swarmlet.swarm.progress import held
from swarmlet.trace.events import Answered, StepStarted
from swarmlet.trace.journal import Question
from swarmlet.trace.views import line, takes, visible, worded_as

if TYPE_CHECKING:
    from pydantic import JsonValue

    from swarmlet.engine.people import Answers
    from swarmlet.trace.events import Asked
    from swarmlet.trace.journal import Journal, JournalWriter
    from swarmlet.trace.read import Trace
    from swarmlet.trace.record import Recorder

__all__ = ["LATER", "Later", "Question", "inbox", "plain", "terminal"]

_LOOKS: Final = 0.2
"""Seconds between two looks whether a question at the terminal is still wanted."""
_YES: Final = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}
_turn: RunVar[anyio.CapacityLimiter] = RunVar("swarmlet_terminal")


# The inbox


def inbox(journal: Journal) -> list[Question]:
    """The open questions of all runs in a journal, without those that nobody waits for any more."""
    questions = journal.inbox()
    wanted = {run: open_questions(journal.trace(run).events) for run in {question.run for question in questions}}
    return [question for question in questions if question.path in wanted[question.run]]


async def answer_later(journal: JournalWriter, recorder: Recorder, trace: Trace, path: str, value: object, by: str) -> None:
    """Put an answer into the journal, for whoever resumes the run. Raises `SwarmletError` if it cannot be one."""
    if trace.state == "finished":
        raise SwarmletError(f"run {trace.run_id!r} has finished, so nobody waits for an answer to {path!r}")
    asked = open_questions(trace.events).get(path)
    if asked is None:
        raise no_question(path, trace.events)
    await journal.claim(trace.run_id)
    try:
        content = _written(trace, asked, value)
        recorder.emit(Answered(at=recorder.now(), path=path, answer=recorder.keep_json(content), by=by))
        await journal.flush()
    finally:
        journal.release(trace.run_id)
    if journal.error is not None:
        raise JournalError(f"the answer to {path!r} could not be written: {journal.error}") from journal.error


def _written(trace: Trace, asked: Asked, value: object) -> bytes:
    """The answer as JSON: checked, if the node that asked is known in this process; else whoever resumes the run checks it."""
    known = answers_of(trace, asked)
    if known is not None:
        content = known.write(value)
        known.read(content)
        return content
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise Misfit(f"the answer to {asked.path!r} cannot be written as JSON: {error}") from error


def answers_of(trace: Trace, asked: Asked) -> Answers[object] | None:
    """What this process knows of the answers to a question: nothing, if it has not imported the node that asks."""
    if asked.about != "answer":
        known = cast("Answers[object]", verdicts())
        return known if known.digest == asked.answers else None
    started = [event.node for event in trace.events if isinstance(event, StepStarted) and event.path == asked.path]
    return registered(started[-1], asked.answers) if started else None


# Plain words


def plain(text: str, question: Question) -> JsonValue:
    """What somebody has typed as an answer: words where words will do, JSON for anything else.

    An object whose first field is a choice takes that, and after it the text for the next field: `no: it is too early`.
    For an approval, a text that is neither is the reason for which it is refused.
    """
    schema = question.answers if isinstance(question.answers, Mapping) else {}
    text = text.strip()
    if question.about != "answer":
        return _verdict(text)
    found = list(_readings(text, schema, cast("Mapping[str, JsonValue]", schema.get("$defs") or {})))
    return found[0] if found else _json_or(text)


def _verdict(text: str) -> JsonValue:
    if text.lower() in _YES:
        return _YES[text.lower()]
    given = _json_or(text)
    return given if isinstance(given, dict | bool) else {"reason": text}


def _readings(text: str, schema: Mapping[str, JsonValue], known: Mapping[str, JsonValue]) -> Iterator[JsonValue]:
    """What the text may mean as a value of this schema."""
    name = schema.get("$ref")
    if isinstance(name, str):
        schema = cast("Mapping[str, JsonValue]", known.get(name.rpartition("/")[2]) or {})
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(choices, list):
        yield from (one for one in choices if _word(one) == text)
        yield from (one for one in choices if _word(one).lower() == text.lower())
        return
    kind = schema.get("type")
    if kind == "boolean" and text.lower() in _YES:
        yield _YES[text.lower()]
    elif kind == "string":
        yield text
    elif kind == "null" and text.lower() in ("null", "none", ""):
        yield None
    elif kind in ("integer", "number"):
        with suppress(ValueError):
            yield int(text) if kind == "integer" else float(text)
    elif kind == "object" and (worded := worded_as({**schema, "$defs": known})) is not None:
        first = cast("Mapping[str, JsonValue]", worded.choices)
        yield from ({worded.word: one} for one in _readings(text, first, known))
        word, *rest = text.split(maxsplit=1) or [""]
        if rest and worded.text:
            yield from ({worded.word: one, worded.text: rest[0]} for one in _readings(word.rstrip(",:"), first, known))
    elif isinstance(options := schema.get("anyOf"), list):
        parts = [cast("Mapping[str, JsonValue]", option) for option in options]
        for part in sorted(parts, key=lambda part: part.get("type") == "string"):  # any text is a string
            yield from _readings(text, part, known)


def _word(choice: JsonValue) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


def _json_or(text: str) -> JsonValue:
    try:
        return cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError):
        return text


# The terminal


async def terminal(question: Question) -> object:
    """Ask whoever started the program, on standard error, one question after the other; where that is no terminal, nobody."""
    if sys.stdin is None or not sys.stdin.isatty():
        return LATER
    try:
        limiter = _turn.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(1)
        _turn.set(limiter)
    unwanted = threading.Event()
    try:
        typed = await anyio.to_thread.run_sync(_typed, question, unwanted, abandon_on_cancel=True, limiter=limiter)
    finally:
        unwanted.set()
    return LATER if typed is None else plain(typed, question)


def shown(question: Question) -> str:
    """A question as text for a terminal, which finds nothing in it to obey."""
    lines = [f"{line(question.name)} asks at {line(question.path)}:", visible(question.text or "(not captured)")]
    if question.tool:
        lines.append(visible(f"{question.tool}({json.dumps(question.arguments, ensure_ascii=False)})"))
    return "\n".join([*lines, f"[{takes(question.about, question.answers)}] "])


def _typed(question: Question, unwanted: threading.Event) -> str | None:
    """The line that somebody types, in a worker thread. `None` if there is none, or the question is not wanted any more."""
    number = sys.stdin.fileno()
    with held():  # progress is not drawn over it
        _drop_typed(number)  # what was typed before the question is no answer to it
        sys.stderr.write(f"\n{shown(question)}")  # words that were streamed may stand in the line
        sys.stderr.flush()
        text = b""
        while not text.strip():
            while sys.platform != "win32" and not select.select([number], [], [], _LOOKS)[0]:
                if unwanted.is_set():
                    return None
            if not (text := os.read(number, 65536)):
                return None
        return text.decode(errors="replace").partition("\n")[0]


def _drop_typed(number: int) -> None:
    if sys.platform != "win32":
        import termios

        with suppress(termios.error):
            termios.tcflush(number, termios.TCIFLUSH)
