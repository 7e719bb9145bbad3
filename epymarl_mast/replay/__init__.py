"""The second replay buffer and the join of two episode batches. Torch only."""

from epymarl_mast.replay.join import Joined, Parts, Room, copy_episodes, join_episodes
from epymarl_mast.replay.online_buffer import OnlineBuffer

__all__ = [
    "Joined",
    "OnlineBuffer",
    "Parts",
    "Room",
    "copy_episodes",
    "join_episodes",
]
