"""Sizes and FLOPs of the paper's formulas, worked by hand for SMAC's 3s5z.

N = 8 agents, observation 128, state 216, U = 14 actions, h = 64, mixing embed 32, two-layer
hypernetworks of 64, B = 32. Inputs of an agent: 128 + 14 (last action) + 8 (agent id) = 150 when
shared, 142 with its own network.

Kept weights at sparsity 0.9 by Erdős-Rényi: a layer (out, in) keeps eps*(out+in), rounded up,
with eps = 0.1 * weights / sum of (out+in) over the layers.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.sparse import sparse_layers
from epymarl_mast.sparse.accounting import NetworkCost, network_cost, q_learning_cost


def agent(inputs, rnn):
    return {"fc1.weight": (64, inputs), "fc1.bias": (64,), **rnn, "fc2.weight": (14, 64)}


def own(shapes):
    return {f"agents.{i}.{name}": shape for i in range(8) for name, shape in shapes.items()}


GRU = {"rnn.weight_ih": (192, 64), "rnn.weight_hh": (192, 64), "rnn.bias_ih": (192,)}
FF = {"rnn.weight": (64, 64), "rnn.bias": (64,)}
MIXER = {
    "hyper_w_1.0.weight": (64, 216),
    "hyper_w_1.2.weight": (256, 64),
    "hyper_w_final.0.weight": (64, 216),
    "hyper_w_final.2.weight": (32, 64),
    "hyper_b_1.weight": (32, 216),
    "V.0.weight": (32, 216),
    "V.2.weight": (1, 32),
    "V.2.bias": (1,),
}

# name: shapes, weights, FLOPs, kept weights per cell, and FLOPs of each cell as
# (dense FLOPs, kept weights, weights). FLOPs of a linear layer: (2*in-1)*out; of a GRU:
# 3*h*(2*(h+in)-1).
NETWORKS = {
    "shared GRU": (
        agent(150, GRU),
        64 * 150 + 3 * 64 * 128 + 14 * 64,  # 9600 + 24576 + 896 = 35072
        299 * 64 + 3 * 64 * 255 + 127 * 14,  # 19136 + 48960 + 1778 = 69874
        # eps = 3507.2 / (214 + 256 + 256 + 78) = 4.36219
        # fc1 933.51, weight_ih and weight_hh 1116.72 each, fc2 340.25
        [(19136, 934, 9600), (48960, 1117 + 1117, 24576), (1778, 341, 896)],
    ),
    "shared FF": (
        agent(150, FF),
        64 * 150 + 64 * 64 + 14 * 64,  # 9600 + 4096 + 896 = 14592
        299 * 64 + 127 * 64 + 127 * 14,  # 19136 + 8128 + 1778 = 29042
        # eps = 1459.2 / (214 + 128 + 78) = 3.47429; fc1 743.50, rnn 444.71, fc2 270.99
        [(19136, 744, 9600), (8128, 445, 4096), (1778, 271, 896)],
    ),
    "own GRU": (
        own(agent(142, GRU)),
        8 * (64 * 142 + 3 * 64 * 128 + 14 * 64),  # 8 * (9088 + 24576 + 896) = 276480
        8 * (283 * 64 + 3 * 64 * 255 + 127 * 14),  # 8 * (18112 + 48960 + 1778) = 550800
        # layers of all agents together: (512, 142), (1536, 64) twice, (112, 64)
        # eps = 27648 / (654 + 1600 + 1600 + 176) = 6.86055
        # fc1 4486.80, weight_ih and weight_hh 10976.87 each, fc2 1207.46
        [
            (8 * 18112, 4487, 72704),
            (8 * 48960, 10977 + 10977, 196608),
            (8 * 1778, 1208, 7168),
        ],
    ),
    "own FF": (
        own(agent(142, FF)),
        8 * (64 * 142 + 64 * 64 + 14 * 64),  # 8 * (9088 + 4096 + 896) = 112640
        8 * (283 * 64 + 127 * 64 + 127 * 14),  # 8 * (18112 + 8128 + 1778) = 224144
        # eps = 11264 / (654 + 576 + 176) = 8.01138; fc1 5239.44, rnn 4614.55, fc2 1410.003
        [(8 * 18112, 5240, 72704), (8 * 8128, 4615, 32768), (8 * 1778, 1411, 7168)],
    ),
    "mixer": (
        MIXER,
        # 13824 + 16384 + 13824 + 2048 + 6912 + 6912 + 32 = 59936
        64 * 216 + 256 * 64 + 64 * 216 + 32 * 64 + 32 * 216 + 32 * 216 + 32,
        # 27584 + 32512 + 27584 + 4064 + 13792 + 13792 + 63 = 119391
        431 * 64 + 127 * 256 + 431 * 64 + 127 * 32 + 431 * 32 + 431 * 32 + 63,
        # V.2 would be denser than 1 (eps 3.98 * 33/32), so it stays dense and
        # eps = (5993.6 - 32) / (280 + 320 + 280 + 96 + 248 + 248) = 5961.6 / 1472 = 4.05
        # 1134, 1296, 1134, 388.8, 1004.4, 1004.4
        [
            (27584, 1134, 13824),
            (32512, 1296, 16384),
            (27584, 1134, 13824),
            (4064, 389, 2048),
            (13792, 1005, 6912),
            (13792, 1005, 6912),
            (63, 32, 32),
        ],
    ),
}


def cost(name, sparsity):
    shapes = NETWORKS[name][0]
    layers = sparse_layers(shapes, sparsity, "erdos_renyi") if sparsity else []
    return network_cost(shapes, layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_dense_network_by_hand(name):
    _, weights, flops, _ = NETWORKS[name]

    dense = cost(name, 0.0)

    assert (dense.size, dense.dense_size) == (weights, weights)
    assert (dense.flops, dense.dense_flops) == (flops, flops)


@pytest.mark.parametrize("name", NETWORKS)
def test_sparse_network_by_hand(name):
    _, weights, flops, cells = NETWORKS[name]

    sparse = cost(name, 0.9)

    assert sparse.size == sum(kept for _, kept, _ in cells)
    assert sparse.flops == pytest.approx(sum(f * kept / all_ for f, kept, all_ in cells), rel=1e-12)
    assert (sparse.dense_size, sparse.dense_flops) == (weights, flops)


def test_qmix_by_hand():
    networks = {"agent": cost("shared GRU", 0.9), "mixer": cost("mixer", 0.9)}

    total = q_learning_cost(networks, batch_size=32)

    assert total.size == 2 * (3509 + 5995)  # online and target networks: 19008
    assert total.dense_size == 2 * (35072 + 59936)  # 190016
    assert total.size_ratio == pytest.approx(19008 / 190016)
    assert total.dense_train_flops == 4 * 32 * (69874 + 119391)  # 4*B*(A+M) = 24225920
    assert total.dense_test_flops == 69874
    # A: 19136*934/9600 + 48960*2234/24576 + 1778*341/896 = 1861.773 + 4450.547 + 676.672
    assert total.test_flops == pytest.approx(6988.992, abs=1e-3)
    # M: 2*27584*1134/13824 + 32512*1296/16384 + 4064*389/2048 + 2*13792*1005/6912 + 63
    #  = 4525.5 + 2571.75 + 771.922 + 4010.694 + 63 = 11942.866
    assert total.train_flops == pytest.approx(128 * (6988.992 + 11942.866), rel=1e-6)
    assert total.train_flops_ratio == pytest.approx(18931.858 / 189265, rel=1e-6)
    assert total.test_flops_ratio == pytest.approx(6988.992 / 69874, rel=1e-6)


def test_weighted_qmix_by_hand():
    """B(3A + 3M + 4A_u + 4M_u); the monotonic networks have no targets."""
    flops = {"agent": 10.0, "mixer": 20.0, "central_agent": 100.0, "central_mixer": 1000.0}
    networks = {name: NetworkCost(1, 2, own, 2 * own) for name, own in flops.items()}
    passes = {"agent": 3, "mixer": 3, "central_agent": 4, "central_mixer": 4}

    total = q_learning_cost(networks, 32, passes, without_target=("agent", "mixer"))

    assert (total.size, total.dense_size) == (6, 12)
    assert total.train_flops == 32 * (3 * 10 + 3 * 20 + 4 * 100 + 4 * 1000)
    assert (total.train_flops_ratio, total.test_flops) == (0.5, 10.0)


def test_without_a_mixer_only_the_agent_counts():
    total = q_learning_cost({"agent": cost("shared GRU", 0.0)}, batch_size=32)

    assert (total.size, total.train_flops) == (2 * 35072, 4 * 32 * 69874)
    assert (total.size_ratio, total.train_flops_ratio, total.test_flops_ratio) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", NETWORKS)
@given(sparsity=st.floats(0.0, 0.99), allocation=st.sampled_from(["erdos_renyi", "uniform"]))
def test_size_is_the_kept_share_within_one_weight_per_layer(name, sparsity, allocation):
    shapes = NETWORKS[name][0]
    layers = sparse_layers(shapes, sparsity, allocation)

    sized = network_cost(shapes, layers)

    assert 0 <= sized.size - (1 - sparsity) * sized.dense_size + 1e-6 <= len(layers) + 2e-6
    assert sized.size == sum(layer.kept for layer in layers)


def test_the_two_matrices_of_a_gru_are_one_cell():
    # 3*h*(2*(h+in)-1), not (2*in-1)*3h + (2*h-1)*3h
    shapes = {"rnn.weight_ih": (6, 5), "rnn.weight_hh": (6, 2)}

    assert network_cost(shapes, []).flops == 3 * 2 * (2 * (2 + 5) - 1)


def test_two_cells_in_one_network_stay_apart():
    gru = {"weight_ih": (6, 5), "weight_hh": (6, 2)}
    both = {f"{cell}.{name}": shape for cell in ("one", "two") for name, shape in gru.items()}

    assert network_cost(both, []).flops == 2 * 3 * 2 * (2 * (2 + 5) - 1)
