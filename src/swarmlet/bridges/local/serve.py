"""The child process that runs llama.cpp's own OpenAI-compatible server on loopback.

    python -m swarmlet.bridges.local.serve --model FILE.gguf --name NAME

`swarmlet.bridges.local` starts it, reads the one JSON line it prints once the model is loaded and the port is
open, and ends it with SIGTERM. It also ends when its standard input closes, which the operating system does
for a parent that was killed, so no server is left behind.

This file is run by its path and imports nothing of swarmlet: a server needs neither the library nor what that
imports. It is also the only file that knows xllamacpp.
"""

import argparse
import json
import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

KEY_VARIABLE = "SWARMLET_LOCAL_KEY"
"""The server's API key comes by environment: a process's arguments can be read by every user of a machine."""

_IDLE_CONNECTIONS = 128
# llama.cpp's HTTP library spends a thread on every open connection, also on an idle one that the client keeps
# for its next request. With fewer threads than that, a request waits for seconds until a connection closes.


def main() -> None:
    """Load the model, announce the address, serve until the parent goes away or a signal comes."""
    options = _options()
    announce = _reserve_stdout()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may have calls to finish
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        server = import_module("xllamacpp").Server(_parameters(options))
    except (RuntimeError, ImportError, AttributeError) as error:  # llama.cpp's own reason was printed above
        sys.exit(f"{type(error).__name__}: {error}")
    os.write(announce, json.dumps({"listening": server.listening_address}).encode() + b"\n")
    threading.Event().wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", required=True, help="path of a .gguf file")
    parser.add_argument("--name", default="local", help="the model's name in /v1/models")
    parser.add_argument("--template", help="path of a chat template; by default the model's own")
    parser.add_argument("--slots", type=int, default=4, help="requests that are answered at the same time")
    parser.add_argument("--context", type=int, default=4096, help="tokens of context in each slot")
    parser.add_argument("--threads", type=int, default=2, help="threads that compute")
    return parser.parse_args()


def _parameters(options: argparse.Namespace) -> Any:
    """What the server is told; the attributes carry the names of llama.cpp's command line options."""
    given: Any = import_module("xllamacpp").CommonParams()
    given.model.path = options.model
    given.model_alias = {options.name}
    given.chat_template = Path(options.template).read_text(encoding="utf-8") if options.template else ""
    if hasattr(given, "hostnames"):
        given.hostnames = ["127.0.0.1"]
    else:  # xllamacpp 2026.9
        given.hostname = "127.0.0.1"
    given.port = 0
    given.api_keys = [os.environ.pop(KEY_VARIABLE)] if os.environ.get(KEY_VARIABLE) else []
    given.n_parallel = options.slots
    given.n_ctx = options.context * options.slots
    given.cpuparams.n_threads = options.threads
    given.cpuparams_batch.n_threads = options.threads
    given.n_threads_http = options.slots + _IDLE_CONNECTIONS
    given.cache_ram_mib = 0  # llama.cpp would keep up to 8 GB of old prompts beside the slots' own
    given.use_jinja = True
    given.offline = True
    given.ui = False
    given.verbosity = 1  # errors only
    return given


def _reserve_stdout() -> int:
    """A private copy of standard output; what native code prints goes to standard error from here on."""
    announce = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return announce


def _end_with_parent(parent: int) -> None:
    """End this process when the parent's end of our standard input closes, or when another process adopts us.

    The second way is for a parent that forked: its fork holds the pipe open. `_exit`, because unwinding
    native threads could wait for a reply that is being written, and there is nothing here to save.
    """
    adopted = threading.Thread(target=_end_when_adopted, args=(parent,), daemon=True)
    adopted.start()
    while os.read(sys.stdin.fileno(), 1024):  # not `sys.stdin.read`, whose lock would block a failing start
        pass
    os._exit(0)


def _end_when_adopted(parent: int) -> None:
    tick = threading.Event()
    while os.getppid() == parent:
        tick.wait(1)
    os._exit(0)


if __name__ == "__main__":
    main()
