"""Zeros for unknown costs, and cents beside dollars; free agents and dear ones are let be."""

import numpy as np
import pytest

from routingsim.corpora.checkup.costs import cost_units, unknown_costs

from .columns import columns, pool_of

RISING = 0.9 + 0.2 * (np.arange(40) // 2) / 19
HALF = np.arange(40) % 2 == 0


@pytest.mark.parametrize(
    ("cost", "pool", "said", "severity"),
    [
        (RISING, None, None, ""),
        (np.where(HALF, 0.0, 0.5), None, "20 of 40 costs are 0, 20 of them of answers with "
         "tokens, and the others are 0.5 USD on average", "wrong"),
        (0.0, None, "40 of 40 costs are 0, 40 of them of answers with tokens, and other agents "
         "cost something", "suspicious"),
        (0.0, pool_of(a=0.2, b=1.0), "40 of 40 costs are 0, 40 of them of answers with tokens, "
         "and the agent costs 0.2 USD per 1,000 tokens", "wrong"),
        (0.0, pool_of(a=0.0, b=1.0), None, ""),
    ],
)  # fmt: skip
def test_zero_for_unknown(cost, pool, said: str | None, severity: str) -> None:
    read = columns(40, output_tokens=100.0, pool=pool, a={"cost": cost}, b={"cost": 0.01})
    found = unknown_costs(read)
    whole = f"outcomes.a.cost: {said}: 0 counts as free, and may stand for unknown"
    assert [(each.what, each.severity) for each in found] == ([(whole, severity)] if said else [])


def test_failed_calls_and_free_pools_may_cost_nothing() -> None:
    failed = columns(40, a={"cost": np.where(HALF, 0.0, 0.5), "failed": HALF.astype(float)})
    assert unknown_costs(failed) == []
    assert unknown_costs(columns(40, a={"cost": 0.0}, b={"cost": 0.0})) == []


def units(cost, tokens: float | np.ndarray = np.nan, pool=None) -> list[str]:
    found = cost_units(columns(40, output_tokens=tokens, pool=pool, a={"cost": cost}))
    return [each.what.removeprefix("outcomes.a.cost: ") for each in found]


def test_two_units_in_one_column() -> None:
    mixed = np.where(HALF, 0.002, 0.2) * RISING
    said = (
        "20 of 40 values are 100 times the others (medians 0.2 and 0.002), and none lies "
        "between: these are probably cents, and the others dollars"
    )
    assert units(mixed) == [said]
    assert units(np.where(HALF, 0.002, 2.0))[0].startswith("20 of 40 values are 1,000 times")
    for sound in (0.002 * RISING, 0.002 * 10 ** (2 * RISING), np.where(HALF, 0.002, 0.02)):
        assert units(sound) == []
    assert units(np.where(np.arange(40) < 1, 0.2, 0.002)) == []  # one dear call
    # Lengths explain what prices do not: 150 tokens or 15,000.
    tokens = np.where(HALF, 100.0, 14950.0)
    assert units(1e-6 * (50 + tokens), tokens) == []


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (0.02, "the median is 100 times price x tokens (0.02 USD per 1,000 tokens): these are "
         "probably cents"),
        (20.0, None), (2.0, None), (0.2, None), (0.002, "the median is 1,000 times price x tokens "
         "(0.002 USD per 1,000 tokens): these are probably thousandths of a dollar"),
        (200.0, "the median is a 100th of price x tokens (200 USD per 1,000 tokens): cost or price "
         "has another unit, as USD per million tokens"),
    ],
)  # fmt: skip
def test_another_unit_than_the_price(price: float, said: str | None) -> None:
    cost = 2e-3 * 150 * RISING  # 2 USD per 1,000 tokens
    dear = (
        "the median is 2 USD per 1,000 tokens, more than any model costs: these are probably not "
        "dollars"
    )
    assert units(cost, 100.0, pool_of(a=price)) == [said or dear]
    if said:
        assert units(cost / 1e4, 100.0, pool_of(a=price / 1e4))[0].startswith(said[:30])
    else:
        assert units(cost / 1e4, 100.0, pool_of(a=price / 1e4)) == []
