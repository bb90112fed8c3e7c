"""Arguments that do not exist: the error names the one that may be meant."""

import functools
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import routingsim as rs
from routingsim.synonyms import SYNONYMS, WITHOUT, argument_hints

POOL = rs.load_agents()
EXEMPT = (
    *("CallLog", "Capacity", "Corpus", "CorpusStream", "ReplayResult", "ServiceFit"),
    *("StreamedReplay", "Study", "Sweep", "choose_kernel", "learn_kernel", "score"),
    "score_column",
)
"""Results, which users do not make, decorators, and what live decisions call."""

FIELD = "is a field of agents: give it there, as rs.Agent(..., {}=...), or in an agents file"
WRONG: tuple[tuple[Callable[..., Any], dict[str, Any], str], ...] = (
    (rs.Retries, {"max_retries": 3}, "did you mean 'attempts'?"),
    (rs.Retries, {"delay": 3}, "did you mean 'backoff'?"),
    (rs.Cooldown, {"allowed_fails": 3}, "did you mean 'failures'?"),
    (rs.Hedge, {"delay": 3}, "did you mean 'after'?"),
    (rs.Outage, {"start": 1, "end": 2}, "did you mean 'down'?"),
    (rs.Change, {"latency": 2}, "did you mean 'speed'?"),
    (rs.Tenant, {"wieght": 2}, "did you mean 'weight'?"),
    (rs.Poisson, {"rps": 2}, "did you mean 'rate'?"),
    (rs.compare, {"n": 2}, "did you mean 'tasks'?"),
    (rs.compare, {"rate": 2}, "did you mean 'rates' or 'arrivals'?"),
    (rs.sweep, {"runs": 2}, "did you mean 'replications'?"),
    (rs.capacity, {"target": 2}, "did you mean 'slo'?"),
    (rs.replay, {"max_retries": 2}, "did you mean 'retries'?"),
    (
        rs.replay,
        {"max_tokens": 3},
        f"output_tokens or context_window {FIELD.format('output_tokens')}",
    ),
    (rs.replay, {"hedge_after": 2}, "did you mean 'hedge'?"),
    (rs.replay, {"Cut-Off": 3}, f"cut_off {FIELD.format('cut_off')}"),
)


@pytest.mark.parametrize(("called", "given", "said"), WRONG)
def test_what_is_meant_is_said(
    called: Callable[..., Any], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(rs.ArgumentError) as caught:
        called(**given)
    assert str(caught.value) == f"{called.__name__}: no argument {next(iter(given))!r}; {said}"
    assert isinstance(caught.value, TypeError)


def test_every_front_door_says_so() -> None:
    for name in sorted(set(dir(rs)) - set(EXEMPT)):
        called: Any = getattr(rs, name)
        if inspect.isclass(called) and issubclass(called, Exception):
            continue
        if inspect.isclass(called) or inspect.isfunction(called):
            wrong: Any = functools.partial(called, no_such=3)
            with pytest.raises(rs.RoutingSimError, match=r"no (argument|field) 'no_such'"):
                wrong()
            assert pickle.loads(pickle.dumps(called)) is called
            assert "given" not in inspect.signature(called).parameters


def test_every_field_of_agents_is_known_as_one() -> None:
    named = {field for each in SYNONYMS.values() for field in each.split("/")}
    argued = {"name", "prices", "price_source", "limit_source", "service", "discipline"}
    argued |= {"outcome", "failures"}
    assert sorted([*named, *WITHOUT]) == sorted(set(rs.Agent.__struct_fields__) - argued)


def test_an_agent_says_which_field_is_missing() -> None:
    made: Any = rs.Agent
    with pytest.raises(rs.AgentError, match=r"^agent a: field latency is missing, as id='a'"):
        made(id="a", name="A")
    with pytest.raises(rs.AgentError, match=r"^agent \?: field id is missing"):
        made("a")


def test_an_error_inside_is_left_alone() -> None:
    def plus(a: int, b: int = 1) -> int:
        return a + b

    adds: Any = argument_hints(plus)
    assert (adds(1), adds(1, b=2)) == (2, 3)
    with pytest.raises(TypeError, match="can only concatenate") as caught:
        adds("x")
    assert not isinstance(caught.value, rs.ArgumentError)
    with pytest.raises(
        rs.ArgumentError, match=r"^plus: too many positional arguments: there are a, b$"
    ):
        adds(1, 2, 3)
    with pytest.raises(rs.ArgumentError, match=r"^plus: missing a required argument: 'a': there "):
        adds(b=1)


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("servers", "did you mean 'concurrency'?"),
        ("output_cost_per_token", "did you mean 'price_output'?"),
        ("requests_per_second", "did you mean 'requests_per_minute'?"),
        ("tokens_per_day", "did you mean 'tokens_per_minute'?"),
        ("window_type", "did you mean 'limit_window'?"),
        ("hedge", "second copies are of a replay, as hedge='p95' or --hedge p95"),
    ],
)
def test_words_of_other_tools_for_fields_of_agents(word: str, ours: str) -> None:
    made: Any = rs.Agent
    with pytest.raises(rs.AgentError) as caught:
        made(id="a", name="A", cost=1.0, latency=1.0, **{word: 3})
    assert str(caught.value).endswith(f"; {ours}")
