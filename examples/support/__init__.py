"""A support chat: replies stream word by word, teams hand over to one another, and it goes on for as long as it takes.

When to use it: people talk with a model over many turns, and what they ask wants different prompts, tools and rights.

What to look at, in this order: `desk` has the four agents of the team. Each sees its own tools alone, so the one that greets
cannot pay money back, and the one that can must ask a person first. `fit=` with `window=` keeps what is sent short, however
long the conversation gets. `talk` has the conversation as one typed value that a web app keeps between two requests, and one
turn of it: streamed, within a deadline and what is left of the conversation's budget; if it fails, a person takes over and is
told what was done. `shop` is what the tools work on: it looks who is signed in, and never asks a model who that is.

    python -m examples.support                        # type to it
    python -m examples.support --script lines.txt     # or let a file do that; without a terminal, a demonstration
    python -m examples.support --state talk.json      # goes on where the last process stopped
"""
