"""Our own replay buffer beside the host's: the second one, or the one of dynamic capacity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from epymarl_mast.learners.batch import Transitions, episode_batch
from epymarl_mast.learners.engines import HostEngine, agent_inputs
from epymarl_mast.learners.regression import greedy_actions
from epymarl_mast.options import MastOptions
from epymarl_mast.replay import OnlineBuffer, Room, join_episodes


class OwnReplay:
    """Draws the batch of an update from the host's sample and our own buffer.

    Args:
        options: the checked ``mast:`` block.
        args: the run's configuration.
        seed: of the draws.

    Attributes:
        buffer: filled by the ``mast_*`` runners.
        distance: last measured distance of the oldest episodes from the policy, 0 before.
    """

    def __init__(self, options: MastOptions, args: Any, seed: int) -> None:
        self.options = options
        self.group = args.batch_size
        self.buffer = OnlineBuffer(
            options.own_buffer_size,
            torch.Generator().manual_seed(seed),
            device="cpu" if args.buffer_cpu_only else args.device,
        )
        self.distance = 0.0
        self._room = Room()

    def batch(self, sample: Any, engine: HostEngine) -> Any:
        """The batch of an update.

        Args:
            sample: the host's, from its own buffer.
            engine: copies episodes.

        With the second buffer, up to ``online_batch_size`` of the newest episodes are joined to the
        host's sample: early in a run it may hold fewer, then all it has are drawn. With the buffer
        of dynamic capacity the batch is drawn from that, as many episodes as the sample has.
        """
        if self.options.dynamic_buffer_size > 0:
            size = min(sample.batch_size, len(self.buffer))
            return episode_batch(self.buffer.sample(size), like=sample)
        size = min(self.options.online_batch_size, len(self.buffer))
        if size == 0:
            return sample
        newest = self.buffer.draw(size)
        joined = join_episodes(
            sample.data.transition_data, newest, self._room, engine.copy_episodes
        )
        return episode_batch(joined, like=sample)

    def adapt(self, updates: int, distance: Callable[[Any], float], like: Any) -> None:
        """After gradient update number ``updates``: if due, fit the capacity to the policy.

        Args:
            updates: gradient updates so far.
            distance: from episodes to how far today's policy is from them, 0 to 1.
            like: a batch of the host.
        """
        options = self.options
        if options.dynamic_buffer_size == 0 or updates % options.dynamic_buffer_interval:
            return
        self.distance = self.buffer.drop_stale(
            lambda fields: distance(episode_batch(fields, like)),
            options.dynamic_buffer_bound,
            self.group,
            options.dynamic_buffer_minimum,
        )

    def distances(
        self, distance: Callable[[Any], float], batch: Any, drawn: int
    ) -> dict[str, float]:
        """How far today's policy is from the episodes of a batch (MAST Fig. 6).

        Args:
            distance: from episodes to how far the policy is from them, 0 to 1.
            batch: what :meth:`batch` gave.
            drawn: episodes of the host's sample in it, which come first.

        Returns:
            ``{metric: number}``: of the whole batch, and of either buffer's part if it has two.
        """
        if not self.options.log_policy_distance:
            return {}
        found = {"mast_distance_batch": distance(batch)}
        if self.options.online_batch_size > 0 and batch.batch_size > drawn:
            fields = batch.data.transition_data
            for name, part in (("large", slice(0, drawn)), ("newest", slice(drawn, None))):
                own = episode_batch({key: field[part] for key, field in fields.items()}, batch)
                found[f"mast_distance_{name}"] = distance(own)
        return found

    def metrics(self) -> dict[str, float]:
        """``{metric: number}`` to log."""
        metrics = {"mast_online_episodes": float(len(self.buffer))}
        if self.options.dynamic_buffer_size > 0:
            metrics["mast_policy_distance"] = self.distance
        return metrics


@torch.no_grad()
def distance_from_policy(mac: Any, engine: HostEngine, batch: Any) -> float:
    """Share of the actions in a batch that the greedy policy of today would not take."""
    data = Transitions.from_batch(batch, engine, as_host=False)
    inputs = agent_inputs(mac, batch) if engine.needs_inputs else None
    q_values = engine.unroll(mac, batch, inputs)[:, :-1]  # (B, T, N, U)
    differs = greedy_actions(q_values, data.available[:, :-1]) != data.actions
    differing = (differs.squeeze(3) * data.mask).sum()
    return float(differing / (data.mask.sum() * data.actions.shape[2]))
