"""The server of `swarmlet ui`: on 127.0.0.1 alone, for who has the address, and for no page but its own.

A journal holds prompts and replies, and a browser lets any page send requests to this machine. So:

- the path begins with a secret, new each time, which pages from elsewhere do not know;
- the name of the host must be this machine's: a name that was made to point here (DNS rebinding) is refused;
- requests that the browser says other sites caused are refused, and no answer allows them to read it (no CORS);
- pages may not be framed, load nothing from elsewhere, and tell no one where they are from;
- only GET is answered, and no part of a request is a path of a file.
"""

from __future__ import annotations

import hmac
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, cast, final
from urllib.parse import parse_qsl, urlsplit

from swarmlet.cli.ui.pages import Answer

if TYPE_CHECKING:
    from swarmlet.cli.ui.pages import Pages

_ADDRESS: Final = "127.0.0.1"
_OWN: Final = frozenset(("none", "same-origin"))
"""What `Sec-Fetch-Site` may say: the user opened the address, or one of our pages asked."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@final
class Server(ThreadingHTTPServer):
    """Serves pages until it is closed."""

    daemon_threads = True

    def __init__(self, pages: Pages, port: int = 0) -> None:
        self.pages: Pages = pages
        self.secret: str = secrets.token_urlsafe(24)
        super().__init__((_ADDRESS, port), _Handler)
        self.hosts: frozenset[str] = frozenset(f"{name}:{self.server_port}" for name in (_ADDRESS, "localhost"))

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that has hung up is no error; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{_ADDRESS}:{self.server_port}/{self.secret}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answer."""
        try:
            self._send(self._refused() or self._answer())
        except (BrokenPipeError, ConnectionResetError):  # the browser has gone elsewhere
            self.close_connection = True

    def _refused(self) -> Answer | None:
        """Why the request is not answered; the same words for all that is not ours, so nothing can be learned."""
        server = cast("Server", self.server)
        hosts = self.headers.get_all("Host") or []
        origin = self.headers.get("Origin")
        if len(hosts) != 1 or hosts[0].lower() not in server.hosts:
            return _no(403)
        if self.headers.get("Sec-Fetch-Site", "none") not in _OWN:
            return _no(403)
        if origin is not None and origin.removeprefix("http://").lower() not in server.hosts:
            return _no(403)
        secret = urlsplit(self.path).path.split("/")[1:2]
        if not secret or not hmac.compare_digest(secret[0].encode(), server.secret.encode()):
            return _no(404)
        return None

    def _answer(self) -> Answer:
        server = cast("Server", self.server)
        address = urlsplit(self.path)
        below = address.path.removeprefix(f"/{server.secret}")
        if not below.startswith("/"):
            return _no(404)
        return server.pages.answer(below[1:], dict(parse_qsl(address.query)))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = _HEADERS | ({"Content-Security-Policy": answer.policy} if answer.policy else {})
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _not_allowed(self) -> None:
        self.close_connection = True  # the body is not read
        self._send(_no(405))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _not_allowed  # noqa: N815  # the names are http.server's

    def version_string(self) -> str:
        """Says nothing of versions."""
        return "swarmlet"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """Say nothing: addresses hold the secret."""


def _no(status: int) -> Answer:
    return Answer(status, b'{"error":"no"}')
