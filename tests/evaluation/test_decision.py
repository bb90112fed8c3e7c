"""Decisions between the policies of a real study, and between replays."""

import html
import json
import math
from pathlib import Path

import pandas as pd
import pytest

import routingsim as rs
from routingsim.corpora import backtested
from routingsim.errors import SimulationError
from routingsim.evaluation.decision import of_replays
from routingsim.evaluation.replay_difference import Goodput, replay_difference, replay_figure
from routingsim.evaluation.study import Study
from routingsim.simulation.in_time import Objective
from routingsim.simulation.replications import REPLICATIONS, replication_seeds
from routingsim.simulation.statistics import hall_interval
from tests.evaluation import samples

POLICIES = ["static:a2", "static:a0", "least-loaded"]


@pytest.fixture(scope="module")
def study() -> Study:
    return rs.compare(
        samples.corpus(80), samples.pool(), POLICIES, loads=[0.2], replications=4, controls=False
    )


@pytest.mark.slow
def test_of_a_study_it_has_its_figures_and_its_differences(study: Study) -> None:
    made = study.decision()
    assert (made.load, made.baseline) == (0.2, "static:a2")
    for each in made.alternatives:
        for metric, found in each.figures.items():
            assert found.mean == study.interval(each.policy, 0.2, metric).mean
    for metric, each in made.apart.items():
        by_hand = study.differences(metric, 0.2, baseline=made.against)[made.chosen]
        assert each.difference.interval == by_hand.interval
    document = made.to_dict()
    json.dumps(document, allow_nan=False)
    assert document["answer"] in str(study).replace("\n  ", " ")
    assert study.to_dict()["decision"] == document
    page = html.unescape(made.to_html())
    assert all(line in page for line in (*document["rests_on"], *document["next"]))


@pytest.mark.slow
def test_the_policy_in_use_and_targets_are_those_asked_about(study: Study) -> None:
    made = study.decision(slo={"p95": 60.0}, quality=0.01, baseline="least-loaded")
    assert made.baseline == "least-loaded"
    assert [target.metric for target in made.targets] == ["latency_p95", "quality_all", "answered"]
    assert made.chosen == "static:a0"  # all meet them, and it costs a tenth
    assert made.kind == "use"
    high = study.decision(quality=1.0)
    assert high.kind == "none meets"
    assert high.chosen == "static:a2"


@pytest.mark.slow
def test_what_a_backtest_of_the_log_found_is_among_what_it_rests_on(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTINGSIM_BACKTESTS", str(tmp_path))
    monkeypatch.setattr(backtested, "_known", {})
    assert study.decision().to_dict()["backtest"] is None
    backtested.remember(study.corpus.sha256, "It was off by 3 %.")
    said = study.decision().to_dict()
    assert said["backtest"] == "It was off by 3 %."
    assert "It was off by 3 %." in said["rests_on"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"baseline": "static:a1"}, r"no policy 'static:a1' to compare with: there are static:a2"),
        ({"load": 0.7}, "no 'static:a2' at load 0.7"),
        ({"slo": {"usd_per_hour": 3}}, r"asks how many slots to rent; see capacity\(\)"),
        ({"slo": {"p96": 3}}, "no metric 'p96' to aim at"),
        ({"quality": -1}, "a number of 0 or more is needed"),
    ],
)
def test_what_cannot_be_asked_is_refused(study: Study, asked: dict, said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        study.decision(**asked)


@pytest.mark.slow
def test_of_replays_it_has_intervals_of_further_runs() -> None:
    corpus, pool = samples.corpus(80), samples.pool()
    results = [rs.replay(corpus, pool, p, arrivals="poisson:0.5", seed=2) for p in POLICIES[:2]]
    made = of_replays(results, slo={"wait": 30}, quality=0.3, baseline="static:a2")
    assert made.chosen == "static:a0"
    for metric in ("cost", "latency_p95"):
        found = made.apart[metric].difference.interval
        assert found == replay_difference(metric, results[1], results[0])
    assert made.alternative("static:a0").figures["quality_all"] == replay_figure(
        "quality_all", results[1]
    ).within(0, 1)
    assert made.alternative("static:a0").targets["answered"] == "met"
    found = of_replays(results, slo={"goodput": 0.01}, objective=20, first_token_objective=15)
    goodput = Goodput(Objective(20.0, 15.0))
    apart = hall_interval([goodput(run) for run in _further_runs(results[1])])
    assert found.alternative("static:a0").figures["goodput"] == apart.within(0, math.inf)
    with pytest.raises(SimulationError, match="objective=0: a number of seconds above 0"):
        of_replays(results, slo={"goodput": 1}, objective=0)


def _further_runs(result: rs.ReplayResult) -> list[rs.ReplayResult]:
    """The further runs of a replay themselves."""
    assert result.again is not None
    return [result.again(seed=seed) for seed in replication_seeds(result.seed, REPLICATIONS)]


@pytest.mark.slow
def test_a_log_is_the_policy_in_use_and_its_qualities_are_estimates() -> None:
    rows = [
        {
            "id": str(k),
            "text": f"task {k}",
            "arrived_at": float(k),
            f"outcomes.{'big' if k % 3 else 'small'}.quality": float(k % 5 > 0),
            f"outcomes.{'big' if k % 3 else 'small'}.latency": 0.5,
            f"outcomes.{'big' if k % 3 else 'small'}.cost": 0.01,
        }
        for k in range(90)
    ]
    pool = rs.AgentPool(
        tuple(rs.Agent(id=name, name=name, cost=0.01, latency=0.5) for name in ("small", "big"))
    )
    corpus = rs.Corpus.from_frame(pd.DataFrame(rows))
    results = [rs.replay(corpus, pool, p, seed=1) for p in ("static:small", "logged")]
    made = of_replays(results)
    assert made.baseline == "logged"
    assert made.grounds.records == "log"
    assert "The log has one answer a task, so quality is estimated" in str(made).replace(
        "\n  ", " "
    )
