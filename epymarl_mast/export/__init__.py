"""A trained agent as one small file, and acting with it: no host, and no torch at run time."""

from epymarl_mast.export.agent import ExportedAgent, load_agent

__all__ = ["ExportedAgent", "load_agent"]
