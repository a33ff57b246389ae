"""How many tokens a request costs as a prompt, counted before it is sent and without a network.

span    three numbers for one amount: the least, the estimate, the most
bounds  text without a vocabulary: what the most common tokenizer can never exceed, and what text usually takes
vocab   text with the vocabulary of the `tokens` extra: the same tokens as the server's
images  pictures: tiles of 512 pixels, sizes read from the headers of `data:` URLs
count   whole requests: `counter_for(profile).count(request)` gives a `Count`
check   whether a `Count` fits the window
"""

from swarmlet.models.tokens.check import check_context
from swarmlet.models.tokens.count import Count, Counter, MessageCount, counter_for
from swarmlet.models.tokens.span import Span

__all__ = ["Count", "Counter", "MessageCount", "Span", "check_context", "counter_for"]
