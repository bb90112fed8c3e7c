"""The colour of each agent and the style of each policy, the same in every plot and page."""

from typing import NamedTuple

AGENTS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8f2d62", "#999933")
"""Colours of the first agents: the six of Okabe and Ito (2008) that show on white and on black,
a wine red and an olive. People with colour blindness can tell any two apart (CIE76 difference
of 13 or more under the simulations of Machado, 2009)."""

POLICIES = (
    "#6860c8", "#c03868", "#108890", "#a88008", "#0090f8", "#e060a8",
    "#709848", "#a050a8", "#806840", "#7888d8", "#c87870", "#a85820",
)  # fmt: skip
"""Colours of policies, none of them an agent's: a contrast of 3 or more with light and dark pages,
and a CIE76 difference of 13 or more, to people with colour blindness, too."""

INK, MUTED, GRID = "#1c2128", "#59636e", "#d1d9e0"
"""Colours of text and lines, of lesser text, and of rules; a page replaces them by its own."""

OTHERS = "#8c959f"
"""The colour of controls, and of agents that are too many for colours of their own."""

_DASHES = ("-", "--", "-.", ":")
_MARKERS = "osD^vPX*"
_CONTROL_MARKERS = "osD^vx+*"
# Each further round of the agents' palette mixes it with black (< 0) or white (> 0).
_ROUNDS = (0.0, -0.3, 0.4, -0.5, 0.65)


def agent_colours(count: int) -> list[str]:
    """A colour for each of ``count`` agents; the first 40 differ.

    From the ninth agent on they are darker and lighter shades of the first eight;
    :func:`agent_dashes` tells those apart, too.
    """
    return [
        _shade(AGENTS[a % len(AGENTS)], _ROUNDS[a // len(AGENTS) % len(_ROUNDS)])
        for a in range(count)
    ]


def agent_dashes(count: int) -> list[str]:
    """A line style for each of ``count`` agents: solid for the first eight."""
    return [_DASHES[a // len(AGENTS) % len(_DASHES)] for a in range(count)]


class Style(NamedTuple):
    """How a policy is drawn: no two policies share colour, line and mark."""

    colour: str
    dash: str
    marker: str


def policy_styles(count: int) -> list[Style]:
    """A style for each of ``count`` policies; the colours of the first twelve differ."""
    return [
        Style(
            POLICIES[p % len(POLICIES)], _DASHES[p // 4 % len(_DASHES)], _MARKERS[p % len(_MARKERS)]
        )
        for p in range(count)
    ]


def control_styles(count: int) -> list[Style]:
    """A style for each of ``count`` controls: grey, with marks of their own."""
    return [Style(OTHERS, "-", _CONTROL_MARKERS[c % len(_CONTROL_MARKERS)]) for c in range(count)]


def _shade(colour: str, mix: float) -> str:
    towards = 255 if mix > 0 else 0
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + abs(mix) * (towards - part)):02x}" for part in parts)
