"""Controllers: the host's own, acting without torch, or with continuous actions."""

from epymarl_mast.controllers.cem import cem_mac
from epymarl_mast.controllers.mac import fast_mac

__all__ = ["cem_mac", "fast_mac"]
