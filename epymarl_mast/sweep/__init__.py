"""Many runs of ``mast train``: which, where, and what is done already."""
