"""The classical (frequentist) answers: nothing here knows of a prior.

``classical_answers`` gives them all; the functions behind it take ``effects_of(studies)``.
"""

from metarho.classical.answers import Answers, classical_answers
from metarho.classical.cluster_robust import robust
from metarho.classical.effects import Effects, NotEstimableError, effects_of, effects_of_arrays
from metarho.classical.excess_significance import tes
from metarho.classical.heterogeneity import profile_likelihood, q_profile
from metarho.classical.left_out import influence, leave1out
from metarho.classical.multilevel import rma_mv
from metarho.classical.random_effects import rma
from metarho.classical.rank_test import ranktest
from metarho.classical.small_studies import pet_peese, regtest
from metarho.classical.step_selection import selmodel
from metarho.classical.trim_and_fill import trimfill

__all__ = [
    "Answers",
    "Effects",
    "NotEstimableError",
    "classical_answers",
    "effects_of",
    "effects_of_arrays",
    "influence",
    "leave1out",
    "pet_peese",
    "profile_likelihood",
    "q_profile",
    "ranktest",
    "regtest",
    "rma",
    "rma_mv",
    "robust",
    "selmodel",
    "tes",
    "trimfill",
]
