"""The ``mast:`` block of an algorithm's YAML, checked.

The defaults live in ``config_overrides/algs/*.yaml`` beside a comment for every key; this class is
their schema, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from epymarl_mast.errors import OptionError, nearest

Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class MastOptions(BaseModel):
    """All options of sparse training; see the YAML for meaning, unit and source of each."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    sparsity: Sparsity
    agent_sparsity: Sparsity | None
    mixer_sparsity: Sparsity | None
    allocation: Literal["erdos_renyi", "uniform"]
    topology: Literal["rigl", "set", "static", "dense"]
    topology_interval: PositiveInt
    topology_end: Annotated[float, Field(gt=0.0, le=1.0)]
    drop_fraction: Fraction
    operator: Literal["soft_mellowmax", "mellowmax", "softmax", "max"]
    alpha: Annotated[float, Field(ge=0.0)]
    omega: Annotated[float, Field(gt=0.0)]
    target: Literal["hybrid", "td_lambda", "n_step", "one_step"]
    td_lambda: Fraction
    td_lambda_start: Fraction
    n_step: PositiveInt
    online_buffer_size: Count
    online_batch_size: Count
    engine: Literal["auto", "host", "masked", "sparse"]
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"]

    def network_sparsity(self, network: str) -> float:
        """Total sparsity of the network ``agent`` or ``mixer``."""
        own = {"agent": self.agent_sparsity, "mixer": self.mixer_sparsity}[network]
        return self.sparsity if own is None else own

    @classmethod
    def from_config(cls, block: object) -> MastOptions:
        """Check a ``mast:`` block.

        Args:
            block: what the configuration holds under ``mast``.

        Raises:
            OptionError: with one line that names the first bad key, its value and what is allowed.
        """
        if not isinstance(block, Mapping):
            raise OptionError(f"mast={block!r} is not a block of options such as mast.sparsity=0.9")
        for key in block:
            if key not in cls.model_fields:
                raise OptionError(
                    f"mast.{key} is not an option{nearest(str(key), cls.model_fields)}"
                )
        try:
            options = cls.model_validate(dict(block))
        except ValidationError as error:
            raise OptionError(_first_problem(error)) from None
        options._check_online_buffer()
        return options

    def _check_online_buffer(self) -> None:
        if self.online_batch_size > self.online_buffer_size:
            raise OptionError(
                f"mast.online_batch_size={self.online_batch_size} is larger than its buffer, "
                f"mast.online_buffer_size={self.online_buffer_size}: allowed are 0 to "
                f"{self.online_buffer_size} (both 0 switch the second buffer off)"
            )
        if self.online_buffer_size > 0 and self.online_batch_size == 0:
            raise OptionError(
                f"mast.online_batch_size=0 never reads mast.online_buffer_size="
                f"{self.online_buffer_size}: draw at least 1, or set both to 0"
            )


