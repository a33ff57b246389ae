"""The events as JSON Schema and as a page: what a program in any language needs to read a journal's export.

Both are made from the classes in `events` and their docstrings. `scripts/event_docs.py` writes them into `docs/`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import MISSING, fields
from itertools import pairwise
from typing import Final, cast

from swarmlet.trace import events
from swarmlet.trace.events import CutMessage, Fault, TextDelta, Unknown, event_adapter, event_types

VERSION: Final = 1
"""Of the schema. New kinds and new fields with defaults come without a new version: who reads events leaves out what it does
not know. A field that is gone, or means something else, makes a new one."""
ID: Final = "urn:swarmlet:events:1"
_NOT_KEPT: Final[tuple[type, ...]] = (TextDelta, Unknown)
_READING: Final = f"""\
A journal's export has one line for each, `{{"event": {{...}}}}`. [events.schema.json](events.schema.json) says the same as
JSON Schema; `swarmlet.trace.event_schema()` gives it in code. This is version {VERSION} of the schema. Later swarmlets add
kinds, and fields that have a default: leave out what you do not know. swarmlet does the same: an event of a kind that it does
not know is an `Unknown` in `trace.events`, with its JSON, and everything else is read.""".replace("\n", " ")


def event_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of an event, as it stands in a journal's export: `{"event": {...}}`."""
    schema = deepcopy(cast("dict[str, object]", event_adapter().json_schema(mode="validation")))
    definitions = cast("dict[str, dict[str, object]]", schema["$defs"])
    for name in (one.__name__ for one in _NOT_KEPT):
        definitions.pop(name)
    for one in (*kept_types(), Fault, CutMessage):
        _describe(definitions[one.__name__], one)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "An event of a run of swarmlet",
        "version": VERSION,
        "oneOf": [{"$ref": f"#/$defs/{one.__name__}"} for one in kept_types()],
        "$defs": dict(sorted(definitions.items())),
    }


def kept_types() -> list[type]:
    """The classes of the events that are kept in a journal."""
    return [one for one in event_types() if one not in _NOT_KEPT]


def event_page() -> str:
    """The page that documents events field by field, as Markdown."""
    lines = [
        "# Events",
        "",
        "Made by `scripts/event_docs.py` from `swarmlet.trace.events`; do not edit.",
        "",
        *_paragraphs(inspect.getdoc(events) or ""),
        "",
        _READING,
        "",
        "## States",
        "",
        _variables(inspect.getsource(events))["State"].replace("\n", " "),
    ]
    for one in (*kept_types(), Fault, CutMessage):
        lines += ["", *_type(one)]
    return "\n".join(lines).rstrip() + "\n"


def _type(one: type) -> Iterator[str]:
    kind = next((str(each.default) for each in fields(one) if each.name == "kind"), "")
    yield f"## {kind or one.__name__}"
    yield ""
    yield from _paragraphs(inspect.getdoc(one) or "")
    yield ""
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    told = field_docs(one)
    for each in fields(one):
        if each.name != "kind":
            type_ = str(each.type).replace("|", "\\|")
            yield f"| `{each.name}` | `{type_}`{_default(each.default, each.default_factory)} | {told[each.name]} |"


def _default(value: object, factory: object) -> str:
    if factory is not MISSING:
        return ", empty"
    return "" if value is MISSING else f", `{value!r}`"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        yield paragraph.replace("\n", " ")


def _describe(definition: dict[str, object], one: type) -> None:
    definition["description"] = inspect.getdoc(one) or ""
    if "kind" in (each.name for each in fields(one)):
        definition["required"] = ["kind", *cast("list[str]", definition.get("required", []))]
    told = field_docs(one)
    properties = cast("dict[str, dict[str, object]]", definition["properties"])
    for name, text in told.items():
        if name in properties and name != "kind":
            properties[name] = _with_text(properties[name], text)


def _with_text(schema: dict[str, object], text: str) -> dict[str, object]:
    return {**{key: value for key, value in schema.items() if key != "title"}, "description": text}


def field_docs(one: type) -> dict[str, str]:
    """What stands below each field of a class: the fields without a text have an empty one."""
    told = _variables(inspect.getsource(one))
    return {each.name: told.get(each.name, "").replace("\n", " ").replace("    ", "") for each in fields(one)}


def _variables(source: str) -> dict[str, str]:
    """The texts below variables, by name."""
    tree = ast.parse(inspect.cleandoc(source))
    body = tree.body[0].body if len(tree.body) == 1 and isinstance(tree.body[0], ast.ClassDef) else tree.body
    found: dict[str, str] = {}
    for statement, following in pairwise(body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return found
