"""A table of the last decisions in a notebook, which goes on by itself.

What is displayed is a snapshot in plain HTML with a script that opens a WebSocket to the
bridge from the browser. So it needs no widget library, no thread and no word from the
kernel, and goes on while a cell is busy; where scripts do not run (a stored notebook,
nbconvert, a page nobody trusts) the snapshot remains. The HTML holds neither times nor
message ids: it is the same whenever the same was decided.
"""

from dataclasses import dataclass
from pathlib import Path

import jinja2

from routingsim.messages import AgentStatus, RoutingDecision

__all__ = ["Feed"]

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "http"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)


@dataclass(frozen=True, slots=True, repr=False)
class Feed:
    """The last decisions and the agents' states, for a notebook to display.

    Attributes
    ----------
    url
        Where the browser finds the bridge: a URL, or a path on the notebook's host.
    decisions
        The last ones, newest first.
    statuses
        The latest of each agent, by name.
    rows
        Decisions to show.
    locked
        Whether the bridge wants a token. A notebook stores what it displays, so the token
        is not given to it, and the snapshot is all there is.
    """

    url: str
    decisions: tuple[RoutingDecision, ...]
    statuses: tuple[AgentStatus, ...]
    rows: int
    locked: bool

    def __repr__(self) -> str:
        return f"<Feed of {self.url}: {len(self.decisions)} decisions>"

    def _repr_html_(self) -> str:
        return _templates.get_template("feed.html").render(
            url=self.url,
            decisions=self.decisions,
            statuses=self.statuses,
            rows=self.rows,
            locked=self.locked,
            band=_band,
        )


def _band(d_var: float) -> str:
    return "low" if d_var < 0.30 else "medium" if d_var < 0.50 else "high"
