"""Doors to the world outside the library. Each is one room with its own extra; none knows another.

`local`: an embedded small model behind an OpenAI-compatible server on loopback.
"""
