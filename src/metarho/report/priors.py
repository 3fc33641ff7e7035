"""What the terminal shows of priors: the catalogue, one entry, and what priors imply."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from metarho.data.published import published
from metarho.spec.catalogue import CERTAINTIES, TRANSFERS, Entry
from metarho.spec.priors import Prior

if TYPE_CHECKING:  # a list of priors needs no engine
    from metarho.batch.predictive import Made
    from metarho.posterior.marginals import Summary
    from metarho.predict.before_data import Implied

# A terminal of the usual width.
WIDTH = 80
_NAME, _LABEL, _WHAT = 30, 12, 34

FORMULAS: Mapping[str, str] = {
    "Normal": "exp(−((x − mu)/sigma)²/2) / (sigma √(2π))",
    "StudentT": "∝ (1 + ((x − mu)/sigma)²/nu)^(−(nu + 1)/2)",
    "Cauchy": "1 / (π beta (1 + ((x − alpha)/beta)²))",
    "Uniform": "1/(upper − lower) between lower and upper",
    "Flat": "∝ 1, improper",
    "HalfNormal": "2 exp(−(x/sigma)²/2) / (sigma √(2π)), x > 0",
    "HalfStudentT": "∝ (1 + (x/sigma)²/nu)^(−(nu + 1)/2), x > 0",
    "HalfCauchy": "2 / (π beta (1 + (x/beta)²)), x > 0",
    "Exponential": "lam exp(−lam x), x > 0",
    "PenalizedComplexity": "exponential, with P(x > upper) = alpha",
    "Gamma": "∝ x^(alpha − 1) exp(−beta x), x > 0",
    "InverseGamma": "∝ x^(−alpha − 1) exp(−beta/x), x > 0",
    "LogNormal": "log x is Normal(mu, sigma)",
    "Lomax": "∝ (1 + x/scale)^(−alpha − 1), x > 0",
    "Beta": "∝ x^(alpha − 1) (1 − x)^(beta − 1), 0 < x < 1",
    "StretchedBeta": "(1 + x)/2 is Beta(alpha, beta)",
    "NormalMixture": "Σ w Normal(mu, sigma)",
    "Truncated": "dist, cut to between lower and upper",
    "DiracDelta": "all mass in c",
    "DuMouchel": "s0/(s0 + tau)², s0² the harmonic mean of the sampling variances",
    "UniformShrinkage": "2 s0² tau/(s0² + tau²)², s0² their harmonic mean",
    "UniformI2": "2 ŝ² tau/(ŝ² + tau²)², ŝ² Higgins and Thompson's typical variance",
    "Conventional": "∝ Π (tau/(v + tau²)^(3/2))^(1/k), v the sampling variances",
    "SquareRoot": "∝ tau^(−1/2), improper",
    "Jeffreys": "∝ √Σ (tau/(v + tau²))², v the sampling variances; improper",
    "BergerDeely": "∝ Π (tau/(v + tau²))^(1/k), v the sampling variances; improper",
    "OverallJeffreys": "∝ √(Σ 1/(v + tau²) · Σ (tau/(v + tau²))²); improper",
    "RegularizedHorseshoe": "slopes normal, scales half-Cauchy, capped by a slab",
    "R2D2": "slopes normal, with shares of a variance that a Beta R² implies",
    "CumulativeDirichlet": "weights are sums of a Dirichlet's last parts: they never rise",
}
"""Family -> its density at x, in words and signs."""


def list_lines(entries: Iterable[Entry]) -> list[str]:
    """The catalogue by groups: name, parameter and prior, and what it is."""
    lines: list[str] = []
    group = ""
    for one in entries:
        if one.group != group:
            group = one.group
            lines += ["", group]
        head = f"  {one.slug:{_NAME}} {one.parameter:6} "
        text = str(one.prior)
        if len(head) + len(text) <= WIDTH:
            lines.append(head + text)
        else:
            lines += [head.rstrip(), *_wrapped(text, 6)]
        lines += _wrapped(one.about, 6)
    return lines[1:]


def entry_lines(entry: Entry) -> list[str]:
    """One entry: prior, density, where it comes from, how it was brought to z, what to mind."""
    scale = "on every scale" if entry.scale == "any" else "on Fisher's z"
    lines = [f"{entry.slug}: a prior of {entry.parameter}, {scale}"]
    lines += textwrap.wrap(entry.about, WIDTH)
    density = FORMULAS[entry.prior.family]
    on = "; x is tau²" if entry.prior.on == "tau2" else ""
    rows = [("prior", str(entry.prior)), ("density", f"{density}{on}")]
    if entry.native is not None and entry.transfer is not None:
        rows += [
            ("native", f"{entry.native}, on {entry.native_scale}"),
            ("to z", TRANSFERS[entry.transfer][1]),
        ]
    elif entry.native_scale != "z":
        rows.append(("native", f"on {entry.native_scale} scale, whichever it is"))
    if entry.derived_from is not None:
        found = published(entry.derived_from)
        where = f"{entry.derived_from.source} ({entry.derived_from.setting})"
        rows += [
            ("derived", f"{where}: r = {found.r:g} [{found.ci_low:g}, {found.ci_high:g}]"),
            ("", f"mean = atanh({found.r:g}) = {found.mean:.4f}"),
            (
                "",
                f"sd = (atanh({found.ci_high:g}) − atanh({found.ci_low:g}))/3.92 = {found.sd:.4f}",
            ),
        ]
    rows += [
        ("source", entry.sources),
        *(("certainty", f"{code}: {CERTAINTIES[code]}") for code in entry.certainty),
        ("made from", ", ".join(entry.data_overlap)),
        ("mind", entry.warn),
    ]
    return [*lines, "", *(line for label, text in rows if text for line in _row(label, text))]


def implied_lines(implied: Implied, prob: float = 0.95) -> list[str]:
    """What priors imply before data, as a table."""
    lines = _row("mu", str(implied.mu)) + _row("tau", str(implied.tau_prior))
    lines += [f"{'':{_WHAT}}{'median':>10}{f'central {prob * 100:g}%':>22}"]
    lines += [
        _numbers("mean correlation", implied.rho),
        _numbers("true correlation of a study", implied.rho_new),
        f"{'  share of them below 0':{_WHAT}}{implied.below_zero:>10.3f}",
        _numbers("tau, on z", implied.tau),
        *(
            f"{f'  share above {threshold:g}':{_WHAT}}{share:>10.3f}"
            for threshold, share in implied.tau_above.items()
        ),
        *(_numbers(f"I² in percent, n = {n}", one, 1) for n, one in implied.i2.items()),
        *(_numbers(f"observed r, n = {n}", one) for n, one in implied.observed_r.items()),
    ]
    return lines


def spread_line(mean: float, implied: Implied, prob: float = 0.95) -> str:
    """How far true correlations spread around a mean correlation, in a sentence."""
    low, high = implied.rho_new.lower, implied.rho_new.upper
    return (
        f"Around a mean correlation of {mean:g}, {prob * 100:g}% of true correlations lie between "
        f"{low:.3f} and {high:.3f}, and {implied.below_zero * 100:.1f}% are below 0."
    )


def block_lines(name: str, priors: Mapping[str, Prior]) -> list[str]:
    """A prior set as a config writes it."""
    return [
        "priors:",
        f"  {name}:",
        *(f'    {parameter}: "{prior}"' for parameter, prior in priors.items()),
    ]


def statement_lines(between: tuple[float, float], prob: float, share: float | None) -> list[str]:
    """What was said of studies, and how the spread was split where nothing was said of the mean."""
    low, high = between
    said = wrapped(
        f"{100 * prob:g}% of studies have a true correlation between {low:g} and {high:g}."
    )
    if share is None:
        return said
    return said + wrapped(
        f"Nothing was said of the mean: {share:g} of the variance is taken for heterogeneity, the "
        "rest for uncertainty of the mean (--share, or --mean-between)."
    )


def predictive_lines(made: Made) -> list[str]:
    """The prior that a fit's new study was made into, what was done, and what it is worth."""
    lines = wrapped(f"What {made.fitted} expects of the true effect of a new study:")
    count = len(dict(made.found.prior.lists)["w"])
    lines += _row("mixture", str(made.found.prior))
    lines += _row(
        "distance",
        f"{count} normals, Hellinger distance {made.found.hellinger:.4f} to the exact law",
    )
    if made.weight:
        lines += _row("robust", f"{made.weight:g} of a normal with the information of one person")
    if made.participants is not None:
        lines += _row("worth", f"{made.participants:.1f} participants (ELIR)")
    return [*lines, "", "priors:", "  predictive:", f'    mu: "{made.prior}"']


def wrapped(text: str) -> list[str]:
    """A paragraph at the width of a terminal."""
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)


def _row(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:{_LABEL}}",
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    )


def _wrapped(text: str, indent: int) -> Sequence[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)


def _numbers(label: str, summary: Summary, digits: int = 3) -> str:
    assert summary.median is not None
    # A median of rounding error is 0, not -0.
    median, lower, upper = (
        round(float(value), digits) + 0.0
        for value in (summary.median, summary.lower or 0.0, summary.upper or 0.0)
    )
    span = f"[{lower:.{digits}f}, {upper:.{digits}f}]"
    return f"{label:{_WHAT}}{median:>10.{digits}f}{span:>22}"
