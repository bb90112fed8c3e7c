"""Sphinx: how docs/ becomes site/ (`make docs`)."""

import re
from importlib.metadata import version as installed
from typing import Any

project = "routingsim"
author = "The routingsim authors"
copyright = author
version = release = installed("routingsim")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "routingsim"
html_copy_source = False
exclude_patterns = ["paper"]  # a draft for a journal, with its own citations
html_static_path = ["static"]
html_css_files = ["site.css"]

myst_heading_anchors = 3  # pages link to each other's headings, and the build checks it

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say types, units and shapes in words
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# Names of attributes, such as "quality", that several classes have.
suppress_warnings = ["ref.python"]


def _mean_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let | be a bar, as in |latency - mean|, and not the mark of a substitution."""
    lines[:] = [re.sub(r"(?<!`)\|(?!`)", r"\|", line) for line in lines]


def setup(app: Any) -> None:
    """Hook into Sphinx."""
    app.connect("autodoc-process-docstring", _mean_bars)
