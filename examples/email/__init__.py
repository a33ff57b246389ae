"""Replies to mail: drafted from the thread's history, checked for tone and for promises, and sent when a person says so.

When to use it: a model may write what goes out in somebody's name, but may not send it.

What to look at, in this order: `flow` is the graph, where facts and question are found side by side, a loop keeps the best
draft, and only what `approve` gives leads to `send`; `checks` are rules in plain code, which no nice tone outweighs; `outbox`
acts on the world once for each key, so that a run may die at any moment and go on. No process waits for the person.

    python -m examples.email                                     # asks at the terminal
    python -m examples.email examples/email/data/invoice.json --later
    swarmlet inbox
    swarmlet answer last reply/approve send --module examples.email.flow
    swarmlet resume last examples.email.flow:reply --swarm examples.email.desk:desk
"""
