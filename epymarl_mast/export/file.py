"""The file of an exported agent: safetensors, with a JSON header under the key ``epymarl_mast``.

For network k and each of its layers the file holds ``k.<layer>.bias`` and ``k.<layer>.values``,
float32, and ``k.<layer>.positions``: the places of the nonzero weights in the matrix, row by row,
as :mod:`epymarl_mast.export.gaps` writes them. docs/export.md is its description.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from epymarl_mast.errors import ExportError, needs_package
from epymarl_mast.export import gaps
from epymarl_mast.export.network import AgentNetwork, Array, Layer
from epymarl_mast.whole_files import write_whole

KEY = "epymarl_mast"
_MAX_WEIGHTS = 1 << 26  # of all networks, before decoding: 256 MiB
_Count = Annotated[int, Field(ge=0, le=_MAX_WEIGHTS)]
_Size = Annotated[int, Field(ge=1, le=1 << 20)]


class Coded(BaseModel):
    """How one matrix is stored.

    Attributes:
        outputs, inputs: its shape.
        nonzeros: how many weights are stored.
        low_bits: parameter of the Rice code.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    outputs: _Count
    inputs: _Count
    nonzeros: _Count
    low_bits: int = Field(ge=0, le=gaps.MAX_LOW_BITS)


class Header(BaseModel):
    """What an exported agent is.

    Attributes:
        format: version of this format.
        written_by: version of this package.
        n_agents: N.
        n_actions: U.
        observation: size of one agent's observation, without last action and agent id.
        last_action, agent_id: whether the network's input goes on with them.
        core: ``gru`` or ``linear``.
        layers: for each network, ``{layer: how it is stored}``; one network shared by all agents,
            or one for each.
        removed_units: dead neurons that the export left out, over all networks.
        options: the ``mast:`` block of the run.
        run: algorithm, task and step of the checkpoint.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1] = 1
    written_by: str
    n_agents: _Size
    n_actions: _Size
    observation: _Size
    last_action: bool
    agent_id: bool
    core: Literal["gru", "linear"]
    layers: tuple[dict[str, Coded], ...] = Field(min_length=1)
    removed_units: int = Field(ge=0)
    options: dict[str, Any]
    run: dict[str, Any]

    @property
    def inputs(self) -> int:
        """Size of a network's input."""
        return self.observation + self.n_actions * self.last_action + self.n_agents * self.agent_id


def coded(network: AgentNetwork) -> dict[str, Coded]:
    """How the layers of a network will be stored."""
    found = {}
    for name, layer in network.layers.items():
        positions = np.flatnonzero(layer.weight)
        rows, columns = layer.weight.shape
        found[name] = Coded(
            outputs=rows,
            inputs=columns,
            nonzeros=len(positions),
            low_bits=gaps.best_low_bits(positions),
        )
    return found


def write_agent(path: Path, header: Header, networks: list[AgentNetwork]) -> None:
    """Write a file; to a temporary name first.

    Raises:
        ExportError: if safetensors is missing or the file cannot be written.
    """
    with needs_package("mast export", extra="export"):
        from safetensors.numpy import save
    tensors: dict[str, Array] = {}
    for k, network in enumerate(networks):
        for name, layer in network.layers.items():
            positions = np.flatnonzero(layer.weight)
            low_bits = header.layers[k][name].low_bits
            tensors[f"{k}.{name}.bias"] = layer.bias
            tensors[f"{k}.{name}.values"] = layer.weight.ravel()[positions]
            tensors[f"{k}.{name}.positions"] = gaps.encode(positions, low_bits)
    content = save(tensors, metadata={KEY: header.model_dump_json()})
    write_bytes(path, content)


def write_bytes(path: Path, content: bytes) -> None:
    """Write to a temporary name in the same folder, then rename.

    Raises:
        ExportError: if that cannot be done.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from None


def read_agent(path: Path) -> tuple[Header, list[AgentNetwork]]:
    """Read a file; nothing in it is executed, and everything is checked before it is used.

    Raises:
        ExportError: in one line, for a file that is not what :func:`write_agent` writes.
    """
    with needs_package("an exported agent", extra="export"):
        from safetensors import SafetensorError, safe_open
    if not path.is_file():
        raise ExportError(f"{path} is not a file")
    try:
        with safe_open(path, framework="numpy") as file:
            said = (file.metadata() or {}).get(KEY)
            if said is None:
                raise ExportError(f"{path} is not an agent that mast export wrote")
            header = Header.model_validate_json(said)
            _check_shapes(header)
            networks = [_network(file, str(k), layers) for k, layers in enumerate(header.layers)]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        what = f"{first['input']!r}, this version reads 1" if where == "format" else first["msg"]
        raise ExportError(f"{path}: its header is wrong: {where}: {what}") from None
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise ExportError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    return header, networks


def _check_shapes(header: Header) -> None:
    if len(header.layers) not in (1, header.n_agents):
        raise ValueError(f"{len(header.layers)} networks for {header.n_agents} agents")
    gates = 3 if header.core == "gru" else 1
    for layers in header.layers:
        names = ["fc1", "core_in", *(["core_hidden"] if gates == 3 else []), "fc2"]
        if list(layers) != names:
            raise ValueError(f"layers {', '.join(layers)} where {', '.join(names)} belong")
        units, first = layers["fc2"].inputs, layers["fc1"].outputs
        shapes = {
            "fc1": (first, header.inputs),
            "core_in": (gates * units, first),
            "core_hidden": (gates * units, units),
            "fc2": (header.n_actions, units),
        }
        for name, layer in layers.items():
            if (layer.outputs, layer.inputs) != shapes[name]:
                raise ValueError(f"{name} is {layer.outputs} x {layer.inputs}, not {shapes[name]}")
    sizes = [layer.outputs * layer.inputs for own in header.layers for layer in own.values()]
    if sum(sizes) > _MAX_WEIGHTS:
        raise ValueError(f"its networks have {sum(sizes)} weights; {_MAX_WEIGHTS} are allowed")


def _network(file: Any, k: str, layers: dict[str, Coded]) -> AgentNetwork:
    found = {name: _layer(file, f"{k}.{name}", how) for name, how in layers.items()}
    return AgentNetwork(found["fc1"], found["core_in"], found.get("core_hidden"), found["fc2"])


def _layer(file: Any, name: str, how: Coded) -> Layer:
    bias = _tensor(file, f"{name}.bias", np.float32, how.outputs)
    values = _tensor(file, f"{name}.values", np.float32, how.nonzeros)
    code = _tensor(file, f"{name}.positions", np.uint8, None)
    if not (np.isfinite(bias).all() and np.isfinite(values).all()):
        raise ValueError(f"{name} holds a number that is not finite")
    size = how.outputs * how.inputs
    weight = np.zeros(size, np.float32)
    weight[gaps.decode(code, how.nonzeros, how.low_bits, size)] = values
    return Layer(weight.reshape(how.outputs, how.inputs), bias)


def _tensor(file: Any, name: str, dtype: type[Any], size: int | None) -> Array:
    tensor: Array = file.get_tensor(name)
    if tensor.dtype != dtype or tensor.ndim != 1 or size not in (None, len(tensor)):
        raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {dtype.__name__} ({size},)")
    return tensor
