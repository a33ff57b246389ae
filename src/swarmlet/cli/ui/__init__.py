"""`swarmlet ui`: the runs of a journal in the browser, live, served on this machine alone.

server    who may ask: this machine's browser with the address that was printed, and no other page in it
pages     what is answered: the list of runs, a run, one step
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from swarmlet.cli import UsageError, journal_of, message, print_json

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _SubParsersAction  # pyright: ignore[reportPrivateUsage]

    from swarmlet.cli.ui.server import Server


def register(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of `ui`."""
    parser = subparsers.add_parser("ui", help="look at the runs of a journal in the browser, also while they go on")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="the port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--no-open", action="store_true", help="only print the address")


def run(options: Namespace) -> int:
    """Serve until Ctrl-C."""
    from swarmlet.cli.ui.pages import Pages
    from swarmlet.cli.ui.server import Server

    journal = journal_of(options)
    journal.runs(limit=1)  # if it cannot be read, say so now
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port is a number from 0 to 65535, not {options.port}")
    try:
        server = Server(Pages(journal), options.port)
    except OSError as error:
        raise UsageError(f"port {options.port} of 127.0.0.1 cannot be used ({error.strerror}); --port 0 finds one") from error
    with server:
        try:
            _serve(server, options)
        except KeyboardInterrupt:
            message("ended")
    return 0


def _serve(server: Server, options: Namespace) -> None:
    """Say where, and serve."""
    if options.json:
        print_json({"url": server.url})
        sys.stdout.flush()
    else:
        print(server.url, flush=True)
    message("the address is a key to the journal: whoever has it, on this machine, can read it. Ctrl-C ends")
    if not options.no_open:
        _open(server.url)
    server.serve_forever()


def _open(url: str) -> None:
    import webbrowser

    if not webbrowser.open(url):
        message("found no browser: open the address in one")
