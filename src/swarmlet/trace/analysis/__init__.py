"""What explains a run: where its time and its money went. Computed from its trace, when it is asked for.

kinds          what time goes to, and sums of it
activity       one step's time, moment by moment: what it was doing
executions     each time that a step was executed, on one clock, also over several processes
plan           the graph as it was recorded with the run, where it was
dependencies   what each step waited for: one graph of moments, on which all of the rest is computed
critical       the chain of steps that determined the wall time
waits          what steps waited for
what_if        the run as it would have been
diff           two runs, step by step
frames         a run as plain data and as tables
insight        keeps what was computed for a trace

Knows events and nothing else: no graph, no model, no journal.
"""
