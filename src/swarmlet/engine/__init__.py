"""Making it happen.

step        `Step` and `Outcome`: what goes through the one seam, `StepRunner`, and what comes back
scheduler   pure: what has just finished -> what to start; tested without an event loop
frame       `Frame`: one execution of a node that has nodes inside
frames      one class for each shape of a node that has nodes inside
driver      executes what the scheduler hands out, in a task group
errands     what the scheduler wants done outside of steps; `early` starts steps for items of a list that is not whole yet
reader      the items of a source, one after the other, for a map
gates       bounds on how many steps run at once, and a step's place behind them
cashier     where model calls reserve what they may spend
calling     how a user's function is called: on the event loop or in a worker thread
isolate     a coroutine in a context of its own, without a task
stray       cancellations that nobody meant for the step
recall      what earlier processes have done of the run
restore     values out of the record, as they were
keep        values and errors into the record, whatever they are
step_log    the record of each step
local       the `StepRunner` of this process: options, attempts, fallbacks
people      questions to people: how they are asked, and what becomes of the run where nobody is there
dispatch    steps that another process executes; `portable` what crosses to it
run_state   what all steps of one run share
context     `current()`: what a running step may ask for

The engine knows the shapes of nodes and opaque callables. It never hears of a model.
"""
