"""The page as HTML: one file with its style, its script and its data, which loads nothing.

What a run recorded is data: it stands as JSON in an element that no browser executes, escaped so that nothing in it can end
that element, and the script shows it as text alone. The policy lets no other script run, and lets nothing be loaded or sent.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple, final

from swarmlet.trace.views import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swarmlet.trace.views import Data

_RUN: Final = ("dom", "words", "summary", "graph", "tree", "timeline", "search", "values", "detail", "keys", "run")
_LIST: Final = ("dom", "words", "keys", "list")


@final
class Document(NamedTuple):
    """A page, and the policy that stands in it, which a server says as well."""

    text: str
    policy: str


def run_document(title: str, data: Data, *, live: bool = False) -> Document:
    """The page of a run. With `live` it may ask the server that it came from for more."""
    return _document(title, data, _RUN, live=live)


def list_document(title: str, data: Data) -> Document:
    """The page of a journal: the list of its runs, for which it asks its server."""
    return _document(title, data, _LIST, live=True)


def _document(title: str, data: Data, scripts: Sequence[str], *, live: bool) -> Document:
    style, script = asset("page.css"), "\n".join(['"use strict";', *(asset(f"{name}.js") for name in scripts)])
    allowed = policy(style, script, live=live)
    parts = {
        "policy": escape(allowed),
        "title": escape(line(title)),
        "style": style,
        "script": script,
        "data": escaped(data),
    }
    return Document("".join(parts.get(piece, piece) for piece in asset("page.html").split("@@")), allowed)


@cache
def asset(name: str) -> str:
    """A file of this package."""
    return files("swarmlet.trace.page").joinpath("assets", name).read_text("utf-8")


def escaped(data: object) -> str:
    """JSON that can stand in a script element: plain ASCII, without `<`, `>` and `&`."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("\x7f", "\\u007f")


def policy(style: str, script: str, *, live: bool = False) -> str:
    """The content security policy: this script, this style, and nothing else from anywhere."""
    allowed = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data:",
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {source}" for name, source in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
