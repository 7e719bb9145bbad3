"""Exact resume: checkpoints while a run trains, and a run that goes on from one."""
