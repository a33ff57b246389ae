"""Code that is written, reviewed, tested, run and mended, until it passes its tests or the bounds are reached.

When to use it: there is a judge that costs nothing and does not err, here a Python interpreter, so that each round of small
calls has something true to go by.

What to look at, in this order: `flow` is the graph, five agents wide and two lines deep; `agents` are the prompts; `trial`
turns code and tests into a program for the sandbox and its output into a `Report`; `shapes` are the values that flow.

    python -m examples.coding "a function that turns a Roman numeral into an int"
"""
