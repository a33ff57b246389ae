"""What may happen: nodes, and the graphs that wiring makes of them.

node        `Node`: a typed definition with a name, a signature, options and a shape
signature   parameters and result types, resolved from a function or a class
types       whether a value of one type may be passed where another is asked
expr        where a step's argument comes from: a slot, a field of it, a list of them
ref         what stands for a value while a graph is being built
wiring      the builder: records calls as steps, checks them, collects all that is wrong
plan        a graph compiled to a frozen table of steps
each, loop, switch   the combinators, one file each: a function for users and a shape for the engine
draw        pictures

Nothing here runs anything: no event loop, no I/O, no model. The engine executes the shapes.
"""
