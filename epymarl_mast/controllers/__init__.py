"""Controllers: the host's own, acting without torch. act_kernel alone imports none."""
