"""A model in symbols: one line a part, as ``metarho models show`` prints it.

Row i has y[i] with sampling variance v[i]; its true effect is theta[i].
"""

from __future__ import annotations

from metarho.spec.formulas import is_intercept_only
from metarho.spec.model import Model, StepSelection


def model_in_symbols(model: Model) -> list[str]:
    """The laws of what is observed, of true effects, and of what they vary by."""
    if model.custom is not None:
        return [f"as the Python file {model.custom} says"]
    return [*_observed(model), *_mean(model), *_varying(model), *_spread(model)]


def _observed(model: Model) -> list[str]:
    mean = "theta[i]"
    if model.selection in ("pet", "peese"):
        mean += f" + {model.selection} {'√v[i]' if model.selection == 'pet' else 'v[i]'}"
    if model.likelihood == "exact-r":
        return ["r[i] ~ the exact law of r, of n[i] people and rho = tanh(theta[i])"]
    if model.measurement == "true-score":
        return [
            f"y[i] ~ Normal(z[i], v[i]), z[i] what scores of reliability rxx[i] and ryy[i], and of "
            f"range ux[i], show of {mean}"
        ]
    if not isinstance(model.selection, StepSelection):
        return [f"y[i] ~ Normal({mean}, v[i])"]
    step = model.selection.step
    names = [f"{weight:g}" for weight in step.weights or ()] or list(step.omegas)
    bands = [f"1 where p ≤ {step.cutpoints[0]:g}"]
    ends = [*(f"p ≤ {cut:g}" for cut in step.cutpoints[1:]), "beyond"]
    bands += [f"{name} {end}" for name, end in zip(names, ends, strict=True)]
    return [
        "y[i] ~ Normal(theta[i], v[i]), and it is reported with a chance ∝ w(p[i]), p[i] the "
        f"{step.p_in_words}",
        f"w(p) = {', '.join(bands)}",
    ]


def _mean(model: Model) -> list[str]:
    terms = ["mu"]
    if not is_intercept_only(model.mods):
        terms.append("x[i]·beta")
    terms += ["u[i]" if level == "effect" else f"u_{level}[{level} of i]" for level in model.levels]
    lines = [f"theta[i] = {' + '.join(terms)}"]
    if "x[i]·beta" in terms:
        lines.append(f"x[i] the row of {model.mods}")
    return lines


def _varying(model: Model) -> list[str]:
    lines = []
    for level, sd in model.level_sds.items():
        if level != "effect":
            lines.append(f"u_{level} ~ Normal(0, {sd}²)")
            continue
        # Its tau is a row's own where the scale has moderators.
        own = sd if is_intercept_only(model.scale) else f"{sd}[i]"
        law = {
            "normal": f"Normal(0, {own}²)",
            "student-t": f"StudentT(nu, 0, {own})",
            "mixture": f"(1 − weight) Normal(0, {own}²) + weight Normal(0, {own}² + tau_outlier²)",
        }[model.effects]
        lines.append(f"u[i] ~ {law}")
    return lines


def _spread(model: Model) -> list[str]:
    if is_intercept_only(model.scale):
        return []
    sd = model.level_sds.get("effect", "tau")
    return [f"log {sd}[i] = log {sd} + s[i]·alpha, s[i] the row of {model.scale}"]
