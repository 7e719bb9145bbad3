"""Controllers: the host's own, acting without torch, or with continuous actions.

Nothing is imported here: act_kernel has to do without torch.
"""
