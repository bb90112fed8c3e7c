"""Recorded costs: zeros that stand for unknown, and units that differ by a hundred or more."""

import math

import numpy as np

from routingsim.agents import AgentPool, usd
from routingsim.corpora.checkup.finding import Columns, Finding, Floats

_UNITS = {100.0: "cents", 1000.0: "thousandths of a dollar", 1e6: "millionths of a dollar"}
_NEAR = 3.0  # factor by which a ratio may differ from one of these, and
_NEARER = 2.0  # where the lengths of answers are assumed
_DEAR = 1e-3  # USD for each token, prompt and answer: models cost a tenth of it at most
_GAP = 1.0  # powers of ten between two units in one column, at least: nothing lies between
_FEW = 0.01  # share of a column that has another unit, at least
_TOUCHES = "costs, and policies and verdicts that go by cost"


def unknown_costs(columns: Columns) -> list[Finding]:
    """Recorded costs of 0 of answers that others, or the agent's price, show to cost something."""
    cost = columns.outcomes["cost"]
    zero, paid = cost == 0, cost > 0
    zero &= columns.outcomes["failed"] != 1
    if not paid.any() and not any(_price(columns, name) > 0 for name in columns.agents):
        return []
    found = []
    for a, name in enumerate(columns.agents):
        zeros, others = int(zero[:, a].sum()), int(paid[:, a].sum())
        agent, priced = columns.agent(name), _price(columns, name)
        free = agent is not None and priced == 0 and not others
        if not zeros or free:
            continue
        share = f"{zeros:,} of {zeros + others:,} costs are 0"
        written = int((zero[:, a] & (columns.answer_tokens(a) > 0)).sum())
        of_these = f", {written:,} of them of answers with tokens" if written else ""
        if others:
            mean = float(cost[paid[:, a], a].mean())
            said = f"{share}{of_these}, and the others are {mean:.3g} USD on average"
        elif priced > 0:
            said = f"{share}{of_these}, and the agent costs {priced:g} USD per 1,000 tokens"
        else:
            said = f"{share}{of_these}, and other agents cost something"
        found.append(
            Finding(
                "cost",
                "wrong" if others or priced > 0 else "suspicious",
                f"outcomes.{name}.cost: {said}: 0 counts as free, and may stand for unknown",
                _TOUCHES,
                "leave a cost that nobody recorded empty: it is then price x tokens",
            )
        )
    return found


def cost_units(columns: Columns) -> list[Finding]:
    """Costs in another unit than US dollars: within a column, beside prices, or by themselves."""
    found = []
    for a, name in enumerate(columns.agents):
        known = np.flatnonzero(columns.outcomes["cost"][:, a] > 0)
        if not known.size:
            continue
        cost = columns.outcomes["cost"][known, a]
        tokens = columns.prompt_tokens[known] + columns.answer_tokens(a)[known]
        counted = bool(np.isfinite(tokens).all() and (tokens > 0).all())
        agent = columns.agent(name)
        if not counted and agent is not None:
            tokens = columns.prompt_tokens[known] + agent.output_tokens
        each = cost / tokens if counted or agent is not None else cost
        price = _price(columns, name)
        if agent is not None and agent.priced:  # of these prompts and answers
            answer = tokens - columns.prompt_tokens[known]
            paid = usd(AgentPool((agent,)), columns.prompt_tokens[known, None], answer[:, None])
            price = 1000.0 * float(np.median(paid[:, 0] / tokens))
        if said := _mixed(each) or _unlike_price(each, price, counted):
            found.append(
                Finding(
                    "cost",
                    "wrong",
                    f"outcomes.{name}.cost: {said}",
                    _TOUCHES,
                    "write all costs in US dollars",
                )
            )
    return found


def _price(columns: Columns, name: str) -> float:
    """USD per 1,000 tokens of an agent of the pool; 0 where it is not known."""
    agent = columns.agent(name)
    return 0.0 if agent is None else agent.cost


def _mixed(each: Floats) -> str:
    """A note that a column has two units: values a hundred times others, and none between."""
    powers = np.sort(np.log10(each))
    steps = np.diff(powers)
    fewest = max(3, math.ceil(_FEW * powers.size))
    inner = steps[fewest - 1 : powers.size - fewest]
    if not inner.size or inner.max() < _GAP:
        return ""
    cut = fewest + int(inner.argmax())
    low, high = 10 ** float(np.median(powers[:cut])), 10 ** float(np.median(powers[cut:]))
    unit = _unit(high / low)
    if not unit:
        return ""
    return (
        f"{powers.size - cut:,} of {powers.size:,} values are {high / low:,.0f} times the others "
        f"(medians {high:.3g} and {low:.3g}), and none lies between: these are probably {unit}, "
        "and the others dollars"
    )


def _unlike_price(each: Floats, price: float, counted: bool) -> str:
    """A note that costs a token are far from the price, or above what any model costs.

    Parameters
    ----------
    each : ndarray
        Costs (USD) of a token.
    price : float
        USD per 1,000 tokens; 0 where it is not known.
    counted : bool
        Whether the tokens of answers are recorded, and not assumed.
    """
    median, price = float(np.median(each)), price / 1000.0
    near = _NEAR if counted else _NEARER
    if price and (unit := _unit(median / price, near)):
        ratio = median / price
        return (
            f"the median is {ratio:,.0f} times price x tokens ({1000 * price:g} USD per 1,000 "
            f"tokens): these are probably {unit}"
        )
    if price and _unit(price / median, near):
        return (
            f"the median is a {price / median:,.0f}th of price x tokens ({1000 * price:g} USD per "
            "1,000 tokens): cost or price has another unit, as USD per million tokens"
        )
    if counted and median > _DEAR:
        return (
            f"the median is {1000 * median:,.3g} USD per 1,000 tokens, more than any model costs: "
            "these are probably not dollars"
        )
    return ""


def _unit(ratio: float, factor: float = _NEAR) -> str:
    """What is so many times as small as a dollar, within a factor; "" if no unit in use is."""
    near = {unit: abs(math.log(ratio / size)) for size, unit in _UNITS.items()}
    unit = min(near, key=lambda each: near[each])
    return unit if near[unit] <= math.log(factor) else ""
