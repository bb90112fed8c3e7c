"""Prices recovered from recorded costs: what a token of prompts, caches and answers costs.

A call's cost is taken to be ``input x (prompt - cached - written) + output x answer + read x cached
+ write x written``, the cached tokens being those of the prompt that are read from a cache, and the
written ones those that are written to it, with prices of at least 0: non-negative least squares
(Lawson & Hanson, *Solving Least Squares Problems*, 1974, ch. 23). Which calls obey one price list
is found first, by the least sum of relative residuals; the others (batches, long prompts, other
contracts) are left out and counted.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.statuses import FAILED, OK
from routingsim.simulation.lognormal_fit import NORMAL_MAD, FittedValue

FEWEST = 10  # calls with costs and tokens for a fit
APART = 1e-5  # least eigenvalue of the tokens' correlations from which prices can be told apart
CLOSE = 0.005  # relative residual of a call that obeys the prices, at most
POOR = 0.02  # relative residual of all calls above which tokens do not explain the costs
MOST_DIGITS = 4  # of a price in USD per million tokens

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PriceFit:
    """Prices in USD per million tokens, recovered from recorded costs.

    Attributes
    ----------
    price_input, price_output : FittedValue
    price_cache_read, price_cache_write : FittedValue or None
        None where hardly a prompt was read from a cache, or written to it.
    calls, left_out : int
        Calls that the prices rest on, and calls with costs that do not obey them.
    residual : float
        Sum of |modelled - recorded| over the sum of recorded costs, of all calls with costs.
    """

    price_input: FittedValue
    price_output: FittedValue
    price_cache_read: FittedValue | None
    price_cache_write: FittedValue | None
    calls: int
    left_out: int
    residual: float

    @property
    def fields(self) -> dict[str, float]:
        """The prices as fields of an agent, to the digit that their errors allow."""
        found = {name: getattr(self, name) for name in _WORDS}
        return {name: _rounded(price) for name, price in found.items() if price is not None}

    @property
    def comments(self) -> dict[str, str]:
        """What an agents file says beside each price."""
        fitted = f"inferred from the costs of {self.calls:,} calls, {self}"
        exact = {name for name in self.fields if getattr(self, name).error < 10.0**-MOST_DIGITS}
        return {
            name: fitted if name in exact else f"{fitted}; {getattr(self, name)}"
            for name in self.fields
        }

    def __str__(self) -> str:
        others = f", {self.left_out:,} others left out" if self.left_out else ""
        return f"residual {self.residual:.2%}{others}"


_WORDS = {
    "price_input": "prompts",
    "price_output": "answers",
    "price_cache_read": "cached tokens",
    "price_cache_write": "tokens written to a cache",
}


def _counts(log: CallLog) -> dict[str, Floats]:
    """Tokens of each call by the price that they have, in millions."""
    prompt, answer = log.numbers("prompt_tokens"), log.numbers("output_tokens")
    cached, written = (
        np.nan_to_num(log.numbers(name)) for name in ("cached_tokens", "cache_write_tokens")
    )
    counts = (prompt - cached - written, answer, cached, written)
    return {name: each / 1e6 for name, each in zip(_WORDS, counts, strict=True)}


def fit_prices(log: CallLog) -> tuple[PriceFit | None, list[str]]:
    """The prices of the calls of one agent, and notes; None where the costs do not show them.

    Parameters
    ----------
    log : CallLog
        Of calls of one agent. Those that were answered, with a cost above 0 and with tokens of
        prompt and answer, are used.
    """
    cost, counts = log.numbers("cost"), _counts(log)
    use = (log.statuses == OK) & (cost > 0) & np.isfinite(counts["price_output"])
    use &= counts["price_input"] >= 0
    names = ["price_input", "price_output"]
    for name in ("price_cache_read", "price_cache_write"):
        some = counts[name] > 0
        if (use & some).sum() >= FEWEST:
            names.append(name)
        else:
            use &= ~some
    if use.sum() < FEWEST:
        return None, []
    cost, tokens = cost[use], np.column_stack([counts[name][use] for name in names])
    length = np.sqrt(np.square(tokens).sum(axis=0))
    if not length.all() or np.linalg.eigvalsh((tokens / length).T @ (tokens / length))[0] < APART:
        *firsts, last = (_WORDS[name] for name in names)
        return None, [
            f"prices of {', '.join(firsts)} and {last} cannot be told apart, as their numbers go "
            "together: one price for all"
        ]
    prices = _solved(tokens, cost, 1.0 / np.square(cost))
    for _ in range(30):  # to the least sum of relative residuals
        off = np.abs(tokens @ prices - cost)
        prices = _solved(tokens, cost, 1.0 / (cost * np.maximum(off, 1e-7 * cost)))
    off = np.abs(tokens @ prices - cost) / cost
    kept = off <= max(6.0 * NORMAL_MAD * float(np.median(off)), CLOSE)
    tokens_kept, cost_kept = tokens[kept], cost[kept]
    weights = 1.0 / cost_kept
    prices = _solved(tokens_kept, cost_kept, weights)
    residuals = tokens_kept @ prices - cost_kept
    size = int(kept.sum())
    variance = float(weights @ np.square(residuals)) / max(size - prices.size, 1)
    gram = tokens_kept.T @ (tokens_kept * weights[:, np.newaxis])
    errors = np.sqrt(variance * np.diag(np.linalg.pinv(gram)))
    values: dict[str, Any] = dict.fromkeys(_WORDS) | {
        name: FittedValue(float(price), float(error), size)
        for name, price, error in zip(names, prices, errors, strict=True)
    }
    residual = float(np.abs(tokens @ prices - cost).sum() / cost.sum())
    found = PriceFit(**values, calls=size, left_out=int((~kept).sum()), residual=residual)
    notes = []
    if residual > POOR:
        notes.append(
            f"tokens do not explain the recorded costs: prices recovered from them are "
            f"{residual:.1%} off in sum"
        )
    return found, notes


def failed_cost(log: CallLog, prices: PriceFit | None) -> tuple[str, str] | None:
    """What calls that failed cost by their recorded costs, and on how many calls that rests.

    Returns
    -------
    tuple of str, or None
        A value of an agent's ``failed_cost``, "all", "input" or "nothing", which nine in ten of
        the failed calls with a recorded cost obey; None where none does, or there are few.
    """
    cost = log.numbers("cost")
    use = (log.statuses == FAILED) & np.isfinite(cost)
    size = int(use.sum())
    if size < FEWEST:
        return None
    free = cost[use] == 0
    if free.mean() >= 0.9:
        return "nothing", f"inferred: {int(free.sum()):,} of {size:,} failed calls cost nothing"
    if prices is None:
        return None
    due = {
        name: getattr(prices, name).value * np.nan_to_num(tokens[use])
        for name, tokens in _counts(log).items()
        if getattr(prices, name) is not None
    }
    whole = np.sum(list(due.values()), axis=0)
    into = whole - due["price_output"]
    said = (("all", whole, "what any call costs"), ("input", into, "their prompts"))
    for value, paid, what in said:
        near = np.abs(cost[use] - paid) <= 10 * CLOSE * paid
        if near.mean() >= 0.9:
            return value, f"inferred: {int(near.sum()):,} of {size:,} failed calls cost {what}"
    return None


def _solved(tokens: Floats, cost: Floats, weights: Floats) -> Floats:
    """Non-negative weighted least squares, by the Cholesky factor of the normal equations."""
    gram = tokens.T @ (tokens * weights[:, np.newaxis])
    scale = np.sqrt(np.diag(gram))
    lower = np.linalg.cholesky(gram / np.outer(scale, scale))
    right = np.linalg.solve(lower, (tokens.T @ (cost * weights)) / scale)
    return optimize.nnls(lower.T, right)[0] / scale


def _rounded(price: FittedValue) -> float:
    error = max(2.0 * price.error, 10.0**-MOST_DIGITS)
    return round(price.value, min(MOST_DIGITS, max(0, math.ceil(-math.log10(error)))))
