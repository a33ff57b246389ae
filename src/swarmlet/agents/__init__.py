"""Agents: prompts, tools and typed replies. To the engine an agent is a leaf, an opaque async callable.

agent       `@agent`: how a prompt function becomes a node
prompt      what a prompt function may return, and the messages made of it
output      the reply as a value of the declared type, sent back when it does not fit
tools       functions and nodes that the model may call
signature   a function's parameters as a tool schema
settings    what an agent is made of, beside its prompt function
begin       an agent's step becomes a conversation; imported by the first one
turns       the conversation: call, run the tools that were asked for, call again
call        one model call: attempts, waits, and their record
uses        one call of a tool; `clearance` and `approval`: what people say of it
recalled    what the record has of a conversation that another process has begun
sharing     calls that need not be made, as their reply is there
fitting     what is cut of a conversation that is too long
team        agents that hand a conversation to one another
ask         a question to a person, as a node
"""
