"""``mast export`` of a learner's checkpoint, against the host's own controller."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from epymarl_mast.cli.app import app
from epymarl_mast.errors import MastError
from epymarl_mast.export import load_agent

N_AGENTS, OBSERVATION, N_ACTIONS, STEPS, EPISODES = 3, 9, 5, 40, 3


@pytest.fixture
def invoke():
    def run(*arguments):
        result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
        if isinstance(result.exception, MastError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


@pytest.mark.parametrize(("agent", "mac"), [("rnn", "basic_mac"), ("rnn_ns", "non_shared_mac")])
def test_an_exported_agent_is_the_checkpoints(
    invoke, bench, make_args, mast_options, tmp_path, agent, mac
):
    args = make_args(
        n_agents=N_AGENTS, n_actions=N_ACTIONS, state_shape=4, agent=agent, mac=mac,
        hidden_dim=32, env_args={"key": "a task"}, mast=mast_options(engine="host"),
    )  # fmt: skip
    scheme = bench.scheme(N_AGENTS, OBSERVATION, 4, N_ACTIONS)
    learner, _ = bench.ours(scheme, args)
    for step in (50, 300):
        (tmp_path / f"{step}").mkdir()
        learner.save_models(str(tmp_path / f"{step}"))
    said = invoke("export", tmp_path, tmp_path / "agent.safetensors")
    assert f"{(tmp_path / '300' / 'agent.th').stat().st_size:,} bytes" in said
    exported = load_agent(tmp_path / "agent.safetensors")
    assert exported.header.options["sparsity"] == 0.9
    assert exported.header.run == {"name": "test", "task": "a task", "seed": 7, "t_env": 300}
    assert len(exported.header.layers) == (N_AGENTS if agent == "rnn_ns" else 1)

    generator = torch.Generator().manual_seed(0)
    sizes = (EPISODES, STEPS, N_AGENTS, OBSERVATION, 4, N_ACTIONS)
    fields = bench.random_fields(generator, *sizes)
    batch = bench.batch(scheme, N_AGENTS, fields)
    learner.mac.init_hidden(EPISODES)
    exported.reset(EPISODES)
    for t in range(STEPS):
        with torch.no_grad():
            q = learner.mac.forward(batch, t, test_mode=True)
        theirs = q.reshape(-1, N_ACTIONS).numpy()
        observations = fields["obs"][:, t].reshape(-1, OBSERVATION).numpy()
        available = fields["avail_actions"][:, t].reshape(-1, N_ACTIONS).numpy()
        chosen = exported.act(observations, available)
        np.testing.assert_allclose(exported.q_values, theirs, atol=1e-5, rtol=0)
        greedy = np.where(available > 0, theirs, -np.inf).argmax(1)
        assert chosen.tolist() == greedy.tolist()
        onehot = np.eye(N_ACTIONS, dtype=np.float32)[chosen]
        fields["actions_onehot"][:, t] = torch.from_numpy(onehot).view(EPISODES, N_AGENTS, -1)


def test_what_cannot_be_exported_is_one_line(invoke, tmp_path):
    folder = tmp_path / "50"
    folder.mkdir()

    def refused(problem, checkpoint=folder, out=tmp_path / "agent.onnx"):
        with pytest.raises(MastError, match=problem) as error:
            invoke("export", checkpoint, out)
        assert "\n" not in str(error.value)
        assert not out.exists()

    refused("allowed are names that end in .safetensors or .onnx", out=tmp_path / "agent.pt")
    refused("no file can be written there", out=tmp_path / "nowhere" / "agent.onnx")
    refused("50 is no checkpoint: a folder with agent.th in it is")
    torch.save({"conv.weight": torch.zeros(3)}, folder / "agent.th")
    refused("mast.pt is missing", tmp_path)
    torch.save({"format": 1}, folder / "mast.pt")
    refused("was saved by an older version")
    run = {"agent": "cnn", "action_selector": "epsilon_greedy"}
    torch.save({"format": 1, "run": run}, folder / "mast.pt")
    refused("only agents 'rnn' and 'rnn_ns'")
    (folder / "agent.th").write_bytes(b"no weights")
    refused("agent.th cannot be read")
