"""Synonyms of arguments and of agents' fields, and the errors that name the one meant."""

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar, cast

from routingsim.errors import ArgumentError, did_you_mean

Called = TypeVar("Called", bound=Callable[..., Any])


def argument_hints(called: Called) -> Called:
    """Decorate a function or class so that errors about its arguments name the one meant.

    A call that does not fit the signature raises :class:`routingsim.ArgumentError`, which is also a
    ``TypeError``. Signature, type and pickling stay as they are; a correct call takes 0.1 µs more.
    """
    made = inspect.isclass(called)
    plain = called.__init__ if made else called

    @functools.wraps(plain)
    def hinting(*given: Any, **named: Any) -> Any:
        try:
            return plain(*given, **named)
        except TypeError:
            signature = inspect.signature(plain)
            try:
                signature.bind(*given, **named)
            except TypeError as wrong:
                known = [name for name in signature.parameters if not made or name != "self"]
                said = _wrong_call(str(wrong), named, known)
                raise ArgumentError(f"{called.__name__}: {said}") from None
            raise

    if not made:
        return cast(Called, hinting)
    cast(Any, called).__init__ = hinting
    return cast(Called, called)


def _wrong_call(wrong: str, given: Collection[str], known: Sequence[str]) -> str:
    """The error of a call with the keyword arguments ``given``, and which argument may be meant."""
    listed = f": there are {', '.join(known)}" if known else ""
    for word in given:
        if word not in known:
            plain = word.lower().replace("-", "_")
            hint = _ours(plain, known) or of_agents(word, f"give it there, as {_AGENT}")
            hint = hint or did_you_mean(plain, known).removeprefix("; ")
            return f"no argument {word!r}{f'; {hint}' if hint else listed}"
    return f"{wrong}{listed}"


def unknown_field(word: str, fields: Sequence[str]) -> str:
    """The error that agents have no field of this name: all fields, and which may be meant."""
    return f"no field {word!r}: there are {', '.join(fields)}{meant(word, fields)}"


def meant(word: str, fields: Sequence[str]) -> str:
    """The end of a message: the field of an agent that may be meant by a word."""
    plain = word.lower().replace("-", "_")
    if plain in ELSEWHERE:
        return f"; {ELSEWHERE[plain]}"
    hint = _ours(plain, fields)
    return f"; {hint}" if hint else did_you_mean(plain, fields)


def of_agents(word: str, there: str = "give it in their file, --agents FILE.toml") -> str:
    """Where to give a field of agents that was given elsewhere; "" if the word is none."""
    plain = word.lower().replace("-", "_")
    if plain in ELSEWHERE:
        return ELSEWHERE[plain]
    ours = SYNONYMS.get(plain, plain if plain in {*SYNONYMS.values(), *WITHOUT} else "")
    named = " or ".join(ours.split("/"))
    return (
        f"{named} is a field of agents: {there.replace('FIELD', ours.partition('/')[0])}"
        if ours
        else ""
    )


def _ours(word: str, known: Collection[str]) -> str:
    """A question that names those of ``known`` that may be meant by a word; "" if none."""
    ours = f"{SYNONYMS.get(word, '')}/{ARGUMENTS.get(word, '')}".split("/")
    meant = [repr(each) for each in dict.fromkeys(ours) if each in known]
    return f"did you mean {' or '.join(meant)}?" if meant else ""


_AGENT = "rs.Agent(..., FIELD=...), or in an agents file"


ELSEWHERE = {
    **dict.fromkeys(
        ("retries", "max_retries", "num_retries", "attempts"),
        "retries are of a replay, as Retries(attempts=3) or --attempts 3",
    ),
    **dict.fromkeys(
        ("backoff", "jitter", "retry_after", "retry_budget"),
        "back-offs are of a replay, as Retries(attempts=3, backoff=1) or --backoff 1",
    ),
    **dict.fromkeys(
        ("hedge", "hedge_after", "hedging"),
        "second copies are of a replay, as hedge='p95' or --hedge p95",
    ),
    **dict.fromkeys(
        ("cooldown", "cooldown_time", "allowed_fails"),
        "cooldowns are of a replay, as Retries(cooldown='3:60:30') or --cooldown 3:60:30",
    ),
    **dict.fromkeys(
        ("priority", "weight", "tenant"),
        "priorities and weights are of tasks and tenants, as tenants='gold:weight=2,priority=0'",
    ),
}
"""Words for what is not a field of agents, and where it belongs."""

