"""A cascade is run with judges that err more and more."""

import math

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import PolicyError, SimulationError
from routingsim.evaluation import judge_errors
from routingsim.policies import make_policy
from routingsim.simulation.remarks import judge_assumed

POOL = rs.AgentPool(
    (
        rs.Agent(id="cheap", name="Cheap", cost=1.0, latency=1.0, concurrency=4),
        rs.Agent(id="dear", name="Dear", cost=10.0, latency=1.0, concurrency=4),
    )
)


def corpus(tasks: int = 400) -> rs.Corpus:
    """Of ten tasks the cheap agent alone is right on five, the dear one alone on three."""
    cheap = np.tile([1.0] * 5 + [0.0] * 5, tasks // 10)
    dear = np.tile([0.0] * 2 + [1.0] * 6 + [0.0] * 2, tasks // 10)
    frame = pd.DataFrame(
        {
            "id": [str(k) for k in range(tasks)],
            "text": [f"{k}" for k in range(tasks)],
            "outcomes.cheap.quality": cheap,
            "outcomes.dear.quality": dear,
            "outcomes.cheap.cost": 0.001,
            "outcomes.dear.cost": 0.01,
        }
    )
    return rs.Corpus.from_frame(frame)


# Of ten: right on 2 cheap alone, 3 both, 3 dear alone, 2 neither. With an error e the
# expected quality is 0.2 (1 - e) + 0.3 (1 - e + e) + 0.3 (1 - e) = 0.8 - 0.5 e, and the best
# single agent (dear) has 0.6: it turns at e = 0.4.
def test_the_note_says_which_judge_is_assumed_and_where_the_answer_turns() -> None:
    notes = rs.replay(corpus(), POOL, policy="cascade", arrivals="poisson:1", seed=1).notes
    assert (
        "cascade: its judge is assumed, not measured: it knows the recorded quality (good enough "
        "from 0.5), errs in 10 % of its verdicts, is free and takes no time; set error, cost and "
        "seconds to those of your own judge"
    ) in notes
    assert (
        "cascade: on the recorded answers its expected quality is 0.750, and that of the best "
        "single agent (dear) 0.600; it is no longer above that from a judge's error of 40 % on "
        "(evaluation.judge_errors compares with any policy, and costs)"
    ) in notes
    assert not [
        note for note in rs.replay(corpus(), POOL, policy="cheapest").notes if "judge" in note
    ]


def test_notes_of_a_judge_with_a_price_and_where_there_is_nothing_to_turn() -> None:
    said = " ".join(
        judge_assumed(
            make_policy(POOL, "cascade:error=0.3,cost=0.002,seconds=2"),
            POOL,
            np.array([[0.0, 1.0], [0.0, 1.0]]),
        )
    )
    assert "errs in 30 % of its verdicts, costs USD 0.002 and takes 2 s;" in said
    assert "it is not above that even with a perfect judge" in said
    always = judge_assumed(
        make_policy(POOL, "cascade"), POOL, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    )
    assert "it is no longer above that from a judge's error of 50 % on" in always[1]
    none = judge_assumed(make_policy(POOL, "cascade"), POOL, np.full((3, 2), np.nan))
    assert len(none) == 1
    assert none[0].endswith("where no quality is recorded it accepts the answer")


@pytest.mark.slow
def test_the_advantage_in_quality_turns_where_it_should() -> None:
    found = judge_errors(
        corpus(), POOL, "cascade", "static:dear", errors=[0.0, 0.2, 0.5], replications=10
    )
    assert found.frame["quality_gain"].tolist() == pytest.approx([0.2, 0.1, -0.05], abs=0.03)
    assert found.frame["quality_verdict"].tolist()[0] == "better"
    assert found.quality_turns == pytest.approx(0.4, abs=0.06)
    # A call of the cheap agent for all, and 0.01 for those sent on: five of ten, at any error.
    assert found.frame["cost_gain"].tolist() == pytest.approx([0.004] * 3, abs=3e-4)
    assert math.isinf(found.cost_turns)
    assert str(found).startswith(
        "cascade against static:dear, with a judge of USD 0 and 0 s a verdict: its advantage in "
        "quality is gone at an error of 0."
    )
    dear = judge_errors(
        corpus(), POOL, "cascade:cost=0.01", "static:dear", errors=[0.0], replications=2
    )
    assert math.isnan(dear.cost_turns)
    assert str(dear).endswith("still there at an error of 0; no advantage in cost")


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(PolicyError, match="cheapest has no judge"):
        judge_errors(corpus(), POOL, "cheapest")
    with pytest.raises(SimulationError, match=r"errors=\[0.2, 0.1\]: rising shares"):
        judge_errors(corpus(), POOL, errors=[0.2, 0.1])
