"""What may happen: nodes, and the graphs that wiring makes of them.

node        `Node`: a typed definition with a name, a signature, options and a shape
shape       what the engine and the drawings see of a node; `Leaf`
lift        `@node` and `@graph`
each, loop, switch, match, race, hedge, vote, best, cascade   the combinators, one file each: a function for users, a shape
            for the engine, how it is drawn; `team` is a shape alone, as its members are agents
arms        what combinators of several nodes have in common; `ballot` counts votes
plan        a graph compiled to a frozen table of steps
outline     what a node may do, row by row, before it runs; `bound` is an upper bound on calls, with symbols
fingerprint what a graph was, as a digest and as `rows`, for whom resumes a run; `changes` says in words what differs, `flat`
            lists steps as if all graphs were inlined, `spell` writes types and constants alike in every process
wiring      the builder: records calls as steps, collects all that is wrong
building    the graph that is being built here, if any, and what becomes of one that is broken
check       whether what is wired fits what is asked
ref         what stands for a value while a graph is being built
expr        where a step's argument comes from: a slot, a field of it, a list of them
signature   parameters and result types, resolved from a function or a class
types       whether a value of one type may be passed where another is asked
source      the user's source line, for messages
draw        boxes, frames and edges

Nothing here runs anything: no event loop, no I/O, no model. The engine executes the shapes.
"""
