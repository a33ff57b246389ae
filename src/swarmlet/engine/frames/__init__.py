"""Where a run stands inside each shape of node: one frame class for each shape that has nodes inside.

flow      graphs and loops
maps      lists and streams, item by item
choices   one of several: by value, by type, in order, by handing over
contests  several at once or in turn, of which one result counts
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmlet.engine.frames.choices import CascadeFrame, MatchFrame, SwitchFrame, TeamFrame
from swarmlet.engine.frames.contests import BestFrame, HedgeFrame, RaceFrame, VoteFrame
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

if TYPE_CHECKING:
    from swarmlet.engine.frame import Frame, Place
    from swarmlet.graph.shape import AnyNode


def open_frame(node: AnyNode, place: Place) -> Frame:  # one case for each shape
    """The frame for an execution of `node`."""
    match node.shape:
        case GraphShape() as shape:
            return GraphFrame(shape, node, place)
        case EachShape() as shape:
            return EachFrame(shape, place)
        case LoopShape() as shape:
            return LoopFrame(shape, place)
        case SwitchShape() as shape:
            return SwitchFrame(shape, place)
        case MatchShape() as shape:
            return MatchFrame(shape, place)
        case CascadeShape() as shape:
            return CascadeFrame(shape, place)
        case TeamShape() as shape:
            return TeamFrame(shape, place)
        case RaceShape() as shape:
            return RaceFrame(shape, place)
        case HedgeShape() as shape:
            return HedgeFrame(shape, place)
        case VoteShape() as shape:
            return VoteFrame(shape, place)
        case BestShape() as shape:
            return BestFrame(shape, place)
        case shape:
            raise AssertionError(f"this is a bug in swarmlet: no frame for {type(shape).__name__}")
