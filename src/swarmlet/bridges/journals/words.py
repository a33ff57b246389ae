"""What is said when a journal in Postgres cannot be used. No sentence holds a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from swarmlet.errors import JournalError

if TYPE_CHECKING:
    import psycopg


def shown(url: str, schema: str) -> str:
    """How messages name a journal: without its password."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = cast("dict[str, object]", conninfo_to_dict(url))
    except psycopg.Error:
        return "in Postgres"
    user = f"{parts['user']}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    return f"'postgresql://{user}{parts.get('host', '')}{port}/{parts.get('dbname', '')}' (schema {schema!r})"


def explain(name: str, error: Exception) -> JournalError:
    """`error` as the one sentence that a user can act on."""
    if isinstance(error, JournalError):
        return error
    import psycopg

    if not isinstance(error, psycopg.Error):
        return JournalError(f"cannot use the journal {name}: it is damaged ({type(error).__name__}: {error})")
    return JournalError(f"cannot use the journal {name}: {_reason(error)}")


_BY_CLASS: Final = {
    "28": "the server refuses the user or the password: look at both in the URL",
    "3D": "there is no such database: create it, or name another one in the URL",
    "42": "its tables are not those of a swarmlet journal, or the user may not use them: name another schema=",
    "53": "the server has no room left (disk, memory or connections): make room, then resume",
    "25": "the server takes no writes: it is a replica, or read-only",
    "40": "other transactions were in its way for too long: try again",
    "55": "other transactions were in its way for too long: try again",
    "57": "the server was stopped, or stopped the connection: look at its log",
}
_BY_TEXT: Final = (
    ("authentication failed", "28"),
    ("no password supplied", "28"),
    ("does not exist", "3D"),
    ("too many", "53"),
)


def _reason(error: psycopg.Error) -> str:
    code = error.sqlstate or ""
    if not code:  # while connecting, the driver keeps the text alone
        code = next((code for text, code in _BY_TEXT if text in str(error)), "")
    if (told := _BY_CLASS.get(code[:2])) is not None:
        return f"{told}{f' ({error.sqlstate})' if error.sqlstate else ''}"
    import psycopg

    if isinstance(error, psycopg.OperationalError):
        return "the server cannot be reached, or is gone: look whether it runs, and at host and port in the URL"
    return f"the server reports {type(error).__name__} ({error.sqlstate})"
