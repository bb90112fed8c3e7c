"""A search finds what is best, within its bounds, and shows it on tasks it has not seen."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation import tune

from .samples import corpus, pool

optuna: Any = pytest.importorskip("optuna", reason="needs the extra optuna")

GIVEN: dict[str, Any] = {"replications": 3, "load": 0.05, "trials": 8, "latency_objective": 9.0}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_the_best_agent_and_the_cheapest_within_a_bound() -> None:
    space = {"policy.agent": ["a0", "a1", "a2"]}
    found = tune(corpus(200), pool(), "static:a0", space=space, **GIVEN)
    assert found.best == {"policy.agent": "a2"}
    frame = found.to_frame()
    assert frame["metric"].tolist() == ["goodput"] * 2
    assert frame["tasks"].tolist() == ["searched", "held out"]
    text = repr(found).splitlines()
    assert text[0] == "Tuned by goodput in 8 trials: policy.agent a2"
    assert text[2].startswith("  goodput on tasks and seeds held out: ")
    cheap = tune(
        corpus(200), pool(), "static:a0", space=space, objective="cost",
        at_least={"quality": 0.6}, **GIVEN,
    )  # fmt: skip
    assert cheap.best == {"policy.agent": "a1"}
    assert cheap.to_frame()["metric"].tolist() == ["cost", "cost", "quality", "quality"]
    assert cheap.to_frame()["met"].tolist()[2] == "yes"


def test_an_objective_of_ones_own_and_a_range() -> None:
    def thrift(row: Any) -> float:
        return -row["cost"]

    space = {"pool.a1.concurrency": {"from": 1, "to": 6}, "policy.agent": ["a1", "a0"]}
    found = tune(corpus(80), pool(), "static:a1", space=space, objective=thrift, **GIVEN)
    assert found.best["policy.agent"] == "a0"
    assert found.objective == "thrift"
    assert found.held_out["thrift"] == -found.held_out["cost"]


def test_held_out_tasks_and_seeds_are_others() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [str(k) for k in range(60)]})
    frame["text"] = [f"prompt {k // 2} " + "x" * int(rng.integers(1, 99)) for k in range(60)]
    frame["text"] = [frame["text"][k - k % 2] for k in range(60)]  # each twice
    met: list[Any] = []

    def note(row: Any) -> float:
        met.append(row["span"])
        return 0.0

    found = tune(frame, pool(), "static:a1", space={"load": [0.05]}, objective=note,
                 **{**GIVEN, "trials": 1, "load": None})  # fmt: skip
    assert met[0] == met[1] != met[2]
    assert found.tuned["rate_met"] != found.held_out["rate_met"]
    from routingsim.evaluation.sweeps.sweep import planned
    from routingsim.evaluation.tuning import _halves

    plan = planned(
        *(frame, pool(), "static:a1", {"load": [0.1]}, "grid", None),
        **dict.fromkeys(("arrivals", "load", "rate", "tasks")),
        seed=3,
        replications=1,
        objective=1.0,
        right=0.5,
        common=True,
    )
    one, other = (set(half.corpus.tasks["text"]) for half in _halves(plan.fixed, 0.3))
    assert (len(one), len(other)) == (21, 9)
    assert not one & other


def test_what_cannot_be_tuned() -> None:
    space = {"policy.agent": ["a0", "a2"]}
    for changes, said in (
        ({"trials": 0}, "trials=0: a whole number, 1 or more, is needed"),
        ({"held_out": 1.0}, "held_out=1.0: a share between 0 and 1 is needed"),
        ({"objective": "godput"}, "no metric 'godput': there are "),
        ({"at_least": {"quality": 1.5}, "trials": 2}, "none of 2 trials is shown to meet quality >="
         " 1.5: widen the space, relax a bound, or give more trials or replications"),
        ({"space": {}}, "vary: nothing is varied"),
    ):  # fmt: skip
        with pytest.raises(SimulationError) as caught:
            tune(corpus(), pool(), "static:a0", **{"space": space, **GIVEN, **changes})
        assert str(caught.value).startswith(said)
    assert rs.evaluation.tune is tune
