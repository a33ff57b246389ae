"""A question over a whole source tree, answered with citations that plain code has checked.

When to use it: the material is much larger than a prompt, and an answer is worth nothing without the places that it rests on.

What to look at, in this order: `ask` is the graph. It maps a small call over pieces of files; all calls begin with the same
long text, so `warm=True` lets one go ahead and the others find that text in the provider's cache. `on_error="keep"` and
`reserve=` make a budget that is too small give an answer that says what was not read; `on=` names what is kept, so that a
wrong key fails the run at its first call. Findings that are too many for one prompt are narrowed in rounds, by picking and
never by retelling, so a quote stays a quote. `check` holds what models cannot be trusted with: whether
a quote really stands at its lines, and which places an answer may name. `tree` decides what is read.

    python -m examples.codebase "Where are retries decided?" src --usd 0.05
    python -m examples.codebase "..." src --cache replies.db      # the same question again pays for what has changed
    python -m examples.codebase "..." src --journal runs.sqlite   # after a kill: the same command with --resume
"""
