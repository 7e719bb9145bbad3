"""Runners: thin subclasses of the host's."""

from epymarl_mast.runners.recording import recording_runner

__all__ = ["recording_runner"]
