"""Time of a sparse update against its kept weights: densities × hidden units, one thread.

    python benchmarks/scaling.py docs/figures/scaling.png --json scaling.json

Updates of all densities of one hidden size are timed in turn. Needs the extra ``report``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

from epymarl_mast.bench.learner import updater
from epymarl_mast.bench.plan import Plan
from epymarl_mast.bench.timing import interleave
from epymarl_mast.bench.workplace import Workplace, configurations, use_threads
from epymarl_mast.hosts import find_host

DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
HIDDEN = (64, 128, 256, 512, 1024)


def measure(hidden: int, dims: str, repeats: int) -> list[dict[str, float]]:
    """``hidden``, ``density``, ``kept`` weights of the online networks, ``median_ms`` each."""
    host = find_host(None)
    name = host.name if host.name == "pymarlzooplus" else str(host.root)
    updates, kept = {}, {}
    for density in DENSITIES:
        plan = Plan(name, dims, density, hidden, options=("mast.engine=sparse",))
        _, sides = configurations(plan)
        workplace = Workplace(host, plan.sizes)
        learner = workplace.learner(sides["ours"])
        updates[str(density)] = updater(workplace, sides["ours"], learner)
        kept[density] = sum(int(mask.sum()) for mask in learner.networks.topology.masks.values())
    timings = interleave(updates, repeats)
    return [
        {"hidden": hidden, "density": d, "kept": kept[d], "median_ms": timings[str(d)].median_ms}
        for d in DENSITIES
    ]


def draw(points: list[dict[str, float]], picture: Path) -> None:
    """One line for each hidden size, on logarithmic axes."""
    figure, axes = plt.subplots(figsize=(6, 4))
    for hidden, marker in zip(HIDDEN, "osD^v", strict=True):
        own = [p for p in points if p["hidden"] == hidden]
        x, y = ([p[key] for p in own] for key in ("kept", "median_ms"))
        axes.loglog(x, y, marker=marker, label=f"hidden {hidden}")
    low, high = (f(p["kept"] for p in points) for f in (min, max))
    slope = points[-1]["median_ms"] / points[-1]["kept"]
    axes.loglog([low, high], [low * slope, high * slope], "k:", label="proportional")
    axes.set(xlabel="kept weights of the online networks", ylabel="one update, ms")
    axes.legend()
    figure.savefig(picture, dpi=150, bbox_inches="tight")


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--dims", default="lbf")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    use_threads(1)
    points: list[dict[str, float]] = []
    for hidden in HIDDEN:
        points += measure(hidden, arguments.dims, arguments.repeats)
        print(json.dumps(points[-len(DENSITIES) :]), flush=True)
    arguments.json.write_text(json.dumps(points, indent=2) + "\n", encoding="utf-8")
    draw(points, arguments.picture)


if __name__ == "__main__":
    main()
