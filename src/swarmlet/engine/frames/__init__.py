"""Where a run stands inside each shape of node: one frame class for each shape that has nodes inside.

flow      graphs and loops
maps      lists and streams, item by item
early     graphs and maps that begin with a list before it is whole
choices   one of several: by value, by type, in order, by handing over
contests  several at once or in turn, of which one result counts
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from swarmlet.engine.frames.choices import CascadeFrame, MatchFrame, SwitchFrame, TeamFrame, WithinFrame
from swarmlet.engine.frames.contests import BestFrame, HedgeFrame, RaceFrame, VoteFrame
from swarmlet.engine.frames.early import OfferedGraph
from swarmlet.engine.frames.flow import GraphFrame, LoopFrame
from swarmlet.engine.frames.maps import EachFrame
from swarmlet.graph.best import BestShape
from swarmlet.graph.cascade import CascadeShape
from swarmlet.graph.each import EachShape
from swarmlet.graph.hedge import HedgeShape
from swarmlet.graph.loop import LoopShape
from swarmlet.graph.match import MatchShape
from swarmlet.graph.plan import GraphShape
from swarmlet.graph.race import RaceShape
from swarmlet.graph.switch import SwitchShape
from swarmlet.graph.team import TeamShape
from swarmlet.graph.vote import VoteShape
from swarmlet.graph.within import WithinShape

if TYPE_CHECKING:
    from swarmlet.engine.frame import Frame, Place
    from swarmlet.graph.shape import AnyNode


_FRAMES: Mapping[type, Callable[[Any, Place], Frame]] = {  # Any: each takes the shape that it stands beside
    EachShape: EachFrame,
    LoopShape: LoopFrame,
    SwitchShape: SwitchFrame,
    MatchShape: MatchFrame,
    CascadeShape: CascadeFrame,
    TeamShape: TeamFrame,
    WithinShape: WithinFrame,
    RaceShape: RaceFrame,
    HedgeShape: HedgeFrame,
    VoteShape: VoteFrame,
    BestShape: BestFrame,
}


def open_frame(node: AnyNode, place: Place) -> Frame:
    """The frame for an execution of `node`."""
    if isinstance(node.shape, GraphShape):
        return (OfferedGraph if node.shape.plan.offers else GraphFrame)(node.shape, node, place)
    return _FRAMES[type(node.shape)](node.shape, place)
