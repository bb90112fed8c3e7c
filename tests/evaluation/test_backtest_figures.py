"""Figures of a backtest, worked out by hand: intervals, windows, and what to believe."""

import math

import numpy as np
import pytest

from routingsim.evaluation.backtest_figures import (
    Calls,
    Coverage,
    Prediction,
    believable,
    coverage,
    predictions,
    wilson,
    worth,
)

T2 = 4.302652729911275  # Student's t of 2 degrees of freedom at .975


def calls(recorded: np.ndarray, *replays: np.ndarray, kind: str = "latency") -> Calls:
    """Calls of one agent, one a second."""
    size = recorded.size
    rows = np.array([*replays, recorded])
    return Calls(("a",), np.zeros(size, int), np.arange(size, dtype=float), {kind: rows})


def by_figure(found: list[Prediction]) -> dict[str, Prediction]:
    return {each.figure: each for each in found}


def test_an_interval_is_that_of_one_further_replay() -> None:
    # Three replays of 30 calls that take 1, e and e² s: logarithms 0, 1, 2, with deviation 1.
    replays = [np.full(30, math.exp(k)) for k in (0, 1, 2)]
    found = by_figure(predictions(calls(np.full(30, 3.0), *replays)))["latency mean"]
    half = T2 * math.sqrt(1 + 1 / 3)
    assert found.predicted == pytest.approx(math.e)
    assert found.low == pytest.approx(math.exp(1 - half))
    assert found.high == pytest.approx(math.exp(1 + half))
    assert found.variance == pytest.approx(4 / 3)
    assert (found.recorded, found.calls) == (3.0, 30)
    assert found.off == pytest.approx(math.e / 3 - 1)
    assert (found.held, found.verdict) == (True, "as predicted")


def test_what_lies_outside_is_off_but_rounding_is_not() -> None:
    exact = [np.full(30, 2.0)] * 3
    for recorded, verdict in ((2.0 + 1e-9, "as predicted"), (2.001, "off"), (1.999, "off")):
        found = by_figure(predictions(calls(np.full(30, recorded), *exact)))
        assert found["latency mean"].verdict == verdict


def test_few_calls_say_nothing_of_a_far_quantile() -> None:
    replays = [np.linspace(1, 2, 120) + k / 100 for k in range(3)]
    found = by_figure(predictions(calls(np.linspace(1, 2, 120), *replays)))
    assert found["latency p95"].verdict == "as predicted"
    assert found["latency p99"].verdict == "too few calls to say"
    assert math.isnan(found["latency p99"].off)


def test_calls_without_an_answer_count_in_the_error_rate_only() -> None:
    recorded = np.r_[np.ones(40), np.full(10, np.nan)]
    replay = np.r_[np.full(10, np.nan), np.ones(40)]
    assert by_figure(predictions(calls(recorded, *[replay] * 3)))["latency mean"].calls == 40
    lost = [np.isnan(each) * 1.0 for each in (recorded, replay)]
    found = by_figure(predictions(calls(lost[0], *[lost[1]] * 3, kind="error rate")))
    assert (found["error rate"].recorded, found["error rate"].predicted) == (0.2, 0.2)


def test_costs_are_sums_over_the_calls_whose_cost_is_recorded() -> None:
    recorded = np.r_[np.full(40, 0.5), np.full(10, np.nan)]
    found = by_figure(predictions(calls(recorded, *[np.full(50, 0.25)] * 3, kind="cost")))["cost"]
    assert (found.calls, found.recorded) == (40, 20.0)
    assert found.predicted == pytest.approx(10.0)


def test_every_agent_has_figures_of_its_own() -> None:
    rows = np.array([[1.0, 3.0] * 40] * 4)
    found = predictions(
        Calls(("a", "b"), np.array([0, 1] * 40), np.arange(80.0), {"latency": rows})
    )
    means = {e.agent: e.recorded for e in found if e.figure == "latency mean"}
    assert means == {"all": 2.0, "a": 1.0, "b": 3.0}


def test_wilson_by_hand() -> None:
    # 8 of 10, z = 1.96 (Wilson, 1927): .490 to .943.
    assert wilson(0.8, 10) == pytest.approx((0.490, 0.943), abs=5e-4)
    assert wilson(1.0, 10)[1] == 1.0


def test_windows_that_hang_together_are_worth_fewer() -> None:
    alternating = np.tile([0.0, 1.0], 10)
    assert worth(alternating) == 10.0  # half of 20 at most
    assert worth(np.ones(20)) == 10.0
    # Ten zeros, then ten ones: r = (18 x .25 - .25) / 5 = .85.
    blocks = np.repeat([0.0, 1.0], 10)
    assert worth(blocks) == pytest.approx(20 * 0.15 / 1.85)


def test_coverage_counts_rolling_windows() -> None:
    size = 1000  # five windows side by side, nine rolling ones
    replays = [np.full(size, 1.0 + k / 1000) for k in range(3)]
    recorded = np.ones(size)
    recorded[600:] = 2.0
    found = {c.figure: c for c in coverage(calls(recorded, *replays))}["latency mean"]
    assert (found.windows, found.calls) == (9, 200)
    assert found.held == pytest.approx(5 / 9)  # those that end with call 600
    assert found.errors[-1] == pytest.approx(math.log(2 / 1.001), abs=1e-5)
    assert coverage(calls(recorded[:900], *(r[:900] for r in replays))) == []


def test_verdicts_on_coverage() -> None:
    def of(low: float, high: float) -> str:
        none = np.zeros(3)
        return Coverage("all", "latency p95", 3, 1, 0.9, low, high, none, none).verdict

    assert of(0.85, 0.99) == "as promised"
    assert of(0.60, 0.99) == "not contradicted"
    assert of(0.60, 0.94) == "too narrow"


def test_what_to_believe_by_hand() -> None:
    whole = Prediction("all", "latency p95", 500, math.e**0.1, 1.0, 0.9, 1.1, variance=0.0025)
    z = 1.959963984540054
    assert believable(whole, None) == pytest.approx(math.expm1(0.1 + z * 0.05))
    # Errors of windows alternate by ±.3 beyond a chance of .01: a variance of .08 over 10.
    errors, chance = np.tile([0.3, -0.3], 10), np.full(20, 0.01)
    windows = Coverage("all", "latency p95", 20, 1, 0.9, 0.8, 1.0, errors, chance)
    assert believable(whole, windows) == pytest.approx(
        math.expm1(0.1 + z * math.sqrt(0.0025 + 0.08 / 10))
    )
    calm = Coverage("all", "latency p95", 20, 1, 0.9, 0.8, 1.0, errors / 10, chance)
    assert believable(whole, calm) == believable(whole, None)
