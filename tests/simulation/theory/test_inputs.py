"""Parameters that are not allowed."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from routingsim.errors import SimulationError
from routingsim.simulation import theory
from routingsim.simulation.theory.results import Result
from tests.simulation.theory.queues import MM5

UNSTABLE: list[Callable[[], Result]] = [
    lambda: theory.mmc(rate=6, service=1, servers=5),
    lambda: theory.mmc(rate=5, service=1, servers=5),
    lambda: theory.mdc(rate=6, service=1, servers=5),
    lambda: theory.mg1(rate=6, service=1, scv=1),
    lambda: theory.gimc(6, 1, 5, theory.gamma_lst(cv=2)),
    lambda: theory.mmc_retry(rate=4.6, service=1, servers=5, p_retry=0.1),
]


@pytest.mark.parametrize("call", UNSTABLE)
def test_no_steady_state(call: Callable[[], Result]) -> None:
    with pytest.raises(SimulationError, match=r"no steady state: rate .* service .* servers"):
        call()


def test_no_steady_state_says_what_would_be_stable() -> None:
    with pytest.raises(SimulationError) as caught:
        theory.mmc(rate=6, service=1.5, servers=5)
    assert str(caught.value) == (
        "mmc: no steady state: rate 6/s times service 1.5 s offers a load of 9 to 5 servers, so "
        "the queue grows for ever; it is stable with 10 servers or more, with a rate below "
        "3.33333/s, or with a service below 0.833333 s"
    )
    theory.mmc(rate=6, service=1.5, servers=10)


BAD: list[tuple[str, Callable[[Any], object], tuple[Any, ...]]] = [
    ("rate", lambda x: theory.mmc(x, 1, 5), (-1, 0, math.nan, math.inf, "4", None)),
    ("service", lambda x: theory.mmc(1, x, 5), (-1, 0, math.nan, math.inf)),
    ("servers", lambda x: theory.mmc(1, 1, x), (0, -2, 2.5, 5.0, True, math.nan, "5")),
    ("capacity", lambda x: theory.mmck(1, 1, 3, x), (2, 10.5)),
    ("p_retry", lambda x: theory.mmc_retry(1, 1, 3, x), (-0.1, 1.0, math.nan)),
    ("max_attempts", lambda x: theory.mmc_retry(1, 1, 3, 0.1, x), (0, 1.5)),
    ("scv", lambda x: theory.mg1(0.5, 1, x), (-0.1, math.nan, math.inf)),
    ("patience", lambda x: theory.mmc_timeout(1, 1, 3, x), (-1, math.inf, math.nan)),
    ("patience", lambda x: theory.erlang_a(1, 1, 3, x), (-1, 0, math.inf)),
    ("users", lambda x: theory.finite_source(x, 1, 1, 1), (0, 2.5)),
    ("think", lambda x: theory.finite_source(2, x, 1, 1), (-1, math.inf)),
    ("cv", theory.gamma_lst, (0, -1, math.nan)),
    ("cv", theory.weibull_lst, (0, 1e3)),
    ("cv", theory.hyperexponential_lst, (0.9, math.nan)),
    ("load", lambda x: theory.erlang_b(x, 3), (0, math.nan)),
    ("q", MM5.wait_quantile, (1.0, -0.1, math.nan, 95.0)),
    ("q", MM5.latency_quantile, (1.0,)),
]


@pytest.mark.parametrize(
    ("name", "call", "value"),
    [(name, call, value) for name, call, values in BAD for value in values],
)
def test_bad_input_is_named(name: str, call: Callable[[Any], object], value: object) -> None:
    with pytest.raises(SimulationError, match=f": {name} is {value!r}; it must be"):
        call(value)
