"""Return of uniformly random actions: where shares of dense are counted from.

python benchmarks/study/random_returns.py mpe:SimpleSpread-3-v0 25
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from epymarl_mast.hosts import find_host


def main() -> None:
    """Play the episodes, and print mean and standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("key")
    parser.add_argument("time_limit", type=int)
    parser.add_argument("--episodes", type=int, default=4000)
    asked = parser.parse_args()
    make = find_host("pymarlzooplus").load().environments["gymma"]
    environment = make(key=asked.key, time_limit=asked.time_limit, seed=12345)
    draws = np.random.default_rng(0)
    returns = np.array([episode(environment, draws) for _ in range(asked.episodes)])
    print(f"{asked.key}: {returns.mean():.3f} ± {returns.std() / np.sqrt(len(returns)):.3f}")


def episode(environment: Any, draws: np.random.Generator) -> float:
    """The return of one episode."""
    environment.reset()
    total, over = 0.0, False
    while not over:
        available = environment.get_avail_actions()
        actions = [int(draws.choice(np.flatnonzero(own))) for own in available]
        reward, over, *_ = environment.step(actions)
        total += float(np.sum(reward))
    return total


if __name__ == "__main__":
    main()
