"""Every fit to one body of evidence, each made when it is first asked for.

A fit that cannot be made raises NotEstimableError, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from metarho.classical.effects import Effects
from metarho.classical.excess_significance import ExcessSignificance, tes
from metarho.classical.heterogeneity import Method
from metarho.classical.multilevel import Multilevel, rma_mv
from metarho.classical.random_effects import PredictionType, RandomEffects, Test, rma
from metarho.classical.rank_test import RankTest, ranktest
from metarho.classical.small_studies import PetPeese, SmallStudies, pet_peese, regtest
from metarho.classical.step_selection import StepSelection, selmodel
from metarho.classical.trim_and_fill import TrimFill, trimfill


@dataclass(frozen=True)
class Fits:
    """Of effects with one mean; ``test`` and ``predtype`` are those of two-level fits."""

    effects: Effects
    test: Test
    prob: float
    predtype: PredictionType = "default"

    def two_level(self, method: Method, test: Test | None = None) -> RandomEffects:
        """By a method of tau²."""
        return rma(self.effects, method=method, test=test or self.test, prob=self.prob)

    @cached_property
    def three_level(self) -> Multilevel:
        """By REML; t tests where two-level fits do not have z."""
        return rma_mv(self.effects, test="z" if self.test == "z" else "t", prob=self.prob)

    @cached_property
    def egger(self) -> SmallStudies:
        """Egger's test by least squares."""
        return regtest(self.effects, form="lm", prob=self.prob)

    @cached_property
    def egger_rma(self) -> SmallStudies:
        """Egger's test with heterogeneity beside it."""
        return regtest(self.effects, form="rma", prob=self.prob)

    @cached_property
    def pet_mv(self) -> SmallStudies:
        """Egger's test, and PET, with three levels."""
        return regtest(self.effects, form="mv", prob=self.prob)

    @cached_property
    def peese_mv(self) -> SmallStudies:
        """PEESE with three levels."""
        return regtest(self.effects, form="mv", predictor="vi", prob=self.prob)

    @cached_property
    def ranks(self) -> RankTest:
        """Begg and Mazumdar's test."""
        return ranktest(self.effects)

    @cached_property
    def excess(self) -> ExcessSignificance:
        """The test of excess significance, two-sided .05."""
        return tes(self.effects)

    @cached_property
    def pet_peese(self) -> PetPeese:
        """Both regressions, by least squares."""
        return pet_peese(self.effects, prob=self.prob)

    @cached_property
    def l0(self) -> TrimFill:
        """Trim and fill by L0 and REML."""
        return trimfill(self.effects, estimator="L0", prob=self.prob)

    @cached_property
    def r0(self) -> TrimFill:
        """Trim and fill by R0 and REML."""
        return trimfill(self.effects, estimator="R0", prob=self.prob)

    @cached_property
    def selection(self) -> StepSelection:
        """The three-parameter selection model."""
        return selmodel(self.effects, prob=self.prob)
