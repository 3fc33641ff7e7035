"""How Sphinx builds these pages: ``make docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "building"))

project = "metarho"
author = "The metarho authors"
html_title = "metarho"

extensions = ["myst_parser", "sphinx.ext.autodoc", "mathml", "reference_pages"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "dollarmath"]
# What stands in quotes in the reference is typed as it stands: role == "main".
smartquotes = False
# Headings down to this depth can be linked to.
myst_heading_anchors = 3

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
html_math_renderer = "mathml"
# The theme's own links, to the sources of each page, would need the address of a repository.
html_show_sourcelink = False

# An output block is text; only blocks that name a language have its colours.
highlight_language = "text"
# One backtick in a docstring is code, as everywhere else.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
