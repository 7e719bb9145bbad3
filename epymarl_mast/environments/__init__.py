"""Environments that the plugin adds to the hosts."""

from epymarl_mast.environments.mamujoco import multi_agent_mujoco
from epymarl_mast.environments.smax import smax

__all__ = ["multi_agent_mujoco", "smax"]
