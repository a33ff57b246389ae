"""Server-sent events, as far as a stream of chat completions needs them: the data of each event, as bytes.

The SDK and its HTTP client read them line by line as text, which costs more than all that is done with a chunk afterwards.
"""

from __future__ import annotations

from typing import final

_BOM = b"\xef\xbb\xbf"


class NoEvents(Exception):
    """The answer is no stream of events."""


@final
class Events:
    """Takes the bytes of a stream as they come, cut anywhere, and gives the data of the events that are complete.

    Lines end with LF, CR LF or CR, data may have several, and comments (servers send them to keep a connection open) and
    other fields are passed over, as are events without data. What comes after the last empty line is no event.
    Raises `NoEvents` for another content type.
    """

    def __init__(self, content_type: str | None) -> None:
        kind = (content_type or "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise NoEvents(f"the server was asked for a stream of text/event-stream and sent {kind or 'no content type'!r}")
        self._begun = False
        self._open: list[bytes] = []
        """The parts of a line that has not ended yet."""
        self._data: list[bytes] = []
        """The lines of data of an event that has not ended yet."""

    def feed(self, part: bytes) -> list[bytes]:
        """The data of the events that end in `part`."""
        self._open.append(part)
        if b"\n" not in part and b"\r" not in part:
            return []
        seen = b"".join(self._open)
        if not self._begun:
            self._begun, seen = True, seen.removeprefix(_BOM)
        if b"\r" in seen:
            last = b"\r" if seen.endswith(b"\r") else b""  # whether a line feed follows is not known yet
            seen = seen.removesuffix(last).replace(b"\r\n", b"\n").replace(b"\r", b"\n") + last
        *lines, rest = seen.split(b"\n")
        self._open = [rest] if rest else []
        return [data for line in lines if (data := self._line(line))]

    def _line(self, line: bytes) -> bytes:
        """The data of the event that ends with this line, if one does."""
        if not line:
            data = b"\n".join(self._data)
            self._data.clear()
            return data
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            self._data.append(b"")
        return b""
