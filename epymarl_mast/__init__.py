"""Sparse training for multi-agent reinforcement learning, as a plugin of EPyMARL."""

__version__ = "0.1.0"
