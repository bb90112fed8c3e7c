"""Prices recovered from recorded costs."""

import numpy as np
import pytest

from routingsim.simulation.price_fit import failed_cost, fit_prices

from .logs_of_known_truth import log_of

TRUE = {"price_input": 2.5, "price_output": 10.0, "price_cache_read": 1.25}
WRITES = TRUE | {"price_cache_write": 3.125}


def calls(size: int = 400, seed: int = 1) -> dict:
    """Calls at 2.5, 10 and 1.25 USD per million; four in ten read a part of the prompt cached."""
    rng = np.random.default_rng(seed)
    prompt, answer = rng.lognormal(6, 1.2, size).round(), rng.lognormal(5, 1, size).round()
    cached = np.where(rng.random(size) < 0.4, (prompt * rng.random(size)).round(), 0.0)
    cost = (2.5 * (prompt - cached) + 10.0 * answer + 1.25 * cached) / 1e6
    return {"prompt_tokens": prompt, "output_tokens": answer, "cached_tokens": cached,
            "latency": answer / 50, "cost": cost}  # fmt: skip


@pytest.mark.parametrize("digits", [12, 6])
def test_prices_come_back_to_the_cent(digits: int) -> None:
    given = calls()
    found, notes = fit_prices(log_of(**{**given, "cost": given["cost"].round(digits)}))
    assert found is not None
    assert found.fields == pytest.approx(TRUE, abs=0.005)
    assert found.residual < 1e-3
    assert notes == []
    said = found.comments["price_output"]
    assert said.startswith(f"inferred from the costs of {found.calls} calls, residual 0.0")


def test_tokens_that_are_written_to_a_cache_have_their_own_price() -> None:
    """A third of the calls writes half of what its prompt does not read."""
    given = calls()
    rest = given["prompt_tokens"] - given["cached_tokens"]
    written = np.where(np.arange(400) % 3 == 0, (rest / 2).round(), 0.0)
    given |= {"cache_write_tokens": written, "cost": given["cost"] + (3.125 - 2.5) * written / 1e6}
    found, notes = fit_prices(log_of(**given))
    assert found is not None
    assert (found.fields, notes, found.left_out) == (WRITES, [], 0)
    nine = np.cumsum(written > 0) <= 9  # of too few calls that write nothing is said
    found, _ = fit_prices(log_of(**{name: values[nine] for name, values in given.items()}))
    assert found is not None
    assert "price_cache_write" not in found.fields
    assert found.calls == nine.sum() - 9


def test_failed_calls_that_cost_their_prompts_pay_for_caches_too() -> None:
    given = calls(100)
    given["cost"][80:] -= 1e-5 * given["output_tokens"][80:]
    log = log_of(**given, status=["ok"] * 80 + ["failed"] * 20)
    prices, _ = fit_prices(log)
    assert failed_cost(log, prices) == (
        "input",
        "inferred: 20 of 20 failed calls cost their prompts",
    )


def test_calls_of_another_contract_are_left_out_and_counted() -> None:
    """Forty of 400 calls were billed at half, as batches are: 200 of the rest's cents."""
    given = calls()
    given["cost"][:40] /= 2
    found, notes = fit_prices(log_of(**given))
    assert found is not None
    assert (found.fields, found.calls, found.left_out) == (TRUE, 360, 40)
    half = given["cost"][:40].sum() / given["cost"].sum()
    assert found.residual == pytest.approx(half)
    assert notes == ([f"tokens do not explain the recorded costs: prices recovered from them are "
                      f"{half:.1%} off in sum"] if half > 0.02 else [])  # fmt: skip


def test_failed_calls_and_unknown_costs_say_nothing() -> None:
    given = calls(30)
    given["cached_tokens"] = np.zeros(30)
    given["cost"] = 2.5e-6 * given["prompt_tokens"] + 1e-5 * given["output_tokens"]
    given["cost"][:5], given["cost"][5:10] = 0.0, np.nan
    given["status"] = ["ok"] * 20 + ["failed"] * 10
    found, _ = fit_prices(log_of(**given))
    assert found is not None
    assert found.calls == 10
    given["status"] = ["ok"] * 19 + ["failed"] * 11
    assert fit_prices(log_of(**given)) == (None, [])


@pytest.mark.parametrize(
    ("share", "found"),
    [
        (lambda into, out: into + out, ("all", "what any call costs")),
        (lambda into, out: into, ("input", "their prompts")),
        (lambda into, out: 0 * into, ("nothing", "nothing")),
        (lambda into, out: into + out / 2, None),
    ],
)
def test_what_failed_calls_cost(share, found: tuple[str, str] | None) -> None:
    given = calls(100)
    given["cached_tokens"] = np.zeros(100)
    into, out = 2.5e-6 * given["prompt_tokens"], 1e-5 * given["output_tokens"]
    given["cost"] = np.where(np.arange(100) < 80, into + out, share(into, out))
    log = log_of(**given, status=["ok"] * 80 + ["failed"] * 20)
    prices, _ = fit_prices(log)
    said = found and (found[0], f"inferred: 20 of 20 failed calls cost {found[1]}")
    assert failed_cost(log, prices) == said
    few = log.select(np.arange(100) < 89)
    assert failed_cost(few, prices) is None


def test_lengths_that_go_together_do_not_tell_prices_apart() -> None:
    given = calls()
    given["output_tokens"], given["cached_tokens"] = given["prompt_tokens"] * 2, np.zeros(400)
    found, notes = fit_prices(log_of(**{**given, "cost": given["prompt_tokens"] * 1e-5}))
    assert found is None
    assert notes == [
        "prices of prompts and answers cannot be told apart, as their numbers go together: one "
        "price for all"
    ]


def test_costs_that_have_nothing_to_do_with_tokens_are_named() -> None:
    rng = np.random.default_rng(3)
    found, notes = fit_prices(log_of(**{**calls(), "cost": rng.lognormal(-7, 1, 400)}))
    assert found is not None
    assert found.residual > 0.3
    assert notes[0].startswith("tokens do not explain the recorded costs: ")
