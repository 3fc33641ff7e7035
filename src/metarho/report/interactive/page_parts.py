"""The page's one script, its style, and the policy that lets nothing else run.

A page that shows parts of ``templates/interactive/parts.html`` has ``style()`` in its style
element, ``policy()`` as its content security policy, and before the end of its body
``<script>{{ script() }}</script>``.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from markupsafe import Markup

# In the order in which they build on each other. ``start`` runs the others.
_SCRIPTS = (
    "numbers", "panels", "posterior", "drawing", "slider", "surface", "tooltips", "sorting",
    "start",
)  # fmt: skip


@cache
def script() -> Markup:
    """The text of the script element: our own files, the same on every page."""
    parts = "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
    return Markup(f'(() => {{\n"use strict";\n{parts}\n}})();')


@cache
def style() -> Markup:
    """Rules for a page's style element; colours are the page's variables."""
    return Markup(_read("style.css"))


def policy() -> str:
    """The content security policy: nothing from outside, and no script but ours.

    Styles are inline in figures, so that they cannot be named by a hash.
    """
    digest = base64.b64encode(hashlib.sha256(script().encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    folder = files("metarho.report") / "templates" / "interactive"
    return (folder / name).read_text(encoding="utf-8")
