"""Whole reports, as ``metarho run`` writes them, with texts that nobody should write."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metarho.batch.findings import Findings, find
from metarho.batch.plan import plan
from metarho.batch.run import execute, write_results
from metarho.report.page import write_report

MARKUP = "<script>alert(1)</script>"
LONG = ("a name as long as nobody should write it, and then " + 20 * "more and more ")[:299] + "."
HEBREW, ARABIC = "דוגמה א׳ (2020)", "دراسة العلاقة (٢٠١٩)"
EMOJI = "🧠👩‍🔬 et al. 🇩🇪"
FORMULA = "=cmd()|' /C calc'!A0"
QUOTE = '"onmouseover="alert(2)'
IMAGE = "</script><img src=x onerror=alert(3)> & $x_1$"
# What every text of a data set or a config may hold.
HOSTILE = (MARKUP, LONG, HEBREW, ARABIC, EMOJI, FORMULA, QUOTE, IMAGE)
# Printed with them: signs, and people with one, two, three and four digits.
R = (0.1, 0.35, 0.2, -0.05, 0.3, 0.4, 0.25, -0.15)
N = (40, 9, 35, 1200, 50, 60, 44, 150)

ALLIANCE = """\
title: A small report
studies: {source: internet-alliance, where: role == "main", intervals: [drop, use]}
models: [random-effects, common-effect]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
  wide: {mu: "Normal(mu=0, sigma=1)", tau: "HalfNormal(sigma=0.5)"}
new_studies: [{label: small, ni: 40}, {label: large, ni: 400}]
"""
# One row that printed only a word: mu and tau are then integrated together.
WORDS = """\
title: A word
studies: {source: words.csv, columns: {ri: r, ni: n, reported: how}}
models: [random-effects]
"""
COMMON = """\
title: One parameter
studies: {source: internet-alliance, where: role == "main", intervals: [drop]}
models: [common-effect]
"""
LONE = """\
title: One study
studies: {source: lone.csv, columns: {ri: r, ni: n, study: study}}
models: [random-effects]
new_studies: [{label: small, ni: 40}, {label: large, ni: 400}]
"""
MODERATED = """\
title: Means by group
studies: {source: hostile.csv, columns: {ri: r, ni: n, study: study, effect: effect}}
models: [by-group]
"""
MANY = """\
title: Five hundred studies
studies: {source: many.csv, columns: {ri: r, ni: n, study: study}}
models: [random-effects]
priors: {default: {}, wide: {mu: "Normal(mu=0, sigma=1)"}}
new_studies: [{label: small, ni: 40}]
"""


def quoted(text: str) -> str:
    """A text as YAML has it in single quotes."""
    return "'" + text.replace("'", "''") + "'"


TEXTS = f"""\
title: {quoted(f"{MARKUP} {HEBREW} {EMOJI} {FORMULA}")}
description: {quoted(f"{LONG} {MARKUP} {ARABIC}")}
studies:
  source: hostile.csv
  columns: {{ri: r, ni: n, study: study, effect: effect, sample: sample}}
models: [random-effects, by-group]
priors:
  {quoted(MARKUP)}: {{}}
  {quoted(HEBREW)}: {{mu: "Normal(mu=0, sigma=1)"}}
  {quoted(LONG[:60])}: {{tau: "HalfNormal(sigma=0.5)"}}
why:
  purpose: {quoted(LONG + MARKUP)}
  variables: {quoted(ARABIC + " " + EMOJI)}
  weights: {quoted(FORMULA)}
  priors: {{{quoted(HEBREW)}: {quoted(IMAGE)}}}
new_studies: [{{label: {quoted(MARKUP)}, ni: 40}}, {{label: {quoted(ARABIC)}, ni: 4000}}]
"""

_BY_GROUP = """\
title: Means by group
mods: ~ group
priors:
  mu: Normal(mu=0, sigma=0.5)
  beta: Normal(mu=0, sigma=0.25)
  tau: HalfNormal(sigma=0.25)
"""


def hostile_table() -> str:
    """A CSV file with such a text in every column of texts."""
    found = io.StringIO()
    writer = csv.writer(found)
    writer.writerow(["study", "effect", "sample", "group", "r", "n"])
    for place, (name, r, n) in enumerate(zip(HOSTILE, R, N, strict=True)):
        writer.writerow([name, f"{name} 1", f"{name} 2", HOSTILE[place % 3], r, n])
    return found.getvalue()


def many_table(count: int = 500) -> str:
    """A CSV file of studies whose true effects have mean .2 and sd .15 on Fisher's z."""
    draws = np.random.default_rng(20261127)
    people = draws.integers(20, 400, size=count)
    z = draws.normal(0.2, np.sqrt(0.15**2 + 1 / (people - 3)))
    rows = [
        f"Study {i + 1},{np.tanh(one):.3f},{n}"
        for i, (one, n) in enumerate(zip(z, people, strict=True))
    ]
    return "\n".join(["study,r,n", *rows]) + "\n"


_TABLES: Mapping[str, str] = {
    "hostile.csv": hostile_table(),
    "many.csv": many_table(),
    "lone.csv": "study,r,n\nLonely 2020,0.3,50\n",
    "words.csv": "r,n,how\n0.3,40,exact\n0.1,60,exact\n,50,not significant\n",
}


@dataclass(frozen=True)
class Reported:
    """A page, and what it was made from."""

    path: Path
    found: Findings


def report(folder: Path, name: str, config: str, whole: bool = True) -> Reported:
    """Run a config in a folder that has these tables, and write its tables and report.

    If it is not ``whole``, nothing is asked beyond its fits: comparisons take most of the time.
    """
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "by-group.yaml").write_text(_BY_GROUP, encoding="utf-8")
    for table, text in _TABLES.items():
        (folder / table).write_text(text, encoding="utf-8")
    (folder / f"{name}.yaml").write_text(config, encoding="utf-8")
    outcome = execute(plan(folder / f"{name}.yaml", folder / "out"))
    write_results(outcome)
    if whole:
        found = find(outcome, lambda event, problem: None, lambda message: None)
    else:
        found = Findings(outcome, {}, None, None, None, None, (), {"checks": "nobody asked"})
    write_report(found)
    return Reported(found.plan.folder / "report.html", found)
