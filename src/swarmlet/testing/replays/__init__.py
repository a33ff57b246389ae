"""Replays: a recorded run as a test, with no network.

scrub      secrets, homes and pictures' contents taken out of texts
call       one recorded call, in the one form in which calls are kept and compared
file       recordings, read from and written to files
recording  recordings made from traces
shown      what an asked request looks like beside the nearest recorded one
answers    which recorded reply answers which request
models     the models of a replay, which answer from it
replay     `replay(...)` itself
fixture    what the pytest fixture `recorded` gives

Above the swarm, beside the scripted server, of which nothing here knows.
"""
