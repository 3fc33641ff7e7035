"""What every key of a model and a config means, in a sentence, for editors (``spec/schema.py``).

By the class that holds the key, in the order of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping

_TITLE = "What readers call it, in reports and lists."
_DESCRIPTION = "A paragraph for readers."
_MODELS = "Names of models: files in the workspace's models/, or shipped (metarho models list)."
_PRIORS = "Named prior sets: what each says in place of a model's own priors; {} leaves them."

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "Model": {
        "title": _TITLE,
        "description": _DESCRIPTION,
        "references": "Where the model was published: DOIs.",
        "data_overlap": (
            "What its priors were made from, DOIs or names of data sets: evidence that holds it "
            "would be used twice, and is remarked on."
        ),
        "likelihood": (
            "Sampling law of what is observed: normal on the model's scale (Fisher's z, for "
            "correlations), or the exact law of r."
        ),
        "mods": (
            "Moderators of the mean, a formula of the table's columns: ~ guidance + center(year). "
            "Functions: C, center, scale, log, poly, bs. ~ 1 has none."
        ),
        "scale": "Moderators of log tau, a formula of the table's columns; ~ 1 has none.",
        "random": (
            "What true effects vary on: none, effect, study, study/effect, other columns, and "
            "crossed terms added with +."
        ),
        "effects": "Law of true effects: normal, a t law with heavy tails, or some outliers.",
        "selection": (
            "What is reported: all; more the less precise (pet: with the standard error, peese: "
            "with the variance); or by steps of the one-sided p-value."
        ),
        "reference": "Reference level of a factor: {guidance: guided}.",
        "measurement": (
            "What theta is a correlation of: of scores as observed, or of true scores (columns "
            "rxx, ryy, ux)."
        ),
        "missing": (
            "What becomes of rows with a blank moderator: refused with an error, dropped by name, "
            "or imputed with the model."
        ),
        "custom": (
            "A Python file in the folder custom beside this one, which builds the PyMC model. It "
            "says all that likelihood, mods, random and the other parts would."
        ),
        "priors": "The model's own priors, by parameter. Prior sets of a config replace them.",
        "why": "Why each prior is what it is, by parameter; the report prints it beside the prior.",
    },
    "Why": {
        "purpose": "What the analysis is for: to describe, to predict, to compare or to decide.",
        "bayesian": "Why it is Bayesian, for readers who need to be told.",
        "variables": "What was correlated with what: measures, informants, times, coding of rows.",
        "model": "Why these models: the likelihood, the moderators and their functional form.",
        "exchangeability": "Why studies can stand for each other, given moderators, before data.",
        "priors": "Why a prior set expects what it expects and what it was made from, by its name.",
        "weights": "Judgements that gave rows or studies more or less weight; that there are none.",
        "sense": "Whether the posterior makes sense to somebody who knows the field.",
        "decision": "What is decided by the result, or that nothing is.",
        "loss": "What errors in either direction cost, where something is decided.",
        "thresholds": "Why the thresholds of rho matter in practice.",
        "data": "Where data and codebook are, and under what licence.",
        "archive": "The persistent place of data, configs and results: a DOI.",
    },
    "StepSelection": {"step": "A step function of the p-value."},
    "Step": {
        "cutpoints": (
            "p-values, increasing, at which the chance of being reported changes; up to the first "
            "it is 1."
        ),
        "weights": (
            "Known weights of the bands after the first, one a cutpoint, relative to it. Without "
            "them they are the parameter omega."
        ),
        "sides": "Whether p is one-sided (of the sign that is favoured) or two-sided.",
        "favours": "The sign of results with a small one-sided p.",
        "test": (
            "Whose p it is: z, of the effect size against its standard error; t, of the test that "
            "is printed beside a correlation (it needs n)."
        ),
    },
    "Analysis": {
        "title": _TITLE,
        "description": _DESCRIPTION,
        "studies": "The evidence: where it is and how it is read.",
        "models": _MODELS,
        "priors": _PRIORS,
        "reference": (
            "The prior set that others are compared with; without it the one named default, or "
            "the first."
        ),
        "why": "What guidelines of reporting ask of the author; the report prints it.",
        "new_studies": "Studies nobody has run: what would each see?",
        "checks": "Posterior predictive checks of metarho ppc; without them all named statistics.",
        "grid": "Decisions that could have been taken otherwise: every combination is fitted.",
        "ensemble": (
            "Models averaged by metarho ensemble, each also without an effect and without "
            "heterogeneity."
        ),
        "engine": (
            "How posteriors are computed: exact integrates, nuts samples, auto takes exact where "
            "it can and says why."
        ),
        "agreement": "Whether to run the second engine too, where both can, and compare.",
        "sampler": "How the sampled engine runs.",
        "thresholds": "Correlations that posterior probabilities are printed for.",
        "interval": "Probability and kind of every printed interval.",
        "report": "Whether to write an HTML report.",
        "scripts": "Scripts for other software to write, with which others can check a result.",
        "defaults": "The version of the defaults, so that better ones do not change old runs.",
    },
    "StudiesSpec": {
        "source": (
            "A shipped data set by its name, or a table: a path relative to this file (.csv, .tsv, "
            ".parquet, .xlsx)."
        ),
        "measure": (
            "metafor's code of the effect size: ZCOR Fisher's z, COR the correlation itself, GEN "
            "effects with variances of their own."
        ),
        "columns": (
            "Role -> your column's name. Only columns named here have a role; a shipped set "
            "brings its own."
        ),
        "where": (
            "Rows to keep: comparisons of columns, with and, or, not, in: year > 2010 and role == "
            '"main".'
        ),
        "intervals": (
            'Rows that printed no r ("not significant"): used as intervals, dropped, or both side '
            "by side."
        ),
        "rho_within": "Correlation of the sampling errors of effects from one sample.",
        "covariance": (
            "A table with the covariance matrix of sampling errors, in place of rho_within: a path "
            "relative to this file."
        ),
        "overlaps": (
            "What the evidence holds, by DOI or name: cited priors made from it are remarked on."
        ),
        "alpha": "Two-sided level of tests that printed only a word, where no column names it.",
        "rho_tests": "Correlation of the errors of several tests that one word sums up.",
    },
    "Columns": {
        "ri": "The correlation.",
        "ni": "People it was measured on.",
        "study": "The study; without it every row is its own.",
        "sample": "The people within the study; without it the study.",
        "effect": "The effect, a name that is unique in its study.",
        "reported": (
            "How the result was printed: exact, range, not significant, significant positive, "
            "significant negative."
        ),
        "alpha": "Two-sided level of the test that a word is about.",
        "tests": "How many tests a word sums up.",
        "word_means": "Whether a word means all of its tests, or any.",
        "statistic": "What the number is: correlation, or another, as regression.",
        "ri_low": "Lower end of a printed range of r.",
        "ri_high": "Upper end of a printed range of r.",
        "yi": "Measure GEN: the effect.",
        "vi": "Measure GEN: its sampling variance.",
        "sei": "Measure GEN: its standard error, in place of vi.",
        "yi_low": "Measure GEN: lower end of a range.",
        "yi_high": "Measure GEN: upper end of a range.",
        "rxx": "Reliability of x.",
        "ryy": "Reliability of y.",
        "ux": "Sd of x in the sample over that in the population, where its range is restricted.",
    },
    "Profile": {
        "label": "What to call the new study.",
        "ni": "Its people.",
        "sei": "Measure GEN: its standard error.",
        "rxx": "Models of true scores: reliability of what it will measure as x.",
        "ryy": "Models of true scores: reliability of what it will measure as y.",
        "ux": "Models of true scores: sd of x in it over that in the population.",
    },
    "Check": {
        "statistic": "A named statistic of the rows.",
        "by": "A column: the statistic at each of its levels.",
        "file": "A Python file in this config's folder, which metarho ppc runs.",
        "function": "The function in that file which is the statistic.",
    },
    "Sampler": {
        "chains": "Chains.",
        "draws": "Draws that each chain keeps.",
        "tune": "Draws that each chain learns its step from, and forgets.",
        "seed": "Seed of all random numbers of the run.",
    },
    "Interval": {
        "prob": "Probability of every printed interval.",
        "kind": "Equal-tailed (eti), or the shortest (hdi).",
    },
    "Thresholds": {"rho": "On the r scale."},
    "Grid": {
        "where": "Named inclusion rules: filters beside that of studies; null adds none.",
        "measure": "Effect sizes.",
        "statistic": "All rows, only zero-order correlations, or only what was printed as numbers.",
        "rho_within": "Correlations of sampling errors within a sample.",
        "likelihood": "Likelihoods, in place of the models' own.",
        "measurement": "Of observed or of true scores, in place of the models' own.",
        "unless": "Combinations to leave out: filters over decisions, as in where.",
        "cells": "Combinations besides: decision -> value.",
        "sample": "A random part of the combinations.",
        "estimand": "The decisions that change what is estimated; the others change how.",
        "weights": "Decision -> value -> weight, in averages over cells; equal without.",
        "quantities": "Further columns of the table of cells: bf_mu, 'P(rho > 0.1)', …",
    },
    "EnsembleSpec": {
        "weights": (
            "Model -> how probable it is before the data, relative to the others; equal without."
        ),
        "effect": "Probability before the data that mu is not 0; 1 leaves members without it out.",
        "heterogeneity": (
            "Probability before the data that tau is not 0; 1 leaves members without it out."
        ),
    },
    "Sample": {"cells": "How many combinations.", "seed": "Seed of their choice."},
    "Simulation": {
        "title": _TITLE,
        "description": _DESCRIPTION,
        "simulate": "The truths that data are drawn from: every combination of the lists.",
        "models": _MODELS,
        "priors": _PRIORS,
        "interval": "Probability of the intervals whose coverage is counted; equal-tailed.",
        "defaults": "The version of the defaults, so that better ones do not change old runs.",
    },
    "Simulate": {
        "mu": "Means of true effects, on Fisher's z.",
        "tau": "Sds of true effects, on Fisher's z.",
        "k": "Numbers of studies that are seen.",
        "ni": (
            "People a study: a number, a list to draw from, or {from: NAME}, the sizes of a "
            "shipped data set."
        ),
        "reporting": (
            "What becomes of results that are not significant: all print r, words print that they "
            "are not significant, drawer prints nothing."
        ),
        "selection": "Chances to appear of a result that is not significantly positive.",
        "replications": "Data sets of each truth.",
        "seed": "Seed of all random numbers of the simulation.",
    },
    "SizesOf": {"from": "A shipped data set, whose sizes are drawn from."},
}

PARAMETERS: Mapping[str, tuple[str, str]] = {
    "mu": ("The mean of true effects, on the model's scale.", "Normal(mu=0, sigma=0.5)"),
    "beta": ("Every slope of the mean.", "Normal(mu=0, sigma=0.25)"),
    "beta[TERM]": ("The slope of one term or column of the mean.", "Normal(mu=0, sigma=0.25)"),
    "tau": ("The sd of true effects: of several levels the total.", "HalfNormal(sigma=0.25)"),
    "tau2": ("The variance of true effects, in place of tau.", "InverseGamma(alpha=1, beta=0.15)"),
    "tau_LEVEL": ("The sd of true effects on one level.", "HalfNormal(sigma=0.25)"),
    "share": ("The part of the total variance between studies.", "Beta(alpha=1, beta=1)"),
    "alpha": ("Every slope of log tau.", "Normal(mu=0, sigma=0.5)"),
    "alpha[TERM]": ("The slope of one term or column of log tau.", "Normal(mu=0, sigma=0.5)"),
    "nu": ("Degrees of freedom of Student-t effects.", "Gamma(alpha=2, beta=0.1)"),
    "weight": ("The share of outliers in a mixture.", "Beta(alpha=1, beta=9)"),
    "tau_outlier": ("The further sd of outliers in a mixture.", "HalfNormal(sigma=0.5)"),
    "omega": ("Every unknown weight of selection by p.", "Uniform(lower=0, upper=1)"),
    "omega[BAND]": ("The weight of one band: omega[0.025-0.5].", "Uniform(lower=0, upper=1)"),
    "pet": ("How much more is reported a standard error.", "HalfCauchy(beta=1)"),
    "peese": ("How much more is reported a sampling variance.", "HalfCauchy(beta=7.07)"),
    "rxx": ("An unknown reliability of x.", "Beta(alpha=45, beta=5)"),
    "ryy": ("An unknown reliability of y.", "Beta(alpha=17, beta=3)"),
    "OWN": ("A parameter of a custom model.", "HalfNormal(sigma=1)"),
}
"""Parameter -> what it is, and a prior that it may have. OWN: of a name that is none of these."""
