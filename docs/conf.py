"""Sphinx: how docs/ becomes site/ (`make docs`)."""

import gc
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import notebook_pages

gc.disable()  # a third of a build went into looking for cycles in trees that stay

project = "routingsim"
author = "The routingsim authors"
copyright = author
version = release = installed("routingsim")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "routingsim"
html_copy_source = False
exclude_patterns = ["paper", "**/.ipynb_checkpoints"]  # a draft for a journal, with its citations
source_suffix = {".md": "markdown", ".ipynb": "markdown"}  # a notebook becomes Markdown first
html_static_path = ["static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["attrs_inline"]  # classes of links
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


# What the theme leaves out, so that pages can be read without a mouse or without seeing them.
SAID = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    "<pre>": '<pre tabindex="0">',
}


def _say_what_is_what(app: Any, failed: Exception | None) -> None:
    """Give headings their level, landmarks their names, and blocks that scroll the keyboard."""
    if failed is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            for theirs, ours in SAID.items():
                text = text.replace(theirs, ours)
            page.write_text(text, encoding="utf-8")


def _page_of_notebook(app: Any, name: str, source: list[str]) -> None:
    """Read a notebook as the page that is made of it."""
    path = Path(app.env.doc2path(name))
    if path.suffix == ".ipynb":
        source[0] = notebook_pages.page(source[0], path.name, notebook_pages.here())


def setup(app: Any) -> None:
    """Hook into Sphinx."""
    app.connect("source-read", _page_of_notebook)
    app.connect("autodoc-process-docstring", _mean_bars)
    app.connect("build-finished", _say_what_is_what)
