"""Doors to the world outside the library. Each is one room with its own extra, and none needs another.

local      an embedded small model behind an OpenAI-compatible server on loopback
journals   journals in Postgres
limits     rate limits that processes share, in Redis or Postgres
workers    runs on other machines, over DBOS or Temporal
sandbox    Python code that a model wrote, run in a box
otel       spans and metrics for OpenTelemetry
"""
