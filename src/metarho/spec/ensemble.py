"""An ensemble: how probable each model, an effect and heterogeneity are before the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from metarho.errors import did_you_mean, shown
from metarho.spec.document import Frozen

Text = Annotated[str, Field(min_length=1, max_length=200)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, le=1)]


class EnsembleSpec(Frozen):
    """Every model with and without an effect, with and without heterogeneity, and their weights.

    ``weights`` are relative (equal unless said), ``effect`` and ``heterogeneity`` the probabilities
    before the data that mu and tau are not 0; where one is 1 there are no members without it. The
    three are independent before the data.
    """

    weights: Annotated[Mapping[Text, Weight], Field(min_length=1)] | None = None
    # As probable as not, in RoBMA and where nothing is known.
    effect: Probability = 0.5
    heterogeneity: Probability = 0.5

    def of_models(self, models: Sequence[str]) -> dict[str, float]:
        """The probability of each model before the data.

        Raises ValueError where the weights are not those of the models.
        """
        if self.weights is None:
            return dict.fromkeys(models, 1 / len(models))
        for name in self.weights:
            if name not in models:
                raise ValueError(
                    f"ensemble: weights: the analysis has no model {shown(name)}; "
                    + did_you_mean(name, models)
                )
        for name in models:
            if name not in self.weights:
                raise ValueError(
                    f"ensemble: weights: the model {shown(name)} has none; every model has a "
                    "weight above 0, or leave it out of models"
                )
        total = sum(self.weights.values())
        return {name: self.weights[name] / total for name in models}
