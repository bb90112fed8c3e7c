"""Expected costs: what is recorded, or price times tokens; and the rules that go by them."""

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.policies.costs import cost_order, expected_costs

# By the token "terse" is dearer; a call of it is cheaper, as its answers are short.
TERSE = rs.Agent(id="terse", name="T", cost=4.0, latency=1.0, output_tokens=100)
WORDY = rs.Agent(id="wordy", name="W", cost=1.0, latency=1.0, output_tokens=1000)
POOL = rs.AgentPool((WORDY, TERSE))


def corpus_of(texts: list[str], **columns: object) -> rs.Corpus:
    ids = [str(k) for k in range(len(texts))]
    return rs.Corpus.from_frame(pd.DataFrame({"id": ids, "text": texts} | columns))


def test_costs_are_of_tokens_where_none_is_recorded() -> None:
    call, token = expected_costs(POOL)
    assert (call.tolist(), token.tolist()) == ([1.0, 0.4], [0.001, 0.004])
    assert cost_order(POOL) == ["terse", "wordy"]
    own = corpus_of(["x"] * 2, **{"outcomes.terse.output_tokens": [300.0, 500.0]})
    assert expected_costs(POOL, own)[0].tolist() == [1.0, 1.6]
    of_tasks = corpus_of(["x"] * 2, output_tokens=[10.0, 30.0])
    assert expected_costs(POOL, of_tasks)[0].tolist() == [0.02, 0.08]


def test_recorded_costs_count_as_they_are() -> None:
    paid = corpus_of(["x"] * 2, **{"outcomes.terse.cost": [0.1, 0.3]})
    call, token = expected_costs(POOL, paid)
    assert (call.tolist(), token.tolist()) == ([1.0, 0.2], [0.001, 0.0])


@pytest.mark.slow
def test_the_cheapest_of_a_task_depends_on_its_prompt() -> None:
    # 1 + .001 p against .4 + .004 p: equal at 200 tokens, which are 800 characters.
    router = rs.TaskRouter(POOL, "cheapest")
    assert [router.route("x" * n).agent.id for n in (4, 796, 804, 9000)] == [
        *("terse", "terse", "wordy", "wordy"),
    ]
    found = rs.replay(corpus_of(["x" * 4, "x" * 804]), POOL, "cheapest", arrivals="poisson:0.01")
    assert found.to_frame()["agent"].tolist() == ["terse", "wordy"]
    assert found.log.cost.tolist() == pytest.approx([0.404, 1.201])


@pytest.mark.slow
def test_policy_control_and_cascade_agree_on_the_cheapest() -> None:
    columns = {f"outcomes.{a}.quality": [0.0, 1.0] * 10 for a in POOL.ids}
    columns |= {"outcomes.terse.cost": [0.004] * 20, "outcomes.wordy.cost": [0.016] * 20}
    corpus = corpus_of(["a text"] * 20, **columns)
    study = rs.compare(
        corpus, POOL, ["random", "cheapest"], loads=[0.3], replications=2, controls=["cheapest"]
    )
    assert study.names == ("random", "cheapest")  # the control is the policy: not run again
    assert study.interval("cheapest", 0.3, "cost").mean == pytest.approx(0.004)
    assert rs.policies.cascade(POOL, corpus).parameters["agents"] == ["terse", "wordy"]
    dearer = corpus_of(
        ["a text"] * 20,
        **(columns | {"outcomes.terse.cost": [0.02] * 20}),
    )
    assert rs.policies.cascade(POOL, dearer).parameters["agents"] == ["wordy", "terse"]
    assert rs.replay(dearer, POOL, "cheapest").log.cost == pytest.approx(np.full(20, 0.016))
