"""A table of the last decisions for notebooks, updated live by the browser.

The table is a snapshot in plain HTML, with a script that connects the browser to the
bridge. It needs no widget library, no thread and no kernel, so it is updated while a cell
is busy. Where scripts do not run (a stored notebook, nbconvert, an untrusted page) the
snapshot remains. The HTML contains no times and no message ids, so it is the same for the
same decisions.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import jinja2

from routingsim.messages import AgentStatus, RoutingDecision

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "http"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)


@dataclass(frozen=True, slots=True, repr=False)
class Feed:
    """The last decisions and the agents' statuses, for display in a notebook.

    Attributes
    ----------
    url
        Address of the bridge for the browser: a URL, or a path on the notebook's host.
    decisions
        The last decisions, newest first.
    statuses
        The latest status of each agent, by name.
    rows
        Number of decisions to show.
    locked
        Whether the bridge requires a token. A notebook stores its output, so the output
        does not contain the token, and only the snapshot is shown.
    """

    url: str
    decisions: tuple[RoutingDecision, ...]
    statuses: tuple[AgentStatus, ...]
    rows: int
    locked: bool

    def __repr__(self) -> str:
        return f"<Feed of {self.url}: {len(self.decisions)} decisions>"

    def _repr_html_(self) -> str:
        return _templates.get_template("feed.html").render(feed=self, band=_band)


def _band(reason: str) -> str:
    """The band that a decision's reason states, ``""`` if none; as in ``static/format.js``."""
    match = re.match(r"(low|medium|high) complexity\b", reason, re.IGNORECASE | re.ASCII)
    return match[1].lower() if match else ""
