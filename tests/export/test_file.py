"""The file: small, the same again when read, and nothing else is accepted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from epymarl_mast.errors import ExportError
from epymarl_mast.export.file import KEY, read_agent, write_agent
from epymarl_mast.sparse import erdos_renyi


@pytest.fixture
def written(exported, make_agent, make_run, tmp_path):
    """A file, and what went into it."""
    header, networks = exported([make_agent(11, 16, 3, 0.3)], make_run(2, 3))
    path = tmp_path / "agent.safetensors"
    write_agent(path, header, networks)
    return path, header, networks


def test_what_is_read_is_what_was_written(written):
    path, header, networks = written
    again, read = read_agent(path)
    assert again == header
    for name, layer in networks[0].layers.items():
        assert np.array_equal(read[0].layers[name].weight, layer.weight)
        assert np.array_equal(read[0].layers[name].bias, layer.bias)
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.parametrize(("sparsity", "smaller"), [(0.90, 8.0), (0.95, 14.0)])
def test_size_against_the_dense_checkpoint(
    exported, make_agent, make_run, tmp_path, sparsity, smaller
):
    """3s5z's sizes with 256 hidden units."""
    agent = make_agent(128 + 14 + 8, 256, 14, 1.0)
    torch.save(agent.state_dict(), tmp_path / "agent.th")
    weights = {n: w for n, w in agent.named_parameters() if w.ndim == 2}
    sparsities = erdos_renyi({n: tuple(w.shape) for n, w in weights.items()}, sparsity)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(torch.rand(weight.shape) >= sparsities[name])
    header, networks = exported([agent], make_run(8, 14))
    write_agent(tmp_path / "agent.safetensors", header, networks)
    kept = sum(how.nonzeros for how in header.layers[0].values())
    assert kept == pytest.approx(
        (1 - sparsity) * sum(w.numel() for w in weights.values()), rel=0.02
    )
    sizes = [(tmp_path / f"agent.{kind}").stat().st_size for kind in ("th", "safetensors")]
    assert sizes[0] / sizes[1] > smaller


def changed(path, *, header=None, tensors=None):
    """Rewrite a file with parts of its header and some tensors replaced."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        said = json.loads(file.metadata()[KEY])
    stored = {**load_file(path), **(tensors or {})}
    for keys, value in (header or {}).items():
        here = said
        *above, last = keys.split(".")
        for key in above:
            here = here[int(key) if key.isdigit() else key]
        here[last] = value
    stored = {name: tensor for name, tensor in stored.items() if tensor is not None}
    save_file(stored, path, metadata={KEY: json.dumps(said)})


HUGE = 1 << 19
HOSTILE = {
    "another version": ({"header": {"format": 2}}, "its header is wrong: format"),
    "a size that is no number": ({"header": {"n_agents": "2"}}, "header is wrong: n_agents"),
    "a negative size": ({"header": {"observation": -4}}, "header is wrong: observation"),
    "a size beyond memory": ({"header": {"observation": 10**15}}, "header is wrong: observation"),
    "matrices beyond memory": (
        {"header": {"observation": HUGE, "n_actions": HUGE, "layers.0.fc1.inputs": 2 * HUGE + 2,
                    "layers.0.fc2.outputs": HUGE}}, "0.fc2.bias"),
    "an unknown key": ({"header": {"more": 1}}, "header is wrong: more"),
    "networks for other agents": ({"header": {"layers": []}}, "header is wrong: layers"),
    "other shapes": ({"header": {"layers.0.fc1.inputs": 12}}, "fc1 is 16 x 12"),
    "more weights than stored": ({"header": {"layers.0.fc1.nonzeros": 9999}}, "0.fc1.values"),
    "another code": ({"header": {"layers.0.fc1.low_bits": 9}}, "positions where"),
    "a missing tensor": ({"tensors": {"0.fc2.bias": None}}, "0.fc2.bias"),
    "another type": ({"tensors": {"0.fc2.bias": np.zeros(3, np.float64)}}, "float64"),
    "another length": ({"tensors": {"0.fc2.bias": np.zeros(4, np.float32)}}, "not float32 (3,)"),
    "not finite": ({"tensors": {"0.fc2.bias": np.full(3, np.nan, np.float32)}}, "not finite"),
    "positions outside": (
        {"tensors": {"0.fc2.positions": np.zeros(50, np.uint8)}}, "0 positions where"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_wrong_file_is_one_line(written, case):
    path, *_ = written
    change, problem = HOSTILE[case]
    changed(path, **change)
    with pytest.raises(ExportError) as error:
        read_agent(path)
    assert problem in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_networks_that_unpack_to_more_than_memory(written):
    """Each is allowed, and stored in next to nothing."""
    path, header, _ = written
    layers = {
        "fc1": {"outputs": 16, "inputs": HUGE, "nonzeros": 0, "low_bits": 0},
        "core_in": {"outputs": 48, "inputs": 16, "nonzeros": 0, "low_bits": 0},
        "core_hidden": {"outputs": 48, "inputs": 16, "nonzeros": 0, "low_bits": 0},
        "fc2": {"outputs": header.n_actions, "inputs": 16, "nonzeros": 0, "low_bits": 0},
    }
    wide = HUGE - header.inputs + header.observation + (1000 - header.n_agents) * -header.agent_id
    changed(path, header={"observation": wide, "n_agents": 1000, "layers": [layers] * 1000})
    with pytest.raises(ExportError, match=r"its networks have \d+ weights; 67108864 are allowed"):
        read_agent(path)


@pytest.mark.parametrize("length", [0, 7, 100, 1500, -1])
def test_a_file_cut_short_is_one_line(written, length):
    path, *_ = written
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ExportError, match="cannot be read"):
        read_agent(path)


def test_random_changes_of_bytes_never_get_past(written):
    """Any error is an ExportError; what is read without one has the shapes of its header."""
    path, *_ = written
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.integers(0, 2500 if rng.random() < 0.7 else len(whole), 3)] = rng.integers(256)
        path.write_bytes(damaged.tobytes())
        try:
            header, networks = read_agent(path)
        except ExportError:
            refused += 1
        else:
            assert networks[0].fc1.weight.shape[1] == header.inputs
    assert refused > 50


def test_other_files_are_named(tmp_path):
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ExportError, match="is not an agent that mast export wrote"):
        read_agent(tmp_path / "other.safetensors")
    with pytest.raises(ExportError, match="is not a file"):
        read_agent(tmp_path)
