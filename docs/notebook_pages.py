"""The notebooks as pages of the site, with their stored outputs and links to run them elsewhere.

Sphinx reads notebooks/*.ipynb (docs/notebooks is a link to that folder) and :func:`page` makes a
page of each. Binder and Colab need the address of a repository on GitHub, which is that of the CI
that builds the site, else that of the remote ``origin``; where neither is known the pages have no
such links.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["FOLDER", "Repository", "links", "page", "repository"]

FOLDER = "notebooks"
BRANCH = "main"
_GITHUB = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
_LINK = re.compile(r"\[([^\]]+)\]\((\w+)\.ipynb\)")
_INSTALL = "!pip install 'routingsim[embedded] @ git+https://github.com/{}@{}'"


class Repository(NamedTuple):
    """A repository on GitHub, ``OWNER/NAME``, and the branch or tag whose notebooks are meant."""

    name: str
    ref: str = BRANCH


def repository(environ: Mapping[str, str], remote: str) -> Repository | None:
    """The repository that the site is built for, if it is known.

    Parameters
    ----------
    environ : mapping
        With ``GITHUB_REPOSITORY`` in GitHub's CI; the branch or tag is ``GITHUB_REF_NAME``, but
        for a pull request, whose ref is not there for long.
    remote : str
        The address of the remote ``origin``; "" for none.
    """
    if name := environ.get("GITHUB_REPOSITORY", ""):
        known = environ.get("GITHUB_REF_TYPE") in ("branch", "tag")
        asked = known and not environ.get("GITHUB_EVENT_NAME", "").startswith("pull_request")
        return Repository(name, environ.get("GITHUB_REF_NAME", BRANCH) if asked else BRANCH)
    found = _GITHUB.fullmatch(remote)
    return Repository(found[1]) if found else None


def here() -> Repository | None:
    """The repository of this checkout, if it is known."""
    asked = ["git", "-C", str(Path(__file__).parent), "remote", "get-url", "origin"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        said = ""
    return repository(os.environ, said)


def links(of: Repository, notebook: str) -> dict[str, str]:
    """Where a notebook opens, by name: Binder and Colab."""
    path = f"{FOLDER}/{notebook}"
    return {
        "Binder": f"https://mybinder.org/v2/gh/{of.name}/{of.ref}?urlpath=lab/tree/{path}",
        "Colab": f"https://colab.research.google.com/github/{of.name}/blob/{of.ref}/{path}",
    }


def page(text: str, notebook: str, of: Repository | None) -> str:
    """A notebook's text as a page in MyST Markdown, its outputs below their cells."""
    parts = [part for cell in json.loads(text)["cells"] for part in _cell(cell)]
    if not parts[0].startswith("# "):
        parts.insert(0, f"# {notebook.removesuffix('.ipynb')}")
    title, _, rest = parts[0].partition("\n")
    parts[0] = f"{title}\n\n{_launch(notebook, of)}\n\n{rest}"
    return "\n\n".join(parts) + "\n"


def _launch(notebook: str, of: Repository | None) -> str:
    stored = f"`make lab` opens `{FOLDER}/{notebook}`. Outputs are those stored in it."
    if of is None:
        return stored
    badges = " ".join(
        f"[Open in {place}]({address}){{.badge}}" for place, address in links(of, notebook).items()
    )
    install = _INSTALL.format(of.name, of.ref)
    return f"{badges}\n\n{stored} In Colab run this first:\n\n```text\n{install}\n```"


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = _joined(cell["source"])
    if cell["cell_type"] == "markdown":
        yield _LINK.sub(rf"{{doc}}`\1 </{FOLDER}/\2>`", source)
    elif cell["cell_type"] == "code" and source.strip():
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            yield from _output(output)


def _output(output: Mapping[str, Any]) -> Iterator[str]:
    if output["output_type"] == "stream":
        if output["name"] == "stdout":
            yield _fenced("text", _joined(output["text"]))
        return
    data = output.get("data", {})
    if "image/png" in data:
        image = "".join(_joined(data["image/png"]).split())
        yield f"![What the cell above draws](data:image/png;base64,{image})"
    elif "text/markdown" in data:
        yield re.sub("^#+ (.*)$", r"**\1**", _joined(data["text/markdown"]), flags=re.MULTILINE)
    elif "text/html" in data:
        yield _fenced("{raw} html", f'<div class="output">{_joined(data["text/html"])}</div>')
    elif "text/plain" in data and "application/vnd.jupyter.widget-view+json" not in data:
        yield _fenced("text", _joined(data["text/plain"]))


def _joined(text: str | list[str]) -> str:
    """A text, which a notebook's file holds as one or as its lines."""
    return "".join(text)


def _fenced(kind: str, text: str) -> str:
    return f"````{kind}\n{text.rstrip()}\n````"
