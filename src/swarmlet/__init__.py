"""swarmlet: graphs of typed agent nodes, run in parallel, bounded and recorded.

errors, schema, usage, log   the ground: what everything may use; `later` imports names when they are asked for
trace, policy                what happened; which rules hold
graph                        what may happen: nodes and their wiring
engine | models              making it happen; what a model call is
agents                       prompts, tools and typed replies: an agent is a leaf of a graph
swarm                        the runtime that runs share
cli, testing, bridges        the doors

Imports go down this list only. Start reading in graph/node.py, then engine/step.py, then trace/events.py.
"""

from typing import TYPE_CHECKING

from swarmlet.agents.agent import Agent as Agent
from swarmlet.agents.agent import agent as agent
from swarmlet.agents.tools import Tool as Tool
from swarmlet.agents.tools import tool as tool
from swarmlet.engine.context import current as current
from swarmlet.errors import BudgetExceeded as BudgetExceeded
from swarmlet.errors import ContentFiltered as ContentFiltered
from swarmlet.errors import ContextTooLong as ContextTooLong
from swarmlet.errors import DeadlineExceeded as DeadlineExceeded
from swarmlet.errors import EdgeError as EdgeError
from swarmlet.errors import GraphChanged as GraphChanged
from swarmlet.errors import GraphError as GraphError
from swarmlet.errors import JournalError as JournalError
from swarmlet.errors import ModelError as ModelError
from swarmlet.errors import ModelUnavailable as ModelUnavailable
from swarmlet.errors import NoQuorum as NoQuorum
from swarmlet.errors import NotRecorded as NotRecorded
from swarmlet.errors import NotResumable as NotResumable
from swarmlet.errors import OutputInvalid as OutputInvalid
from swarmlet.errors import RateLimited as RateLimited
from swarmlet.errors import Refused as Refused
from swarmlet.errors import ReplyTruncated as ReplyTruncated
from swarmlet.errors import RoundsExhausted as RoundsExhausted
from swarmlet.errors import RunError as RunError
from swarmlet.errors import RunStopped as RunStopped
from swarmlet.errors import RunTaken as RunTaken
from swarmlet.errors import StepFailed as StepFailed
from swarmlet.errors import StepsFailed as StepsFailed
from swarmlet.errors import Suspended as Suspended
from swarmlet.errors import SwarmletError as SwarmletError
from swarmlet.errors import ToolError as ToolError
from swarmlet.errors import Unanswered as Unanswered
from swarmlet.errors import WiringError as WiringError
from swarmlet.graph.best import best as best
from swarmlet.graph.cascade import cascade as cascade
from swarmlet.graph.each import Failed as Failed
from swarmlet.graph.each import each as each
from swarmlet.graph.hedge import hedge as hedge
from swarmlet.graph.lift import graph as graph
from swarmlet.graph.lift import node as node
from swarmlet.graph.loop import Again as Again
from swarmlet.graph.loop import Done as Done
from swarmlet.graph.loop import loop as loop
from swarmlet.graph.match import match as match
from swarmlet.graph.node import Node as Node
from swarmlet.graph.race import race as race
from swarmlet.graph.switch import switch as switch
from swarmlet.graph.vote import vote as vote
from swarmlet.graph.within import Partial as Partial
from swarmlet.graph.within import within as within
from swarmlet.later import imported_later
from swarmlet.models.base import Image as Image
from swarmlet.models.base import Message as Message
from swarmlet.policy.account import Left as Left
from swarmlet.policy.budget import Budget as Budget
from swarmlet.policy.retry import Retry as Retry

