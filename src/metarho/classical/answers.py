"""All classical answers to one body of evidence: estimators, heterogeneity, asymmetry, slopes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metarho.classical.cluster_robust import robust
from metarho.classical.effects import Effects, NotEstimableError, effects_of
from metarho.classical.estimators import Estimate, estimates
from metarho.classical.fits import Fits
from metarho.classical.heterogeneity import Tau2Interval, q_profile
from metarho.classical.multilevel import Level, rma_mv
from metarho.classical.random_effects import TESTS, PredictionType, Test, rma
from metarho.classical.wald import Coefficients, Omnibus
from metarho.data.studies import Studies
from metarho.errors import InputError, did_you_mean
from metarho.representations import Shown

if TYPE_CHECKING:
    from rich.console import RenderableType


# Quantiles of a higher confidence have no digits: 1 − prob is rounding.
MOST_CERTAIN = 1 - 1e-12


@dataclass(frozen=True)
class LevelVariance:
    """A level of the three-level model: its variance, profile interval, share and test.

    ``i2`` is in percent, None where errors correlate.
    """

    level: Level
    sigma2: float
    interval: Tau2Interval
    i2: float | None
    test: Omnibus


@dataclass(frozen=True)
class Heterogeneity:
    """Q and its p; tau² by REML with its Q-profile interval; the levels, where there are two.

    I² and H² of an interval are those of its ends, with the typical sampling variance ``vt``.
    """

    q: float
    df: int
    q_p: float
    tau2: float
    interval: Tau2Interval
    vt: float
    levels: tuple[LevelVariance, ...]

    def i2(self, tau2: float) -> float:
        """I² in percent at a tau²."""
        return 100 * tau2 / (tau2 + self.vt)

    def h2(self, tau2: float) -> float:
        """H² at a tau²."""
        return 1 + tau2 / self.vt


@dataclass(frozen=True)
class SmallStudyTest:
    """A test of whether small studies differ: what it found, and its p; or why there is none."""

    name: str
    found: str
    pval: float | None


@dataclass(frozen=True)
class Regression:
    """A meta-regression: coefficients, the moderators together, and the heterogeneity left.

    ``tau2`` is that of all levels, ``r2`` in percent. QM is the model's: cluster-robust ones
    have none.
    """

    name: str
    coefficients: Coefficients
    qm: Omnibus | None
    qe: float
    qe_df: int
    qe_p: float
    tau2: float
    r2: float | None


@dataclass(frozen=True)
class Answers:
    """What every classical method says of the rows that printed a number."""

    effects: Effects
    prob: float
    test: Test
    estimates: tuple[Estimate, ...]
    heterogeneity: Heterogeneity | None
    small_studies: tuple[SmallStudyTest, ...]
    regressions: tuple[Regression, ...]
    notes: tuple[str, ...]

    def __getitem__(self, code: str) -> Estimate:
        """The row of an estimator by its code, as ``REML``."""
        for row in self.estimates:
            if row.code == code:
                return row
        raise KeyError(f"{code}; {did_you_mean(code, [row.code for row in self.estimates])}")

    def __repr__(self) -> str:
        """How many effects they are of."""
        return f"<{self.shown.title}>"

    def __rich__(self) -> RenderableType:
        """What a terminal shows of them."""
        return self.shown.rich()

    def _repr_html_(self) -> str:
        """What a notebook shows of them."""
        return self.shown.html()

    @property
    def on(self) -> str:
        """What estimates are for readers: r, or yi."""
        return "yi" if self.effects.scale == "yi" else "r"

    @property
    def number_columns(self) -> tuple[str, ...]:
        """What the numbers of ``cells`` are: on z and on r where the effects are Fisher's z."""
        ci, scale = f"{100 * self.prob:g}% CI", self.effects.scale
        if scale == "z":
            return ("z", "r", f"{ci} of r", "tau of z", "I²", "new study's r")
        return (self.on, f"{ci} of {self.on}", f"tau of {self.on}", "I²", f"new study's {self.on}")

    @property
    def shown(self) -> Shown:
        """The table of estimators for readers, on r where the evidence is a correlation."""
        effects = self.effects
        title = (
            f"Classical answers: {effects.k} effects from {effects.k_studies} "
            f"{'study' if effects.k_studies == 1 else 'studies'}"
        )
        rows = tuple(cells(row) for row in self.estimates)
        columns = ("estimator", "test", *self.number_columns)
        return Shown(title, columns, rows, (*self.not_estimable, *self.notes), names=2)

    @property
    def not_estimable(self) -> tuple[str, ...]:
        """Of each reason, the rows that have no answer for it."""
        reasons: dict[str, list[str]] = {}
        for row in self.estimates:
            if row.reason:
                reasons.setdefault(row.reason, []).append(row.name)
        return tuple(
            f"not estimable: {', '.join(dict.fromkeys(names))}: {reason}"
            for reason, names in reasons.items()
        )


