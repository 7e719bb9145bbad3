"""Property tests here are deterministic and write nothing to disk."""

from hypothesis import settings

settings.register_profile(
    "mast", deadline=None, derandomize=True, database=None, max_examples=50, print_blob=False
)
settings.load_profile("mast")
