"""Messages as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.messages import (
    AgentInfo,
    AgentStatus,
    Body,
    ComplexityFactors,
    ComplexityScore,
    ReplayProgress,
    RoutingDecision,
    decode,
    encode,
    encode_all,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\n\r\u2028\\"}{'))
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
BODIES = st.one_of(
    st.builds(
        RoutingDecision,
        TEXT,
        st.builds(AgentInfo, TEXT, TEXT, st.lists(TEXT, max_size=2).map(tuple), NUMBER, NUMBER),
        st.builds(ComplexityScore, NUMBER, st.just(ComplexityFactors(1, 2, 3))),
        TEXT,
        st.integers(0, 2**53),
    ),
    st.builds(AgentStatus, TEXT, TEXT, st.just("busy"), NUMBER, st.integers(0, 2**53)),
    st.builds(ReplayProgress, TEXT, NUMBER, st.none(), NUMBER, NUMBER, st.booleans(), st.just(0)),
)


@pytest.mark.slow
@given(bodies=st.lists(BODIES, max_size=5))
def test_many_at_once_are_encoded_as_each_alone(bodies: list[Body]) -> None:
    messages = encode_all(bodies)
    assert messages == [encode(body) for body in bodies]
    assert [decode(message).payload for message in messages] == bodies
