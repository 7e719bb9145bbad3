"""Measurements against the stock host: learner update, acting, end to end."""
