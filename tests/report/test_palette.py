"""Colours: different, and different to the colour-blind too."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from routingsim.report.palette import (
    AGENTS,
    POLICIES,
    agent_colours,
    agent_dashes,
    policy_styles,
)

# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}

_CSS = Path(__file__).parents[2] / "routingsim" / "report" / "templates" / "report.css"
# Of a report, light and dark, and of JupyterLab's dark theme.
PAGES = [*re.findall(r"--(?:paper|raised): (#\w{6})", _CSS.read_text(encoding="utf-8")), "#111111"]


def linear(colour: str) -> NDArray[np.float64]:
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("colours", [AGENTS, POLICIES])
def test_no_two_agents_and_no_two_policies_look_alike(colours: list[str], vision: str) -> None:
    seen = [lab(VISIONS[vision] @ linear(colour)) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 13


def test_forty_agents_differ_and_the_first_keep_their_colours() -> None:
    assert len(set(agent_colours(40))) == 40
    assert agent_colours(40)[:5] == agent_colours(5)
    assert agent_dashes(40)[:8] == ["-"] * 8


def test_policies_differ_from_one_another_and_from_agents() -> None:
    assert len(set(policy_styles(48))) == 48
    assert not set(POLICIES) & set(AGENTS)


@pytest.mark.parametrize("page", PAGES)
def test_policies_show_on_light_and_dark_pages(page: str) -> None:
    """WCAG 2.2, 1.4.11: a contrast of 3 with what is behind."""
    for colour in POLICIES:
        low, high = sorted(linear(each) @ [0.2126, 0.7152, 0.0722] for each in (colour, page))
        assert (high + 0.05) / (low + 0.05) >= 3, (colour, page)