def cells(row: Estimate) -> tuple[str, ...]:
    """Name, test and numbers of a row, on r but for tau; of Fisher's z the estimate on z first."""
    first = (row.name, row.test, *([plain(row.estimate)] if row.scale == "z" else []))
    if row.reason:
        return (*first, *["–"] * 5)
    on = [
        value if row.scale == "yi" else row.on_r(value)
        for value in (row.estimate, row.ci_lb, row.ci_ub, row.pi_lb, row.pi_ub)
    ]
    i2 = "–" if row.i2 is None else f"{row.i2:.0f}%"
    return (*first, plain(on[0]), ends(*on[1:3]), plain(row.tau), i2, ends(*on[3:]))


def plain(value: float | None) -> str:
    """A number to three digits after the point; very large and small ones to three digits."""
    if value is None:
        return "–"
    return f"{value:.3f}" if value == 0 or 0.0005 <= abs(value) < 1000 else f"{value:.3g}"


def ends(lower: float | None, upper: float | None) -> str:
    """An interval in brackets."""
    return "–" if lower is None or upper is None else f"[{plain(lower)}, {plain(upper)}]"


def classical_answers(
    studies: Studies,
    *,
    mods: str | None = None,
    reference: Mapping[str, str] | None = None,
    test: Test = "z",
    predtype: PredictionType = "default",
    prob: float = 0.95,
) -> Answers:
    """Every classical (frequentist) answer to the rows that printed a number. No prior enters.

    ``test`` is that of the two-level rows: "z", "t", "knha" (Knapp–Hartung) or "adhoc" (the same,
    never narrower than "t"); three-level ones have t for all but the first. ``predtype`` "Riley"
    makes a new study's interval, of two-level rows, one of t with k − 2 degrees of freedom.
    ``mods`` asks for meta-regressions besides, with the ``reference`` level of each factor; the
    table is of the mean over all rows.

    Raises InputError where no row printed a number, or a moderator cannot be encoded.

    >>> from metarho import load_studies
    >>> answers = classical_answers(load_studies("internet-alliance", where='role == "main"'))
    >>> f"{answers['REML'].on_r(answers['REML'].estimate):.3f}"
    '0.272'
    """
    if test not in TESTS:
        raise InputError(f"no test {test!r}; {did_you_mean(str(test), TESTS)}")
    if predtype not in ("default", "Riley"):
        raise InputError(f"no predtype {predtype!r}; it is 'default' or 'Riley'")
    if not 0 < prob <= MOST_CERTAIN:
        raise InputError(
            f"prob is a number between 0 and 1, at most {MOST_CERTAIN:.12g}, not {prob!r}"
        )
    fits = Fits(effects_of(studies), test, prob, predtype)
    regressed = None if mods is None else effects_of(studies, mods, reference)
    regressions: tuple[Regression, ...] = ()
    notes = list(_notes(fits.effects, regressed))
    try:
        regressions = () if regressed is None else tuple(_regressions(regressed, test, prob))
    except NotEstimableError as error:
        notes.append(f"no meta-regression: {error.message}")
    return Answers(
        fits.effects,
        prob,
        test,
        estimates(fits),
        _heterogeneity(fits),
        tuple(_small_studies(fits)),
        regressions,
        tuple(notes),
    )


def _heterogeneity(fits: Fits) -> Heterogeneity | None:
    try:
        fit, interval = fits.two_level("REML", "z"), q_profile(fits.effects, fits.prob)
    except NotEstimableError:
        # One effect: the table says so in every row that needs more.
        return None
    assert fit.vt is not None
    return Heterogeneity(
        fit.qe, fit.ddf, fit.qe_p, fit.tau2, interval, fit.vt, tuple(_levels(fits))
    )


def _levels(fits: Fits) -> Iterator[LevelVariance]:
    try:
        fit = fits.three_level
    except NotEstimableError:
        # The table has the reason.
        return
    shares = fit.i2_by_level
    for level, sigma2 in fit.sigma2.items():
        yield LevelVariance(
            level,
            sigma2,
            fit.profile_interval(level),
            None if shares is None else shares[level],
            fit.likelihood_ratio(level),
        )


