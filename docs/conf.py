"""Settings of Sphinx; `nox -s docs` builds."""

from __future__ import annotations

import hcs_core

project = "hcs"
author = "The hcs developers"
copyright = "2026, The hcs developers"
release = hcs_core.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
# Members are written out where their class is; numpydoc's own summary would ask for a page each.
numpydoc_show_class_members = False

html_theme = "furo"
html_title = "hcs"
