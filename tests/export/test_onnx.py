"""The ONNX graph, run by another library."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from epymarl_mast.export import ExportedAgent
from epymarl_mast.export.onnx import write_onnx


@pytest.mark.parametrize("own", [False, True], ids=["shared", "per agent"])
@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
def test_the_same_values_in_onnxruntime(exported, make_agent, make_run, tmp_path, own, recurrent):
    agents = [make_agent(6, 20, 3, 0.1, recurrent, seed=i) for i in range(2 if own else 1)]
    header, networks = exported(agents, make_run(2, 3, last_action=False, agent_id=False))
    write_onnx(tmp_path / "agent.onnx", header, networks)
    session = onnxruntime.InferenceSession(tmp_path / "agent.onnx")
    ours = ExportedAgent(header, networks)
    ours.reset(3)
    hidden = np.zeros((6, session.get_inputs()[1].shape[1]), np.float32)
    rng = np.random.default_rng(0)
    for _ in range(10):
        inputs = rng.standard_normal((6, 6), np.float32)
        values, hidden = session.run(None, {"inputs": inputs, "hidden": hidden})
        ours.act(inputs, np.ones((6, 3)))
        np.testing.assert_allclose(values, ours.q_values, atol=1e-5)
