"""The learner of every algorithm, one ``train()`` for all."""

from epymarl_mast.learners.comix_learner import MastComixLearner
from epymarl_mast.learners.facmac_learner import MastFacmacLearner
from epymarl_mast.learners.q_learner import MastQLearner
from epymarl_mast.learners.res_learner import MastResLearner
from epymarl_mast.learners.wqmix_learner import MastWqmixLearner

# By the name in the hosts' registries.
LEARNERS: dict[str, type[MastQLearner]] = {
    "mast_q_learner": MastQLearner,
    "mast_wqmix_learner": MastWqmixLearner,
    "mast_res_learner": MastResLearner,
    "mast_facmac_learner": MastFacmacLearner,
    "mast_comix_learner": MastComixLearner,
}

__all__ = [
    "LEARNERS",
    "MastComixLearner",
    "MastFacmacLearner",
    "MastQLearner",
    "MastResLearner",
    "MastWqmixLearner",
]
