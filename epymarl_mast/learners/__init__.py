"""Learners: one ``train()`` that reads as the list of the method's steps."""

from epymarl_mast.learners.q_learner import MastQLearner

__all__ = ["MastQLearner"]
