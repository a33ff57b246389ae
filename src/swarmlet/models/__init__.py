"""Model vendors.

base          what a model call is: messages, request, reply, and the `ChatModel` protocol
profiles      models as data: window, prices with their date, shutdown date
openai        the OpenAI client behind that protocol; any compatible server works
openai_calls  one attempt of a call, whole or streamed; imports the SDK
openai_post   its request: the first one as the SDK makes it, and later ones after it
openai_pools  the SDK's connections, openai_http others of our own, openai_aiohttp those of the extra `fast`
openai_wire   how requests and replies look on that wire
openai_errors which of its errors is which of ours

A new vendor is one file here. Nothing here knows of graphs, steps or agents.
"""
