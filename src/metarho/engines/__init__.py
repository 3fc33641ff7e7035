"""Engines: how a posterior is computed. ``exact`` integrates, ``nuts`` samples.

An engine is three functions: ``covers(problem)`` (None, or a refusal that names the part and
what would work), ``structure(problem)`` (what problems must share to share work) and
``fit_many(problems)`` (an iterator of frozen results).
"""
