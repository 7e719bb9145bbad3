"""What a checkpoint costs: seconds, bytes, and the longest it holds training up at once.

    python benchmarks/checkpoint_cost.py --dims 3s5z --new 400

A full replay buffer of made-up episodes is written once whole, then again after ``--new`` more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from epymarl_mast.resume.rings import HostRing
from epymarl_mast.resume.writer import CheckpointWriter

# Agents, observation, state, actions, steps of the longest episode, mean steps.
DIMS = {"lbf": (2, 15, 30, 6, 50, 35), "3s5z": (8, 128, 216, 14, 150, 60)}


def episode(dims: tuple[int, ...], rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """A made-up episode whose numbers compress about as a real one's."""
    agents, observation, state, actions, longest, mean = dims
    steps = int(np.clip(rng.normal(mean, mean / 4), 2, longest))

    def numbers(*shape: int) -> torch.Tensor:
        drawn = rng.random(shape, np.float32)
        return torch.from_numpy(np.where(rng.random(shape) < 0.5, 0.0, drawn).astype(np.float32))

    fields = {
        "state": torch.zeros(longest + 1, state),
        "obs": torch.zeros(longest + 1, agents, observation),
        "actions": torch.zeros(longest + 1, agents, 1, dtype=torch.long),
        "avail_actions": torch.zeros(longest + 1, agents, actions, dtype=torch.int32),
        "reward": torch.zeros(longest + 1, 1),
        "terminated": torch.zeros(longest + 1, 1, dtype=torch.uint8),
        "actions_onehot": torch.zeros(longest + 1, agents, actions),
        "filled": torch.zeros(longest + 1, 1, dtype=torch.long),
    }
    fields["state"][:steps] = numbers(steps, state)
    fields["obs"][:steps] = numbers(steps, agents, observation)
    fields["actions"][:steps] = torch.from_numpy(rng.integers(0, actions, (steps, agents, 1)))
    fields["avail_actions"][:steps] = torch.from_numpy(rng.integers(0, 2, (steps, agents, actions)))
    fields["actions_onehot"].scatter_(2, fields["actions"], 1.0)
    fields["reward"][:steps] = numbers(steps, 1)
    fields["filled"][:steps] = 1
    return fields


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dims", choices=DIMS, default="lbf")
    parser.add_argument("--episodes", type=int, default=5000)
    parser.add_argument("--new", type=int, default=400)
    parser.add_argument("--out", type=Path, help="on the disk to measure")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    made = [episode(DIMS[asked.dims], rng) for _ in range(64)]
    data = {
        key: torch.zeros(asked.episodes, *field.shape, dtype=field.dtype)
        for key, field in made[0].items()
    }
    for slot in range(asked.episodes):
        for key, field in made[slot % len(made)].items():
            data[key][slot] = field
    buffer = SimpleNamespace(
        buffer_size=asked.episodes,
        episodes_in_buffer=asked.episodes,
        data=SimpleNamespace(transition_data=data),
    )
    inserted = asked.episodes
    ring = HostRing(buffer, lambda: inserted)
    with tempfile.TemporaryDirectory(dir=asked.out) as folder:
        writer = CheckpointWriter(Path(folder), [ring], 1, print)
        for what, new in (("whole buffer", 0), (f"after {asked.new} more episodes", asked.new)):
            inserted += new
            writer.seconds = writer.longest = 0.0
            writer.begin(inserted, {})
            pieces, started = 0, time.process_time()
            while writer.busy:
                writer.advance(1)
                pieces += 1
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            print(
                f"{asked.dims}, {what}: {time.process_time() - started:.2f} s of CPU, "
                f"{writer.seconds:.2f} s in {pieces} pieces, longest "
                f"{1000 * writer.longest:.0f} ms, {size / 2**20:.0f} MiB on the disk"
            )


if __name__ == "__main__":
    main()
