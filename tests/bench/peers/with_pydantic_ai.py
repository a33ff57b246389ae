# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportTypedDictNotRequiredAccess=false, reportCallIssue=false, reportArgumentType=false
"""pydantic-ai, with a fake model."""

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel

from tests.bench.peers.agents import Agents


async def count(messages, info):
    return ModelResponse(parts=[TextPart(str(int(messages[-1].parts[-1].content) + 1))])


class PydanticAI(Agents):
    """A run of the agent for each step."""

    def __init__(self):
        self._agent = Agent(FunctionModel(count))

    async def ask(self, text):
        return (await self._agent.run(text)).output


CONTENDERS = {"pydantic-ai (a fake model a step)": PydanticAI}
