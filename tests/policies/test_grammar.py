"""How policies are written: read, spelled, and what is wrong with a parameter."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import PolicyError
from routingsim.policies import grammar

DEFAULTS: dict[str, Any] = {
    "mode": "auto", "share": 0.5, "levels": 5, "own": False, "warm": True, "bands": None,
}  # fmt: skip


def test_words_keys_and_flags_are_read_in_the_types_of_the_defaults() -> None:
    assert grammar.parse(" own , share = 1e-3,levels=3,warm=False", DEFAULTS) == {
        "own": True, "share": 0.001, "levels": 3, "warm": False,
    }  # fmt: skip
    assert grammar.parse("quick/slow", DEFAULTS) == {"mode": "quick/slow"}
    assert grammar.parse("share=inf,mode=auto,", DEFAULTS) == {"share": math.inf, "mode": "auto"}
    assert grammar.parse("", DEFAULTS) == {}


def test_what_is_not_default_is_spelled_in_the_order_given() -> None:
    told = {"share": 0.5, "own": True, "levels": 7, "mode": "slow"}
    assert grammar.spelled("p", told, DEFAULTS) == "p:own=true,levels=7,mode=slow"
    assert grammar.spelled("p", told, DEFAULTS, bare="mode") == "p:slow,own=true,levels=7"
    assert grammar.spelled("p", told, DEFAULTS, bare="own") == "p:own,levels=7,mode=slow"
    assert grammar.spelled("p", {"share": 0.5}, DEFAULTS) == "p"
    assert grammar.spelled("p", {"share": 0.5}, {}) == "p:share=0.5"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (0.123456789, "0.123456789"),
        (math.inf, "inf"),
        (3, "3"),
        (False, "false"),
        ("gpt-4", "gpt-4"),
        ((1, 0.25, 3), "1/0.25/3"),
        (["llama", "gpt-4"], "llama/gpt-4"),
    ],
)
def test_values_are_written_shortly(value: Any, text: str) -> None:
    assert grammar.written(value) == text


@pytest.mark.slow
@given(
    share=st.floats(allow_nan=False), levels=st.integers(-(10**6), 10**6), own=st.booleans(),
    warm=st.booleans(),
)  # fmt: skip
def test_what_is_spelled_is_read_again(share: float, levels: int, own: bool, warm: bool) -> None:
    told = {"share": share, "levels": levels, "own": own, "warm": warm}
    name, _, rest = grammar.spelled("p", told, DEFAULTS).partition(":")
    assert name == "p"
    assert {**DEFAULTS, **grammar.parse(rest, DEFAULTS)} == {**DEFAULTS, **told}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shard": 1.0}, r"^p has no parameter 'shard'; it has mode=auto, share=0.5, levels=5, "
         r"own=False, warm=True; did you mean 'share'\?$"),
        ({"share": "much"}, "^p: share is 'much'; a number is needed$"),
        ({"share": True}, "^p: share is True; a number is needed$"),
        ({"share": None}, "^p: share is None; a number is needed$"),
        ({"levels": 2.5}, "^p: levels is 2.5; a whole number is needed$"),
        ({"own": 1}, "^p: own is 1; true or false is needed$"),
        ({"own": "maybe"}, "^p: own is 'maybe'; true or false is needed$"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        grammar.check_parameters("p", wrong, DEFAULTS)


def test_right_parameters_pass() -> None:
    right = {"mode": ["any", "thing"], "share": 1, "levels": 2, "own": True, "bands": {"low": []}}
    grammar.check_parameters("p", right, DEFAULTS)
    with pytest.raises(PolicyError, match=r"^q has no parameter 'x'; it has none$"):
        grammar.check_parameters("q", {"x": 1}, {})
