"""Sentences follow from the figures."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from routingsim.report import words
from routingsim.report.breakdown import shortened
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult


def run(name: str, verdict: str = "stable", **overall: float) -> ReplayResult:
    """As much of a result as a comparison reads."""
    figures: Mapping[str, float] = {
        "cost_mean": 0.01, "quality": np.nan, "latency_p95": 4.0
    } | overall  # fmt: skip
    like: Any = SimpleNamespace(
        policy=SimpleNamespace(name=name),
        overall=figures,
        stability=SimpleNamespace(verdict=verdict),
    )
    return cast(ReplayResult, like)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            run("a", cost_mean=0.0069, quality=0.879, latency_p95=5.8),
            "a costs 31 % less than b at 2.1 points’ lower quality; p95 1.8 s higher.",
        ),
        (
            run("a", cost_mean=0.012, quality=0.9),
            "a costs 20 % more than b at the same quality; p95 the same.",
        ),
        (
            run("a", cost_mean=0.1, quality=0.95, latency_p95=1.0),
            "a costs 10 times as much as b at 5.0 points’ higher quality; p95 3.0 s lower.",
        ),
        (
            run("a", "overloaded", cost_mean=0.01),
            "a costs the same as b; latency is not compared, as a is overloaded.",
        ),
    ],
)
def test_comparison(one: ReplayResult, said: str) -> None:
    assert words.comparison(one, run("b", quality=0.9)) == said


def test_comparison_with_what_is_free() -> None:
    said = words.comparison(run("a"), run("b", cost_mean=0.0))
    assert said == "a costs USD 10.00 per 1,000 tasks, where b costs nothing; p95 the same."


def test_few_answers_are_a_warning() -> None:
    few = replay(None, policy="round-robin", tasks=100, arrivals="poisson:1")
    many = replay(None, policy="round-robin", tasks=1_000, arrivals="poisson:1")
    assert any("fewer than 30" in said for said in words.warnings([few]))
    assert not any("fewer than 30" in said for said in words.warnings([many]))


def test_shortened() -> None:
    assert shortened("a  b\n c", 10) == "a b c"
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("one two three four", 10) == "one two th … (18 characters)"
    assert shortened("\x00\u202e", 10) == "\ufffd\ufffd"
    assert shortened(" " * 100, 10) == "… (100 characters)"
