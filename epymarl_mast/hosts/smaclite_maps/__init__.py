"""Maps that SMAClite lacks, by the names they have in SMAC and in the paper.

``3m`` is three Marines on each side. SMAClite ships 2s3z, 3s5z and 2c_vs_64zg, the paper's others.
"""

from __future__ import annotations

from pathlib import Path

_PREFIX, _SUFFIX = "smaclite/", "-v0"


def register() -> None:
    """Register each map file of this folder with gymnasium, unless SMAClite has that name."""
    import gymnasium

    for file in sorted(Path(__file__).parent.glob("*.json")):
        name = f"{_PREFIX}{file.stem}{_SUFFIX}"
        if name not in gymnasium.registry:
            gymnasium.register(
                name, entry_point="smaclite.env:SMACliteEnv", kwargs={"map_file": str(file)}
            )


def names() -> list[str]:
    """All map names that can be made; imports SMAClite."""
    import gymnasium
    import smaclite  # noqa: F401  registers its maps

    register()
    known = [name for name in gymnasium.registry if name.startswith(_PREFIX)]
    return sorted(name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for name in known)
