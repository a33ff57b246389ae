"""How far the estimate without the `tokens` extra is from the true count, and what counting costs.

    python tests/bench/token_estimate.py

Prints for each kind of text the true tokens, then estimate / true and bound / true; for whole requests, whose true tokens are
not published where they have tools or a schema, the estimate with the extra, the bound with it, and both without it, each over
the first; then the time of loading and counting. This needs the extra: without it nothing here knows the truth.
"""

import sys
import time
from pathlib import Path

from swarmlet.models.base import ChatRequest, Message, ReplyFormat, ToolCall, ToolDefinition
from swarmlet.models.profiles import profile_of
from swarmlet.models.tokens import Counter, counter_for
from swarmlet.models.tokens.bounds import most_bytes, most_o200k, usual

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.models.token_corpus import CORPUS

MEGABYTES = {
    "spaces": " " * 1_000_000,
    "one letter": "a" * 1_000_000,
    "chinese, no stops": "的一是在不了有和人这中大为上个国" * 20_000,
    "english": CORPUS["english"] * 4_500,
}


ASK = Message.user(CORPUS["english"])
SEARCH = ToolDefinition(
    "search_flights",
    "Finds flights between two cities.",
    {
        "type": "object",
        "properties": {
            "origin": {"type": "string", "description": "City of departure"},
            "destination": {"type": "string", "description": "City of arrival"},
            "cabin": {"type": "string", "enum": ["economy", "business"]},
            "stops": {"type": "array", "items": {"type": "object", "properties": {"city": {"type": "string"}}}},
        },
        "required": ["origin", "destination"],
    },
    strict=False,
)
CALL = ToolCall("call_1", "search_flights", '{"origin": "Oslo", "destination": "Lima", "cabin": "economy"}')
REQUESTS = {
    "plain": ChatRequest(model="gpt-4o-mini", messages=(Message.system(CORPUS["code"]), ASK, Message.user(CORPUS["chinese"]))),
    "a tool": ChatRequest(model="gpt-4o-mini", messages=(ASK,), tools=(SEARCH,)),
    "5 tools": ChatRequest(model="gpt-4o-mini", messages=(ASK,), tools=(SEARCH,) * 5),
    "a tool called": ChatRequest(
        model="gpt-4o-mini",
        messages=(ASK, Message.assistant("", (CALL,)), Message.tool("call_1", CORPUS["json"])),
        tools=(SEARCH,),
    ),
    "a schema": ChatRequest(model="gpt-4o-mini", messages=(ASK,), format=ReplyFormat("trip", SEARCH.parameters, strict=False)),
}


def main() -> None:
    """Measure and print."""
    begin = time.perf_counter()
    counter = counter_for(profile_of("gpt-4o-mini"))
    if counter.vocabulary is None:
        sys.exit("this needs the tokenizer: pip install 'swarmlet[tokens]'")
    print(f"loaded in {time.perf_counter() - begin:.2f} s")
    print(f"{'kind':14} tokens  estimate  bound  bytes")
    for kind, text in CORPUS.items():
        true = counter.text(text).estimate
        figures = "  ".join(f"{measure(text) / true:7.2f}" for measure in (usual, most_o200k, most_bytes))
        print(f"{kind:14} {true:6} {figures}")
    blind = Counter("o200k_base", None, vocabulary=None)
    print(f"{'request':14} tokens   bound  estimate and bound without the extra")
    for kind, request in REQUESTS.items():
        known, guessed = counter.count(request), blind.count(request)
        ratios = (one / known.estimate for one in (known.worst, guessed.estimate, guessed.worst))
        print(f"{kind:14} {known.estimate:6} {'  '.join(f'{ratio:7.2f}' for ratio in ratios)}")
    print("a megabyte")
    for kind, text in MEGABYTES.items():
        begin = time.perf_counter()
        tokens = counter.text(text).estimate
        print(f"{kind:20} {tokens:8} tokens {time.perf_counter() - begin:6.2f} s")
    messages = tuple(Message.user(f"{number} {CORPUS['english'] * 10}") for number in range(40))
    request = ChatRequest(model="gpt-4o-mini", messages=messages)
    for turn in ("first", "second"):
        begin = time.perf_counter()
        tokens = counter.count(request).estimate
        print(f"40 messages, {turn} time: {tokens} tokens in {(time.perf_counter() - begin) * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