if TYPE_CHECKING:
    from swarmlet.agents.approval import Approve as Approve
    from swarmlet.agents.approval import Refuse as Refuse
    from swarmlet.agents.ask import ask as ask
    from swarmlet.agents.fitting import Summarise as Summarise
    from swarmlet.agents.team import Said as Said
    from swarmlet.agents.team import team as team
    from swarmlet.models.cache import MemoryCache as MemoryCache
    from swarmlet.models.cache import SqliteCache as SqliteCache
    from swarmlet.models.fit import DropOldest as DropOldest
    from swarmlet.models.fit import Fitted as Fitted
    from swarmlet.models.fit import Room as Room
    from swarmlet.models.fit import Truncate as Truncate
    from swarmlet.models.openai import OpenAIModel as OpenAIModel
    from swarmlet.models.profiles import Profile as Profile
    from swarmlet.policy.breaker import Breaker as Breaker
    from swarmlet.policy.limits import Limits as Limits
    from swarmlet.policy.window import Window as Window
    from swarmlet.swarm.swarm import Swarm as Swarm
    from swarmlet.swarm.swarm import run as run
    from swarmlet.swarm.swarm import run_sync as run_sync
    from swarmlet.trace.journal import Question as Question
    from swarmlet.trace.read import Trace as Trace
    from swarmlet.trace.result import PartialRun as PartialRun
    from swarmlet.trace.result import Run as Run
    from swarmlet.usage import Usage as Usage

__all__ = [
    "Again",
    "Agent",
    "Approve",
    "Breaker",
    "Budget",
    "BudgetExceeded",
    "ContentFiltered",
    "ContextTooLong",
    "DeadlineExceeded",
    "Done",
    "DropOldest",
    "EdgeError",
    "Failed",
    "Fitted",
    "GraphChanged",
    "GraphError",
    "Image",
    "JournalError",
    "Left",
    "Limits",
    "MemoryCache",
    "Message",
    "ModelError",
    "ModelUnavailable",
    "NoQuorum",
    "Node",
    "NotRecorded",
    "NotResumable",
    "OpenAIModel",
    "OutputInvalid",
    "Partial",
    "PartialRun",
    "Profile",
    "Question",
    "RateLimited",
    "Refuse",
    "Refused",
    "ReplyTruncated",
    "Retry",
    "Room",
    "RoundsExhausted",
    "Run",
    "RunError",
    "RunStopped",
    "RunTaken",
    "Said",
    "SqliteCache",
    "StepFailed",
    "StepsFailed",
    "Summarise",
    "Suspended",
    "Swarm",
    "SwarmletError",
    "Tool",
    "ToolError",
    "Trace",
    "Truncate",
    "Unanswered",
    "Usage",
    "Window",
    "WiringError",
    "agent",
    "ask",
    "best",
    "cascade",
    "current",
    "each",
    "graph",
    "hedge",
    "loop",
    "match",
    "node",
    "race",
    "run",
    "run_sync",
    "switch",
    "team",
    "tool",
    "vote",
    "within",
]

_LATER = {
    "ask": "swarmlet.agents.ask",
    "Refuse": "swarmlet.agents.approval",
    "Approve": "swarmlet.agents.approval",
    "Breaker": "swarmlet.policy.breaker",
    "DropOldest": "swarmlet.models.fit",
    "Fitted": "swarmlet.models.fit",
    "Limits": "swarmlet.policy.limits",
    "MemoryCache": "swarmlet.models.cache",
    "OpenAIModel": "swarmlet.models.openai",
    "PartialRun": "swarmlet.trace.result",
    "Question": "swarmlet.trace.journal",
    "Profile": "swarmlet.models.profiles",
    "Room": "swarmlet.models.fit",
    "Run": "swarmlet.trace.result",
    "Said": "swarmlet.agents.team",
    "SqliteCache": "swarmlet.models.cache",
    "Summarise": "swarmlet.agents.fitting",
    "Swarm": "swarmlet.swarm.swarm",
    "Trace": "swarmlet.trace.read",
    "Truncate": "swarmlet.models.fit",
    "Usage": "swarmlet.usage",
    "Window": "swarmlet.policy.window",
    "run": "swarmlet.swarm.swarm",
    "run_sync": "swarmlet.swarm.swarm",
    "team": "swarmlet.agents.team",
}
"""What definitions do not need: imported when it is first asked for, as it costs more than all the rest."""

if not TYPE_CHECKING:
    __getattr__ = imported_later(__name__, _LATER)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
