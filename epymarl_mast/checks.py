"""What a run needs beyond a valid ``mast:`` block: the host's options, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epymarl_mast.errors import OptionError
from epymarl_mast.options import MastOptions
from epymarl_mast.schemas import CONTINUOUS, SCHEMAS

_PATHS = ("local_results_path", "checkpoint_path")
_POSITIVE = (
    "t_max",
    "batch_size",
    "buffer_size",
    "batch_size_run",
    "hidden_dim",
    "lr",
    "test_nepisode",
    "test_interval",
    "target_update_interval_or_tau",
    "mixing_embed_dim",
    "hypernet_embed",
    "central_mixing_embed_dim",
    "central_action_embed",
    "critic_hidden_dim",
    "epsilon_anneal_time",
)


def uses_mast(config: Mapping[str, Any]) -> bool:
    """Whether a configuration trains one of our learners, or a registered one."""
    learner = config.get("learner")
    return isinstance(learner, str) and learner in SCHEMAS


def check_host_options(config: Mapping[str, Any]) -> None:
    """Refuse values of the host's own options with which no run makes sense.

    Raises:
        OptionError: naming the first one.
    """
    if str(config.get("runner")).startswith("mast_") and not uses_mast(config):
        raise OptionError(
            f"runner={config['runner']!r} fills the second buffer of a mast learner, but "
            f"learner={config.get('learner')!r}: allowed are {', '.join(SCHEMAS)}"
        )
    if config.get("env") in CONTINUOUS and config.get("learner") != "mast_comix_learner":
        raise OptionError(
            f"env={config['env']!r} has continuous actions: learner={config.get('learner')!r} is "
            "not allowed with it, --config=mast_comix is"
        )
    for key in _POSITIVE:
        if key in config and not (_is_number(config[key]) and config[key] > 0):
            raise OptionError(f"{key}={config[key]!r} is not allowed: a number > 0 is")
    for key in _PATHS:
        if not isinstance(config.get(key, ""), str):
            raise OptionError(f"{key}={config[key]!r} is not allowed: a path is")
    seed = config.get("seed", 0)
    if not (_is_number(seed) and 0 <= seed < 2**32):
        raise OptionError(f"seed={seed!r} is not allowed: a whole number >= 0 and < 2**32 is")
    gamma = config.get("gamma", 1.0)
    if not (_is_number(gamma) and 0 <= gamma <= 1):
        raise OptionError(f"gamma={gamma!r} is not allowed: a number >= 0 and <= 1 is")


def check_run(config: Mapping[str, Any]) -> MastOptions:
    """Check a whole run configuration that uses one of our learners.

    Args:
        config: the host's configuration after all overrides.

    Returns:
        The checked ``mast:`` block.

    Raises:
        OptionError: for a bad ``mast:`` block, or host options that it cannot work with.
    """
    learner = str(config.get("learner"))
    if "mast" not in config:
        raise OptionError(
            f"learner={learner!r} needs a mast: block of options; --config=mast_qmix has one"
        )
    options = SCHEMAS.get(learner, MastOptions).from_config(config["mast"])
    _check_mixer(config, options, learner)
    _check_replay(config, options)
    for key in ("prioritized_buffer", "use_emdqn"):
        if config.get(key, False):
            raise OptionError(f"{key}=True is not supported by {learner}: allowed is False")
    if config.get("agent_output_type", "q") != "q":
        raise OptionError(
            f"agent_output_type={config['agent_output_type']!r} is not supported by "
            f"{learner}: allowed is 'q'"
        )
    if options.tiny and config.get("mac") not in ("mast_mac", "mast_cem_mac"):
        raise OptionError(
            f"mast.tiny=True is set up by the controller: mac={config.get('mac')!r} is not "
            "allowed with it, 'mast_mac' is"
        )
    options.check_with(config)
    return options


def _check_mixer(config: Mapping[str, Any], options: MastOptions, learner: str) -> None:
    mixer = config.get("mixer")
    if mixer not in options.mixers:
        *first, last = map(repr, options.mixers)
        allowed = f"{', '.join(first)} and {last}"
        note = " (null in YAML)" if None in options.mixers else ""
        raise OptionError(f"mixer={mixer!r} is not known to {learner}: allowed are {allowed}{note}")
    if mixer is not None and not config.get("common_reward", True):
        raise OptionError(
            f"common_reward=False does not go with mixer={mixer!r}, which learns one joint value: "
            "allowed is common_reward=True (or mixer=null for independent learners)"
        )
    if mixer == "qmix" and config.get("hypernet_layers", 1) not in (1, 2):
        raise OptionError(
            f"hypernet_layers={config['hypernet_layers']!r} is not known to QMIX: allowed are 1, 2"
        )


def _check_replay(config: Mapping[str, Any], options: MastOptions) -> None:
    runner = config.get("runner")
    if options.log_value_estimates and runner not in ("mast_episode", "mast_parallel"):
        raise OptionError(
            f"runner={runner!r} does not show its test episodes to the learner "
            "(mast.log_value_estimates=True): allowed are 'mast_episode' and 'mast_parallel'"
        )
    if options.own_buffer_size > 0 and runner not in ("mast_episode", "mast_parallel"):
        buffer = "online" if options.online_buffer_size > 0 else "dynamic"
        raise OptionError(
            f"runner={runner!r} does not fill the second buffer "
            f"(mast.{buffer}_buffer_size={options.own_buffer_size}): "
            "allowed are 'mast_episode' and 'mast_parallel'"
        )
    if options.dynamic_buffer_size > 0 and (
        config.get("batch_size", 1) > options.dynamic_buffer_minimum
    ):
        raise OptionError(
            f"mast.dynamic_buffer_minimum={options.dynamic_buffer_minimum} is less than a batch: "
            f"at least batch_size={config['batch_size']} is allowed"
        )
    if runner == "mast_episode" and config.get("batch_size_run", 1) != 1:
        raise OptionError(
            f"batch_size_run={config['batch_size_run']} needs runner=mast_parallel: mast_episode "
            "runs one environment"
        )
    if config.get("batch_size", 1) > config.get("buffer_size", float("inf")):
        raise OptionError(
            f"batch_size={config['batch_size']} is larger than buffer_size="
            f"{config['buffer_size']}: no update would ever be made"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
