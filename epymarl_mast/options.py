"""The ``mast:`` block of an algorithm's YAML, checked.

The defaults live in ``config_overrides/algs/*.yaml`` beside a comment for every key; these classes
are their schema, and a test holds the two together. Learners with options of their own: schemas.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from epymarl_mast.errors import OptionError, nearest
from epymarl_mast.sparse import TOPOLOGIES


def _known_topology(name: str) -> str:
    if name not in TOPOLOGIES:
        raise ValueError(name)
    return name


Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0.0)]
# Read when it is checked: a topology rule can be registered from outside.
Topology = Annotated[
    str,
    AfterValidator(_known_topology),
    Field(json_schema_extra=lambda schema: schema.update(enum=list(TOPOLOGIES))),
]


class MastOptions(BaseModel):
    """All options of sparse training; see the YAML for meaning, unit and source of each.

    A learner with options of its own subclasses this.

    Attributes:
        mixers: values of ``mixer`` that the learner can be run with.
        without_target: networks that have no target network.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    mixers: ClassVar[tuple[str | None, ...]] = ("qmix", "vdn", None)
    without_target: ClassVar[frozenset[str]] = frozenset()

    sparsity: Sparsity | Literal["auto"]
    agent_sparsity: Sparsity | None
    mixer_sparsity: Sparsity | None
    auto_min: Sparsity
    auto_max: Sparsity
    auto_factor: Annotated[float, Field(gt=1.0)]
    auto_interval: PositiveInt
    auto_tolerance: NotNegative
    auto_patience: PositiveInt
    allocation: Literal["erdos_renyi", "uniform"]
    tiny: bool
    topology: Topology
    topology_interval: PositiveInt
    topology_end: Annotated[float, Field(gt=0.0, le=1.0)]
    drop_fraction: Fraction
    mask_from: str | None
    operator: Literal["soft_mellowmax", "mellowmax", "softmax", "max"]
    alpha: NotNegative
    omega: Annotated[float, Field(gt=0.0)]
    target: Literal["hybrid", "td_lambda", "n_step", "one_step", "delayed_n_step"]
    td_lambda: Fraction
    td_lambda_start: Fraction
    n_step: PositiveInt
    online_buffer_size: Count
    online_batch_size: Count
    dynamic_buffer_size: Count
    dynamic_buffer_minimum: PositiveInt
    dynamic_buffer_bound: Fraction
    dynamic_buffer_interval: PositiveInt
    engine: Literal["auto", "host", "masked", "sparse"]
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"]
    log_value_estimates: bool
    log_policy_distance: bool
    checkpoint_interval: Count
    checkpoint_minutes: NotNegative
    checkpoint_keep: PositiveInt
    resume: str | None

    def network_sparsity(self, network: str) -> float:
        """Total sparsity of a network: its own option ``<network>_sparsity``, else ``sparsity``.

        With ``sparsity: auto`` it is the one at the start.
        """
        own: float | None = getattr(self, f"{network}_sparsity", None)
        if own is not None:
            return own
        return self.auto_min if self.sparsity == "auto" else self.sparsity

    @property
    def own_buffer_size(self) -> int:
        """Episodes that the buffer filled by our runners holds: the second one, or the dynamic."""
        return max(self.online_buffer_size, self.dynamic_buffer_size)

    def passes(self, n_agents: int, n_actions: int) -> Mapping[str, int]:
        """Forward passes of each network in one update; a backward pass counts as two.

        Source: MAST App. B.4.
        """
        return {"agent": 4, "mixer": 4}

    @property
    def decision_passes(self) -> int:
        """Forward passes of the agent network for one decision."""
        return 1

    def check_with(self, config: Mapping[str, Any]) -> None:
        """Check this block together with the whole configuration of a run.

        Raises:
            OptionError: if they do not fit together.
        """

    @classmethod
    def from_config(cls, block: object) -> Self:
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
            raise OptionError(cls._first_problem(error)) from None
        options._check_topology()
        options._check_buffers()
        options._check_auto()
        return options

    def _check_topology(self) -> None:
        if self.tiny and self.topology != "dense":
            raise OptionError(
                f"mast.tiny=True is a dense network: mast.topology={self.topology!r} is not "
                "allowed with it, 'dense' is"
            )
        if self.tiny and self.engine == "sparse":
            raise OptionError(
                "mast.tiny=True is a dense network: mast.engine='sparse' is not allowed with it, "
                "'auto' is"
            )
        if self.mask_from is not None and self.topology != "static":
            raise OptionError(
                f"mast.mask_from={self.mask_from} gives a mask that stays: "
                f"mast.topology={self.topology!r} is not allowed with it, 'static' is"
            )

    def _check_auto(self) -> None:
        if self.sparsity != "auto":
            return
        if self.auto_min > self.auto_max:
            raise OptionError(
                f"mast.auto_min={self.auto_min} is not allowed: at most mast.auto_max="
                f"{self.auto_max} is"
            )
        if not TOPOLOGIES[self.topology].evolves:
            evolving = ", ".join(repr(name) for name, rule in TOPOLOGIES.items() if rule.evolves)
            raise OptionError(
                f"mast.sparsity=auto changes with the topology: mast.topology={self.topology!r} is "
                f"not allowed with it, {evolving} are"
            )
        if self.online_buffer_size == 0:
            raise OptionError(
                "mast.sparsity=auto reads the returns of the newest episodes: "
                "mast.online_buffer_size=0 is not allowed with it, a number >= 1 is"
            )

    def _check_buffers(self) -> None:
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
        if self.dynamic_buffer_size == 0:
            return
        if self.online_buffer_size > 0:
            raise OptionError(
                f"mast.dynamic_buffer_size={self.dynamic_buffer_size} does not go with a second "
                f"buffer (mast.online_buffer_size={self.online_buffer_size}): one of them is 0"
            )
        if self.dynamic_buffer_minimum > self.dynamic_buffer_size:
            raise OptionError(
                f"mast.dynamic_buffer_minimum={self.dynamic_buffer_minimum} is not allowed: at "
                f"most mast.dynamic_buffer_size={self.dynamic_buffer_size} is"
            )

    @classmethod
    def _first_problem(cls, error: ValidationError) -> str:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        key = f"mast.{name}"
        if problem["type"] == "missing":
            return f"{key} is missing: every option of the shipped YAML file is needed"
        value = problem["input"]
        allowed = cls._allowed(name)
        hint = ""
        if isinstance(value, str) and "e" in value and "number" in allowed:
            hint = " (YAML reads 1e-3 as text: write 1.0e-3)"
        return f"{key}={value!r} is not allowed: {allowed} is{hint}"

    @classmethod
    def _allowed(cls, name: str) -> str:
        """What the schema allows for an option, in words."""
        schema = cls.model_json_schema()["properties"][name]
        kinds = schema.get("anyOf", [schema])
        return " or ".join(_allowed_kind(kind) for kind in kinds)


def _allowed_kind(kind: Mapping[str, Any]) -> str:
    if "const" in kind:
        return repr(kind["const"])
    if "enum" in kind:
        return "one of " + ", ".join(map(repr, kind["enum"]))
    kinds = {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "True or False",
        "string": "text",
        "null": "None",
    }
    words = kinds.get(kind["type"], kind["type"])
    limits = (
        ("minimum", ">="),
        ("exclusiveMinimum", ">"),
        ("maximum", "<="),
        ("exclusiveMaximum", "<"),
    )
    bounds = [f"{sign} {kind[limit]:g}" for limit, sign in limits if limit in kind]
    return " ".join([words, " and ".join(bounds)]).strip()
