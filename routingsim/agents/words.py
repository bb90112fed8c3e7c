"""Words that people write for the fields of an agent, and the hints that errors give on them."""

from collections.abc import Sequence

from routingsim.errors import did_you_mean


def unknown_field(word: str, fields: Sequence[str]) -> str:
    """That agents have no such field, which there are, and which may be meant."""
    return f"no field {word!r}: there are {', '.join(fields)}{meant(word, fields)}"


def meant(word: str, fields: Sequence[str]) -> str:
    """The end of a message that names the field of an agent which a word may stand for."""
    plain = word.lower().replace("-", "_")
    if plain in ELSEWHERE:
        return f"; {ELSEWHERE[plain]}"
    ours = SYNONYMS.get(plain)
    if ours is None:
        return did_you_mean(plain, fields)
    return f"; did you mean {' or '.join(map(repr, ours.split('/')))}?"


def of_agents(option: str) -> str:
    """Where something belongs that is given as an option and is a field of agents; "" if not."""
    plain = option.lower().replace("-", "_")
    if plain in ELSEWHERE:
        return ELSEWHERE[plain]
    ours = SYNONYMS.get(plain, "" if plain not in SYNONYMS.values() else plain)
    named = " or ".join(ours.split("/"))
    return f"{named} is a field of agents: give it in their file, --agents FILE.toml" * bool(ours)


ELSEWHERE = {
    **dict.fromkeys(
        ("retries", "max_retries", "num_retries", "attempts"),
        "retries are of a replay, as Retries(attempts=3) or --attempts 3",
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
"""Words for what is no agent's, and where it belongs."""

SYNONYMS = {
    **dict.fromkeys(
        (
            *("slots", "workers", "max_concurrency", "parallel", "capacity", "parallelism"),
            *("max_parallel_requests", "max_num_seqs", "batch_size"),
        ),
        "concurrency",
    ),
    **dict.fromkeys(
        ("rpm", "rate_limit", "request_limit", "rps", "qps", "rpm_limit"), "requests_per_minute"
    ),
    **dict.fromkeys(("price", "usd", "cost_per_1k", "price_per_1k"), "cost"),
    **dict.fromkeys(
        ("input", "input_price", "input_cost", "price_prompt", "prompt_price"), "price_input"
    ),
    **dict.fromkeys(
        ("output", "output_price", "output_cost", "price_completion", "completion_price"),
        "price_output",
    ),
    **dict.fromkeys(
        ("price_cached", "price_cached_input", "cached_input_price", "cache_read"),
        "price_cache_read",
    ),
    "cache_write": "price_cache_write",
    **dict.fromkeys(("service_time", "mean_latency", "seconds", "duration"), "latency"),
    **dict.fromkeys(("cv", "service_cv"), "latency_cv"),
    **dict.fromkeys(("tps", "tokens_per_s", "speed"), "tokens_per_second"),
    **dict.fromkeys(("max_wait", "queue_timeout"), "patience"),
    **dict.fromkeys(("timeout_seconds", "call_timeout", "request_timeout"), "timeout"),
    **dict.fromkeys(("ttft_timeout", "stream_timeout"), "first_token_timeout"),
    **dict.fromkeys(("time_to_first_token", "first_token"), "ttft"),
    **dict.fromkeys(("tpm", "token_limit", "tpm_limit"), "tokens_per_minute"),
    "rpd": "requests_per_day",
    "max_tokens": "output_tokens/context_window",  # of an answer, or of a model
    **dict.fromkeys(
        ("max_input_tokens", "context", "context_length", "max_context", "max_model_len", "window"),
        "context_window",
    ),
    **dict.fromkeys(("max_output_tokens", "answer_tokens", "completion_tokens"), "output_tokens"),
    **dict.fromkeys(("provider", "api_key", "organization"), "account"),
    **dict.fromkeys(("failure_rate", "failure_probability"), "error_rate"),
    **dict.fromkeys(("max_queue", "queue", "queue_size"), "queue_limit"),
    **dict.fromkeys(("model", "agent"), "id"),
    **dict.fromkeys(("skills", "tags", "categories"), "strengths"),
}
"""Words that others use for the fields of an agent, for the hint of an error; / parts two."""