def check_run(config: Mapping[str, Any]) -> MastOptions:
    """Check a whole run configuration that uses ``mast_q_learner``.

    Args:
        config: the host's configuration after all overrides.

    Returns:
        The checked ``mast:`` block.

    Raises:
        OptionError: for a bad ``mast:`` block, or host options that it cannot work with.
    """
    if "mast" not in config:
        raise OptionError(
            f"learner={config.get('learner')!r} needs a mast: block of options; "
            "--config=mast_qmix has one"
        )
    options = MastOptions.from_config(config["mast"])
    mixer = config.get("mixer")
    if mixer not in (None, "qmix", "vdn"):
        raise OptionError(
            f"mixer={mixer!r} is not known to mast_q_learner: allowed are 'qmix', 'vdn' and None "
            "(null in YAML)"
        )
    if mixer is not None and not config.get("common_reward", True):
        raise OptionError(
            f"common_reward=False does not go with mixer={mixer!r}, which learns one joint value: "
            "allowed is common_reward=True (or mixer=null for independent learners)"
        )
    if options.online_buffer_size > 0 and config.get("runner") not in (
        "mast_episode",
        "mast_parallel",
    ):
        raise OptionError(
            f"runner={config.get('runner')!r} does not fill the second buffer "
            f"(mast.online_buffer_size={options.online_buffer_size}): "
            "allowed are 'mast_episode' and 'mast_parallel'"
        )
    if mixer == "qmix" and config.get("hypernet_layers", 1) not in (1, 2):
        raise OptionError(
            f"hypernet_layers={config['hypernet_layers']!r} is not known to QMIX: allowed are 1, 2"
        )
    if config.get("runner") == "mast_episode" and config.get("batch_size_run", 1) != 1:
        raise OptionError(
            f"batch_size_run={config['batch_size_run']} needs runner=mast_parallel: mast_episode "
            "runs one environment"
        )
    if config.get("batch_size", 1) > config.get("buffer_size", float("inf")):
        raise OptionError(
            f"batch_size={config['batch_size']} is larger than buffer_size="
            f"{config['buffer_size']}: no update would ever be made"
        )
    for key in ("prioritized_buffer", "use_emdqn"):
        if config.get(key, False):
            raise OptionError(f"{key}=True is not supported by mast_q_learner: allowed is False")
    if config.get("agent_output_type", "q") != "q":
        raise OptionError(
            f"agent_output_type={config['agent_output_type']!r} is not supported by "
            "mast_q_learner: allowed is 'q'"
        )
    return options


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
    "epsilon_anneal_time",
)


def check_host_options(config: Mapping[str, Any]) -> None:
    """Refuse values of the host's own options with which no run makes sense.

    Raises:
        OptionError: naming the first one.
    """
    if str(config.get("runner")).startswith("mast_") and not uses_mast(config):
        raise OptionError(
            f"runner={config['runner']!r} fills the second buffer of a mast learner, but "
            f"learner={config.get('learner')!r}: allowed is learner=mast_q_learner"
        )
    for key in _POSITIVE:
        if key in config and not (_is_number(config[key]) and config[key] > 0):
            raise OptionError(f"{key}={config[key]!r} is not allowed: a number > 0 is")
    gamma = config.get("gamma", 1.0)
    if not (_is_number(gamma) and 0 <= gamma <= 1):
        raise OptionError(f"gamma={gamma!r} is not allowed: a number >= 0 and <= 1 is")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def uses_mast(config: Mapping[str, Any]) -> bool:
    """Whether a configuration trains one of our learners."""
    return config.get("learner") == "mast_q_learner"


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    name = str(problem["loc"][0])
    key = f"mast.{name}"
    if problem["type"] == "missing":
        return f"{key} is missing: every option of config_overrides/algs/mast_qmix.yaml is needed"
    value = problem["input"]
    hint = ""
    if isinstance(value, str) and "e" in value and "number" in _allowed(name):
        hint = " (YAML reads 1e-3 as text: write 1.0e-3)"
    return f"{key}={value!r} is not allowed: {_allowed(name)} is{hint}"


def _allowed(name: str) -> str:
    """What the schema allows for an option, in words."""
    schema = MastOptions.model_json_schema()["properties"][name]
    kinds = schema.get("anyOf", [schema])
    return " or ".join(_allowed_kind(kind) for kind in kinds)


def _allowed_kind(kind: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return "one of " + ", ".join(map(repr, kind["enum"]))
    kinds = {"number": "a number", "integer": "a whole number", "null": "None"}
    words = kinds.get(kind["type"], kind["type"])
    limits = (
        ("minimum", ">="),
        ("exclusiveMinimum", ">"),
        ("maximum", "<="),
        ("exclusiveMaximum", "<"),
    )
    bounds = [f"{sign} {kind[limit]:g}" for limit, sign in limits if limit in kind]
    return " ".join([words, " and ".join(bounds)]).strip()
