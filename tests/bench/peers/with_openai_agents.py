# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""OpenAI Agents, with a fake model and without its tracing."""

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from tests.bench.peers.agents import Agents


class Fake(Model):
    async def get_response(self, system_instructions, input, *args, **kwargs):  # noqa: A002  # it is called by that name
        text = input if isinstance(input, str) else input[-1]["content"]
        part = ResponseOutputText(type="output_text", text=str(int(text) + 1), annotations=[])
        message = ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[part])
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *args, **kwargs):
        raise NotImplementedError


class OpenAIAgents(Agents):
    """A run of the agent for each step."""

    def __init__(self):
        set_tracing_disabled(True)
        self._agent = Agent(name="counter", instructions="Count.", model=Fake())

    async def ask(self, text):
        return (await Runner.run(self._agent, text)).final_output


CONTENDERS = {"OpenAI Agents (a fake model a step)": OpenAIAgents}
