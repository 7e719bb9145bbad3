"""Runners: thin subclasses of the host's."""

from epymarl_mast.runners.fast_episode import fast_episode_runner
from epymarl_mast.runners.fast_parallel import fast_parallel_runner
from epymarl_mast.runners.recording import recording_runner

__all__ = ["fast_episode_runner", "fast_parallel_runner", "recording_runner"]
