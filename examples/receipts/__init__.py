"""Typed extraction from receipts: a model copies the figures, plain code does the sums, and doubt is a type of its own.

When to use it: a model reads what people will book, pay or report, and there is a rule that a right reading obeys.

What to look at, in this order: `shapes` says what comes out, and that an `Accepted` receipt is something else than one
`ForPerson`, so nobody can take the one for the other; `checks` is the arithmetic, which costs no tokens; `flow` reads, reads
again with what does not add up, then takes a vote, and each step costs only those receipts that need it.

    python -m examples.receipts                    # those in examples/receipts/data, one of them a picture
    python -m examples.receipts FILE... --usd 0.05
"""
