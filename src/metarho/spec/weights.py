"""A joint prior of the weights of selection, as the ordinary priors that it consists of.

**CumulativeDirichlet(alpha=[α_1, …, α_B])** (as in RoBMA: Bartoš et al. 2022, 10.1002/jrsm.1594):
with δ ~ Dirichlet(α) the weight of band b is ω_b = δ_b + … + δ_B, so that the first, of the
smallest p, is 1 and the others never rise. A Dirichlet is a sequence of independent breaks:

    ω_b/ω_(b−1) ~ Beta(α_b + … + α_B, α_(b−1)),   b = 2, …, B.
"""

from __future__ import annotations

from collections.abc import Sequence

from metarho.errors import InputError
from metarho.spec.priors import PER_BAND, Prior


def weight_priors(joint: Prior, names: Sequence[str]) -> dict[str, Prior]:
    """The prior of each weight in units of the one before it, of the first in units of 1.

    Raises InputError when there is not one α a band.
    """
    alpha = dict(joint.lists)["alpha"]
    if len(alpha) != len(names) + 1:
        raise InputError(
            f"omega: {joint} has {len(alpha)} numbers, and the selection {len(names) + 1} bands; "
            "give one for each band, the first included"
        )
    found = {}
    for band, name in enumerate(names, start=1):
        shape = (("alpha", sum(alpha[band:])), ("beta", alpha[band - 1]))
        found[name] = Prior("Beta", shape, on=PER_BAND if band > 1 else "")
    return found
