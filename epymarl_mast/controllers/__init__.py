"""Controllers: the host's own, acting without torch."""

from epymarl_mast.controllers.mac import fast_mac

__all__ = ["fast_mac"]
