"""Agents: prompts, tools and typed replies. To the engine an agent is a leaf, an opaque async callable.

agent       `@agent`: how a prompt function becomes a node
prompt      what a prompt function may return, and the messages made of it
output      the reply as a value of the declared type, sent back when it does not fit
tools       functions and nodes that the model may call
signature   a function's parameters as a tool schema
turns       the conversation: call, run the tools that were asked for, call again
call        one model call: attempts, waits, and their record
"""
