"""The runtime: what runs share, and the ways to start one.

swarm     `Swarm`: models, journal, limits and resources, open for as long as runs need them
running   one run from its first event to its last
past      runs that are in the journal already: arguments, results, what was left open
people    who answers questions, here or later; `terminal`
settings  what a swarm is made with, checked and opened
progress  what a run does, shown while it goes on: in a terminal, in a notebook
stream    the events of a run while it goes on
logsink   the events of a run as log lines
"""
