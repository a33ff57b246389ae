"""What was asked, beside the recorded request that is nearest to it: which message differs, and in which words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import TypeAlias, cast

from pydantic import JsonValue

from swarmlet.testing.replays.call import Form, RecordedCall, visible

Lines: TypeAlias = list[tuple[str, str]]
"""A request as people read it: lines of text, each with what it is of."""

_MOST_LINES = 8
_MOST_COMPARED = 400
_MOST_WORDS = 300
_AROUND = 40
"""Characters shown of what is the same before and after a difference."""
_LONGEST = 300


def nearest(form: Form, step: str, calls: Sequence[RecordedCall]) -> int | None:
    """Which recorded call asked for what is most like `form`: the number of lines in common decides, then the step."""
    wanted = Counter(_lines(form))

    def likeness(number: int) -> tuple[float, bool, bool, int]:
        call = calls[number]
        theirs = Counter(_lines(call.request))
        common = sum((wanted & theirs).values()) / max(1, sum((wanted | theirs).values()))
        return common, call.step == step, call.model == form.get("model"), -number

    return max(range(len(calls)), key=likeness, default=None)


def difference(recorded: Form, asked: Form) -> list[str]:
    """The lines that differ, each with what it is of; recorded words as `[-these-]`, asked ones as `{+these+}`."""
    shown = list(_differing(_lines(recorded), _lines(asked)))
    left_out = len(shown) - _MOST_LINES
    return [*shown[:_MOST_LINES], f"... and {left_out} more lines"] if left_out > 0 else shown


def _lines(form: Form) -> Lines:
    lines = [
        (name, str(value)) for name, value in sorted(form.items()) if name not in ("messages", "tools", "format", "max_tokens")
    ]
    for tool in cast("list[Form]", form.get("tools") or []):
        lines += _of_json(f"tool {tool['name']!r}", tool)
    if wanted := cast("Form | None", form.get("format")):
        lines += _of_json("reply format", wanted)
    for number, message in enumerate(cast("list[Form]", form.get("messages") or []), 1):
        lines += _of_message(f"message {number} ({message['role']})", message)
    return lines


def _of_json(label: str, value: JsonValue) -> Lines:
    return [(label, line.strip()) for line in json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).split("\n")]


def _of_message(label: str, message: Form) -> Lines:
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else cast("list[str | Form]", content)
    lines = [
        (label, line)
        for part in parts
        for line in (part.split("\n") if isinstance(part, str) else [f"picture {part['url']}"])
        if line
    ]
    for call in cast("list[Form]", message.get("tool_calls") or []):
        lines.append((label, f"calls {call['name']}({call['arguments']})"))
    return lines or [(label, "")]


def _differing(recorded: Lines, asked: Lines) -> Iterator[str]:
    # What is the same at both ends goes first: matching the rest takes time in its square.
    start = _same(recorded, asked)
    end = _same(recorded[start:][::-1], asked[start:][::-1])
    recorded = recorded[start : len(recorded) - end][:_MOST_COMPARED]
    asked = asked[start : len(asked) - end][:_MOST_COMPARED]
    for kind, a, b, c, d in SequenceMatcher(None, recorded, asked, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        both = min(b - a, d - c)
        for (_, old), (label, new) in zip(recorded[a : a + both], asked[c : c + both], strict=True):
            yield f"{label}: {words(old, new)}" if old != new else f"{label}: was elsewhere: {_short(new)}"
        yield from (f"{label}: [-{_short(line)}-]" for label, line in recorded[a + both : b])
        yield from (f"{label}: {{+{_short(line)}+}}" for label, line in asked[c + both : d])


def words(recorded: str, asked: str) -> str:
    """Two versions of a line in one, with what differs marked, and little of what does not."""
    old, new = (re.findall(r"\w+|\s+|[^\w\s]", text) for text in (recorded, asked))
    start = _same(old, new)
    end = _same(old[start:][::-1], new[start:][::-1])
    before, after = "".join(old[:start]), "".join(old[len(old) - end :]) if end else ""
    middle = _marked(old[start : len(old) - end], new[start : len(new) - end])
    return _short(_end_of(before) + "".join(middle) + _beginning_of(after))


def _same(old: Sequence[object], new: Sequence[object]) -> int:
    """How many are the same at the beginning."""
    pairs = zip(old, new, strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(old), len(new)))


def _marked(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if max(len(old), len(new)) > _MOST_WORDS:
        yield _mark(old, new)
        return
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        yield _elided("".join(old[a:b])) if kind == "equal" else _mark(old[a:b], new[c:d])


def _mark(old: Iterable[str], new: Iterable[str]) -> str:
    gone, come = _elided("".join(old)), _elided("".join(new))
    return (f"[-{gone}-]" if gone else "") + (f"{{+{come}+}}" if come else "")


def _elided(text: str) -> str:
    return text if len(text) <= 3 * _AROUND else f"{_beginning_of(text)}{text[-_AROUND:]}"


def _end_of(text: str) -> str:
    return text if len(text) <= _AROUND else f"...{text[-_AROUND:]}"


def _beginning_of(text: str) -> str:
    return text if len(text) <= _AROUND else f"{text[:_AROUND]}..."


def _short(text: str) -> str:
    seen = visible(text[: 2 * _LONGEST])
    return seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST]}..."