SYNONYMS = {
    **dict.fromkeys(
        (
            *("slots", "workers", "max_concurrency", "parallel", "capacity", "parallelism"),
            *("max_parallel_requests", "max_num_seqs", "batch_size", "num_slots", "servers"),
            "max_concurrent_requests",
        ),
        "concurrency",
    ),
    **dict.fromkeys(
        ("rpm", "rate_limit", "request_limit", "rps", "qps", "rpm_limit", "requests_per_second"),
        "requests_per_minute",
    ),
    **dict.fromkeys(
        ("price", "usd", "cost_per_1k", "price_per_1k", "cost_per_token", "price_per_token"), "cost"
    ),
    **dict.fromkeys(
        (
            *("input", "input_price", "input_cost", "price_prompt", "prompt_price"),
            *("input_cost_per_token", "input_mtok"),
        ),
        "price_input",
    ),
    **dict.fromkeys(
        (
            *("output", "output_price", "output_cost", "price_completion", "completion_price"),
            *("output_cost_per_token", "output_mtok"),
        ),
        "price_output",
    ),
    **dict.fromkeys(
        ("price_cached", "price_cached_input", "cached_input_price", "cache_read"),
        "price_cache_read",
    ),
    "cache_write": "price_cache_write",
    **dict.fromkeys(("service_time", "mean_latency", "seconds", "duration"), "latency"),
    **dict.fromkeys(("cv", "service_cv", "std", "sigma"), "latency_cv"),
    **dict.fromkeys(("tps", "tokens_per_s", "speed"), "tokens_per_second"),
    **dict.fromkeys(("max_wait", "queue_timeout"), "patience"),
    **dict.fromkeys(("timeout_seconds", "call_timeout", "request_timeout", "deadline"), "timeout"),
    **dict.fromkeys(("ttft_timeout", "stream_timeout"), "first_token_timeout"),
    **dict.fromkeys(("time_to_first_token", "first_token"), "ttft"),
    **dict.fromkeys(("tpm", "token_limit", "tpm_limit", "tokens_per_day"), "tokens_per_minute"),
    "rpd": "requests_per_day",
    "max_tokens": "output_tokens/context_window",  # of an answer, or of a model
    **dict.fromkeys(
        (
            *("max_input_tokens", "context", "context_length", "max_context", "max_model_len"),
            *("window", "max_prompt_tokens"),
        ),
        "context_window",
    ),
    **dict.fromkeys(("max_output_tokens", "answer_tokens", "completion_tokens"), "output_tokens"),
    **dict.fromkeys(("provider", "api_key", "organization", "org"), "account"),
    **dict.fromkeys(("failure_rate", "failure_probability", "p_fail"), "error_rate"),
    **dict.fromkeys(("max_queue", "queue", "queue_size"), "queue_limit"),
    **dict.fromkeys(("model", "agent"), "id"),
    **dict.fromkeys(("skills", "tags", "categories"), "strengths"),
    **dict.fromkeys(("on_limit", "limit_policy", "throttle", "on_429"), "over_limit"),
    **dict.fromkeys(("window_type", "rate_window", "limiter"), "limit_window"),
    **dict.fromkeys(("prefill", "prefill_tps", "prefill_speed"), "prefill_tokens_per_second"),
}
"""Fields of agents by their synonyms in other tools; / separates two fields."""

WITHOUT = (
    *("patience_law", "cut_off", "cut_off_cost", "failed_cost", "sharing", "fallback"),
    "price_per_slot_hour",
)
"""Fields of agents without a synonym, except those that are also arguments of functions."""

ARGUMENTS = {
    **dict.fromkeys(("max_retries", "num_retries", "max_attempts", "tries"), "attempts/retries"),
    **dict.fromkeys(("retries", "max_tries", "count"), "attempts"),
    "attempts": "retries",
    **dict.fromkeys(("delay", "wait", "seconds_between"), "backoff/after/signal_delay"),
    **dict.fromkeys(("base_delay", "initial_delay", "min_wait", "sleep"), "backoff"),
    **dict.fromkeys(("multiplier", "exponential_base", "backoff_factor"), "factor"),
    **dict.fromkeys(("retry_on", "status", "statuses", "codes"), "on"),
    **dict.fromkeys(("start", "begin", "since", "from_", "begins"), "down/at/start"),
    **dict.fromkeys(("end", "stop", "until", "ends"), "up"),
    **dict.fromkeys(("time", "when", "t"), "at"),
    **dict.fromkeys(("allowed_fails", "max_failures", "threshold", "fails"), "failures"),
    **dict.fromkeys(("cooldown_time", "cooldown", "recovery_timeout"), "seconds"),
    **dict.fromkeys(("period", "window"), "within"),
    "duration": "up/seconds",
    **dict.fromkeys(("percentile", "q", "p"), "quantile"),
    **dict.fromkeys(("rps", "qps", "lam", "lambda_", "arrival_rate"), "rate/rates/arrivals"),
    "rate": "rates/arrivals",
    **dict.fromkeys(("load", "rho", "utilisation", "utilization"), "load/loads/arrivals"),
    **dict.fromkeys(("n", "n_tasks", "num_tasks", "size", "number", "limit", "requests"), "tasks"),
    **dict.fromkeys(("runs", "reps", "replicates", "n_runs", "repeats"), "replications/runs"),
    "replications": "runs",
    **dict.fromkeys(("target", "targets", "slos"), "slo/objective"),
    **dict.fromkeys(("slo", "deadline"), "objective"),
    "objective": "slo",
    **dict.fromkeys(("random_state", "random_seed", "rng"), "seed"),
    **dict.fromkeys(("agents", "models", "providers"), "pool"),
    "pool": "agents",
    **dict.fromkeys(("data", "dataset", "prompts"), "corpus"),
    **dict.fromkeys(("router", "strategy", "routing"), "policy/policies"),
    **dict.fromkeys(("workers", "n_workers", "processes", "jobs"), "n_jobs"),
    **dict.fromkeys(("parameters", "grid", "space", "over"), "vary"),
    **dict.fromkeys(("accuracy", "min_quality"), "quality"),
    **dict.fromkeys(("max_cost", "cost_limit"), "budget"),
    "cost": "price",
    **dict.fromkeys(("latency", "service_time", "slowdown", "factor"), "speed"),
    **dict.fromkeys(("available", "enabled", "join", "leave"), "offered"),
    "cv": "think_cv",
    **dict.fromkeys(("hedging", "hedge_after", "hedge_delay"), "hedge"),
}
"""Arguments by their synonyms in other tools; / separates those of several functions."""
