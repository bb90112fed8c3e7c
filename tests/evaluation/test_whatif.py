"""What-ifs: what is changed, on which tasks, and what of it can be believed.

Tests ``evaluation.whatif`` and ``whatif_result``.
"""

import math
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.errors import AgentError, PolicyError, RoutingSimError, SimulationError
from routingsim.evaluation.whatif import priced
from routingsim.evaluation.whatif_result import WhatIf
from routingsim.report.whatif_report import compose_whatif

from .logs_with_agents import log, table

QUICK: dict[str, Any] = {"replications": 3}


@pytest.fixture(scope="module")
def changed() -> WhatIf:
    """Twice the traffic, without ``big``, ``small`` at 1 USD per 1,000 tokens."""
    return log(1200).whatif(
        ["cheapest", "utility"], shift="2x", without=["big"], prices={"small": 1.0}, replications=3
    )


@pytest.mark.slow
def test_all_policies_meet_the_change_and_today_does_not(changed: WhatIf) -> None:
    assert changed.question == "2 times the traffic, without big, small at cost 1 USD"
    assert [each.policy.name for each in changed.results] == ["logged", "cheapest"]
    assert {each.pool.ids for each in changed.results} == {("small",)}
    assert changed.today is not None
    assert set(changed.today.pool.ids) == {"big", "small"}
    assert changed.results[0].span == pytest.approx(changed.today.span / 2)
    frame = changed.to_frame().set_index("policy")
    assert list(frame.index) == ["today", "logged", "cheapest"]
    assert math.isnan(frame.loc["today", "p95_change"])
    change = frame.loc["logged", "latency_p95"] / frame.loc["today", "latency_p95"] - 1
    assert frame.loc["logged", "p95_change"] == pytest.approx(change)


@pytest.mark.slow
def test_what_cannot_be_done_is_said(changed: WhatIf) -> None:
    said = " | ".join(changed.notes)
    assert "utility is left out, for it learns from what is not recorded" in said
    logged = changed.results[0]
    served = int((logged.log.agent >= 0).sum())
    gone = sum(each == "big" for each in table(1200)["agent"])
    assert served == 1200
    assert f"logged: {gone} tasks of big, which is left out, go to the least loaded" in logged.notes


@pytest.mark.slow
def test_new_prices_are_those_of_recorded_tokens(changed: WhatIf) -> None:
    frame = table(1200)
    small = frame["agent"] == "small"
    corpus = changed.results[0].corpus
    assert corpus is not None
    cost = corpus.outcome("cost", ["small"])[:, 0]
    tokens = (frame["prompt_tokens"] + frame["output_tokens"]).to_numpy()
    assert np.isnan(cost[~small]).all()
    assert cost[small] == pytest.approx(tokens[small] / 1000)


@pytest.mark.slow
def test_every_form_has_the_sentence_of_the_backtest(changed: WhatIf) -> None:
    for shown in (repr(changed), changed.to_markdown(), changed.to_html()):
        assert "2 times the traffic, without big" in " ".join(shown.split())
        assert "the simulator is off by" in " ".join(shown.split())
    found = changed.to_dict()
    assert found["sentence"] == changed.backtest.sentence
    assert [row["policy"] for row in found["rows"]] == ["today", "logged", "cheapest"]
    asked = compose_whatif(changed).answer.asked
    assert asked.startswith(f"With {changed.question}: which policy is the best compromise")
    assert changed.believed(changed.backtest.believe * 1.01) is True
    assert changed.believed(-changed.backtest.believe * 0.99) is False


@pytest.mark.slow
def test_a_task_is_where_it_was_sent_first() -> None:
    frame = table(400, quality=1.0)
    frame["task_id"] = frame["id"]
    frame.loc[10:11, "task_id"] = "both"
    frame.loc[10, "agent"], frame.loc[11, "agent"] = "big", "small"
    found = rs.read_log(frame).whatif(["cheapest"], **QUICK)
    assert found.today is None
    assert len(found.results[0]) == 399
    assert any(note.startswith("1 further try of a task at another agent") for note in found.notes)
    assert found.estimates["quality"].policies["logged"].value == pytest.approx(1, abs=0.05)


def test_prices_are_set_by_field_or_as_one() -> None:
    pool = rs.load_agents()
    assert priced(pool, {"gpt-4": 0.5})["gpt-4"].cost == 0.5
    assert priced(pool, {"gpt-4": {"cost": 0.5}})["llama"] == pool["llama"]
    for prices, said in (
        ({"gpt-5": 1.0}, "gpt-5: no such agent in the log; there are claude, gpt-4"),
        ({"gpt-4": {"latency": 2.0}}, "'latency' is no price of an agent; allowed: cost"),
        ({"gpt-4": {"slot_hour": 2.0}}, "'slot_hour' is no price"),
        ({"gpt-4": -1.0}, "price of gpt-4: Expected `float` >= 0"),
    ):
        with pytest.raises(AgentError, match=said):
            priced(pool, prices)


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"shift": "twice"}, SimulationError, "shift 'twice': a number above 0 is needed"),
        ({"shift": 0}, SimulationError, "shift 0: a number above 0"),
        ({"without": ["gpt-5"]}, AgentError, "gpt-5: no such agent in the log"),
        ({"without": ["big", "small"]}, AgentError, "no agent of the log is left"),
        ({"policies": ["nope"]}, PolicyError, "no policy 'nope'"),
        ({"policies": ["utility"]}, PolicyError, "no task has a recorded quality"),
    ],
)
def test_what_does_not_suit_the_log_is_refused_before_work(
    asked: dict[str, Any], error: type[RoutingSimError], said: str
) -> None:
    with pytest.raises(error, match=said):
        log(60).whatif(**asked)