def _small_studies(fits: Fits) -> Iterator[SmallStudyTest]:
    tests = {
        "Egger's test (least squares)": _egger,
        "Egger's test (random effects)": _egger_rma,
        "Egger's test (three levels, CR2)": _egger_mv,
        "Rank correlation (Begg, Mazumdar)": _ranks,
        "PET, mean where the standard error is 0": _pet,
        "Trim and fill, L0": lambda fits: _filled(fits, "l0"),
        "Trim and fill, R0": lambda fits: _filled(fits, "r0"),
        "Selection at one-sided .025": _selected,
        "Excess of significant results": _excess,
    }
    for name, test in tests.items():
        try:
            yield SmallStudyTest(name, *test(fits))
        except NotEstimableError as error:
            yield SmallStudyTest(name, f"not estimable: {error.message}", None)


def _egger(fits: Fits) -> tuple[str, float]:
    one = fits.egger
    return f"slope {plain(one.slope)}, t({one.ddf:g}) = {one.statistic:.2f}", one.pval


def _egger_rma(fits: Fits) -> tuple[str, float]:
    one = fits.egger_rma
    return f"slope {plain(one.slope)}, z = {one.statistic:.2f}", one.pval


def _egger_mv(fits: Fits) -> tuple[str, float]:
    one = fits.pet_mv
    return f"slope {plain(one.slope)}, t({one.ddf:.1f}) = {one.statistic:.2f}", one.pval


def _ranks(fits: Fits) -> tuple[str, float]:
    one = fits.ranks
    return f"Kendall's tau {one.tau:.3f}{'' if one.exact else ', normal p'}", one.pval


def _excess(fits: Fits) -> tuple[str, float]:
    one = fits.excess
    return f"{one.observed} significant at .05, {one.expected:.1f} expected", one.pval


def _pet(fits: Fits) -> tuple[str, float]:
    both = fits.pet_peese
    found = f"t({both.pet.ddf:g}) = {both.pet.coefficients.statistic[0]:.2f}, one-sided"
    return f"{found}: {both.chosen} is the estimate", both.pet_p


def _filled(fits: Fits, estimator: str) -> tuple[str, float | None]:
    one = getattr(fits, estimator)
    return f"{one.k0} missing on the {one.side} (se {one.se_k0:.1f})", one.p_k0


def _selected(fits: Fits) -> tuple[str, float]:
    one = fits.selection
    less = "positive" if one.alternative == "greater" else "negative"
    return (
        f"results that are not significantly {less} appear {plain(one.delta[1])} times as often, "
        f"χ²(1) = {one.lrt:.2f}",
        one.lrt_p,
    )


def _regressions(effects: Effects, test: Test, prob: float) -> Iterator[Regression]:
    two = rma(effects, method="REML", test=test, prob=prob)
    yield Regression(
        f"Two levels, REML ({TESTS[test]})", two.coefficients, two.qm, two.qe, two.ddf, two.qe_p,
        two.tau2, two.r2,
    )  # fmt: skip
    try:
        three = rma_mv(effects, prob=prob)
        corrected = robust(three)
    except NotEstimableError:
        # Without several effects a study the first says it all.
        return
    df = effects.k - effects.p
    yield Regression(
        "Three levels, REML (z)", three.coefficients, three.qm, three.qe, df, three.qe_p,
        three.tau2, None,
    )  # fmt: skip
    yield Regression(
        "Three levels, REML (CR2)", corrected, None, three.qe, df, three.qe_p, three.tau2, None
    )


def _notes(effects: Effects, regressed: Effects | None) -> Iterator[str]:
    if effects.scale == "z":
        yield "r is tanh of Fisher's z: the correlation at the mean of true effects, not their mean"
    if effects.intervals:
        rows = effects.k + effects.intervals
        yield (
            f"{effects.intervals} of {rows} rows printed no number and cannot enter; Bayesian "
            "models can use them"
        )
    if effects.k > effects.k_studies:
        yield (
            f"all rows but the three-level ones take the {effects.k} effects of "
            f"{effects.k_studies} {'study' if effects.k_studies == 1 else 'studies'} as independent"
        )
    if effects.correlated:
        yield "only the three-level rows know that sampling errors of one sample correlate"
    if regressed is not None and regressed.one_level:
        names = " and ".join(regressed.one_level)
        yield f"rows with a number have one level of {names}: no coefficient"
    if regressed is not None and regressed.blanks:
        are = "row with a blank moderator is" if regressed.blanks == 1 else "rows with blanks are"
        yield f"{regressed.blanks} {are} not in the regressions"
