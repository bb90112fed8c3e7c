"""Capacity: against Erlang C, against every pool run by hand, and honest where it cannot tell."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import AgentError, SimulationError
from routingsim.evaluation.capacity import capacity
from routingsim.evaluation.capacity_answer import Capacity
from routingsim.evaluation.capacity_candidates import with_varied
from routingsim.report.capacity_report import compose_capacity
from routingsim.simulation import theory


def agent(name: str = "a", **fields: Any) -> rs.Agent:
    given: dict[str, Any] = {"cost": 0.01, "latency": 1.0, "service": "exponential"}
    given |= {"output_tokens": 100.0, "price_per_slot_hour": 1.0}
    return rs.Agent(id=name, name=name, **(given | fields))


def test_random_staffing_questions_are_answered_as_erlang_c_does(seed: int) -> None:
    """Two targets, an agent that may not be rented, and a policy that would need it."""
    rng = np.random.default_rng(seed)
    for _ in range(20):
        rate, service, price = rng.uniform([0.5, 0.2, 0.1], [10.0, 3.0, 5.0]).tolist()
        one, other = rng.choice(["wait_mean", "latency_mean", "latency_p95"], 2, replace=False)
        free = {"wait_mean": 0.0, "latency_mean": service, "latency_p95": 3 * service}
        slo = {str(m): free[m] + service * rng.uniform(0.05, 2) for m in (one, other)}
        found = capacity(
            None,
            [agent(latency=service, price_per_slot_hour=price), agent("b", latency=0.1)],
            ["static:b", "static:a"],
            arrivals=rs.Poisson(rate),
            slots={"a": range(60), "b": [0]},
            slo=slo,
            tasks=20,
        )
        least = int(rate * service) + 1
        while True:
            queue = theory.mmc(rate, service, least)
            waits = {"wait_mean": queue.wait_mean, "latency_mean": queue.latency_mean}
            waits["latency_p95"] = queue.latency_quantile(0.95)
            if all(waits[metric] <= bound for metric, bound in slo.items()):
                break
            least += 1
        assert found.best is not None
        assert found.status == "answered"
        assert found.best.candidate.slots == (least, 0)
        assert found.best.candidate.policy == "static:a"
        assert found.runs == 0
        # Calls: 100 tokens at 0.01 USD / 1,000.
        assert found.best.found["usd_per_hour"].mean == pytest.approx(least * price + 3.6 * rate)


def test_the_answer_of_theory_in_words() -> None:
    found = capacity(
        *(None, [agent()], "static:a"),
        arrivals="poisson:4",
        slots={"a": range(12)},
        slo={"p95": 3.6},
        tasks=5000,
    )
    assert repr(found).splitlines()[:5] == [
        # Six slots, and 4 tasks/s x 100 tokens x 0.01 USD / 1,000 tokens x 3,600 s.
        # An hour 730 times makes a month.
        "Use static:a with a × 6: USD 20.40 an hour, 14,892 a month, the cheapest shown to meet "
        "latency p95 ≤ 3.6 s, share answered ≥ 0.99.",
        "  arrivals: poisson:4, 4 tasks/s asked for; none were run",
        "  latency p95 ≤ 3.6 s: 3.24 (exact), met",
        "  share answered ≥ 0.99: 100 % (exact), met",
        "  11 pools and policies were asked about, 0 run",
    ]
    assert found.margins.iloc[0][["metric", "bound", "verdict"]].tolist() == [
        *("latency_p95", 3.6, "met")
    ]
    verdicts = dict(zip(found.frame["a"], found.frame["verdict"], strict=True))
    assert [verdicts[slots] for slots in (1, 4, 5, 6)] == ["cannot", "cannot", "missed", "met"]
    assert found.stress["condition"].tolist() == [
        "as asked",
        "twice the load",
        "a down for 10 min",
        "prices 20 % higher",
        "prices 20 % lower",
        "service times 20 % longer",
        "service times 20 % shorter",
    ]
    late = "latency p95 ≤ 3.6 s"
    assert found.stress["breaks"].tolist() == ["", late, late, "", "", late, ""]
    assert found.stress["busiest"].tolist() == ["a"] * 7
    usd, offered = found.stress[["usd_per_hour", "offered"]].to_numpy().T
    assert usd[3:5] == pytest.approx([1.2 * usd[0], 0.8 * usd[0]])
    # 4 tasks/s of 1 s at 6 slots; twice as many; a fifth longer and shorter.
    assert offered[[0, 1, 5, 6]] == pytest.approx([2 / 3, 4 / 3, 0.8, 8 / 15], rel=0.03)
    assert repr(found).splitlines()[5] == (
        "  twice the load: misses latency p95 ≤ 3.6 s; a has an offered load of 133 %"
    )
    margins = found.margins.set_index("metric")
    assert margins.loc["latency_p95", "margin_low"] == pytest.approx(3.6 - 3.2376, abs=1e-4)
    whole = found.to_dict()
    assert whole["answer"]["usd_per_month"]["mean"] == pytest.approx(730 * 20.4)
    assert whole["runs"] == {"made": 0, "exhaustive": 12 * 20}


def test_what_theory_rules_out_says_which_pool_comes_closest() -> None:
    found = capacity(
        *(None, [agent()], "static:a"),
        arrivals="poisson:4",
        slots={"a": range(4)},
        slo={"p95": 3.6},
        tasks=100,
    )
    assert (found.status, found.best, found.runs) == ("none", None, 0)
    assert found.said.endswith(
        "; static:a with a × 3 comes closest: 4 tasks/s, and it serves 3/s at most."
    )


@pytest.mark.slow
def test_twice_the_load_is_met_in_as_many_periods() -> None:
    asked: dict[str, Any] = {"slots": {"a": [20]}, "slo": {"p95": 30.0}, "runs": 3}
    tidal = capacity(
        None, [agent()], "static:a", arrivals="piecewise:100@0.2/100@4", tasks=390, **asked
    )
    once, twice = tidal.stress[["rate_met", "span"]].to_numpy()[:2]
    assert once == pytest.approx([2.07, 188.0], rel=0.05)
    assert twice == pytest.approx([4.1, 190.0], rel=0.05)
    loop = capacity(None, [agent()], "static:a", arrivals="closed:users=4,think=1", tasks=300,
                    **asked)  # fmt: skip
    assert repr(loop).splitlines()[-1] == (
        "  it also holds under: a down for 5.0 min, prices 20 % higher, prices 20 % lower, "
        "service times 20 % longer, service times 20 % shorter"
    )


@pytest.mark.slow
def test_what_is_said_before_figures_elsewhere_is_said_before_the_answer() -> None:
    size = 400
    frame = pd.DataFrame({"id": np.arange(size).astype(str)})
    frame["text"] = [f"task {k} " + "and so on " * (k // 4) for k in range(size)]  # they grow
    frame["outcomes.llama.cost"] = np.where(np.arange(size) % 2, 0.0, 0.01)
    corpus = rs.Corpus.from_frame(frame)
    found = capacity(
        *(corpus, None, "static:llama"),
        arrivals="poisson:1",
        slots={"llama": [4, 5]},
        slo={"p95": 60.0},
        runs=3,
        tasks=300,
    )
    study = rs.compare(
        *(corpus, None, "static:llama"), rates=1.0, replications=1, controls=False, tasks=300
    )
    ours, cost, order, drawn = found.foremost
    assert found.foremost == study.foremost
    assert ours.startswith("the agents are of the pool 'default' that comes with routingsim")
    assert cost.startswith("outcomes.llama.cost: 200 of 400 costs are 0")
    assert order.startswith("the runs deal the tasks to other times, and tasks go with their order")
    assert drawn.startswith("300 of 400 tasks of ")
    lines = repr(found).splitlines()
    assert lines[:4] == [f"note: {note}" for note in found.foremost]
    assert lines[4].startswith("Use static:llama with ")
    best = found.best
    assert best is not None
    met = f"1 tasks/s asked for, {best.rate_met:.3g} met over {best.span:.0f} s"
    assert lines[5] == f"  arrivals: poisson:1, {met}"
    page, whole = found.to_html(), found.to_dict()
    assert page.index("that comes with routingsim") < page.index("<table")
    assert whole["notes"] == found.foremost
    assert whole["met"] == {"rate": best.rate_met, "span": best.span}
    assert [row["rate"] for row in whole["rows"]] == [1.0, 1.0]
    assert best.rate_met == pytest.approx(299 / best.span, rel=0.05)


def test_parameters_of_policies_are_searched_as_in_a_sweep() -> None:
    wanted = ["threshold:calibrated", "cheapest"]
    steps = {"policy.low": {"from": 0.2, "to": 0.4, "steps": 3}}
    assert with_varied(wanted, steps) == [
        *(f"threshold:calibrated,low={low}" for low in (0.2, 0.3, 0.4)),
        "cheapest",
    ]
    assert with_varied(wanted, None) == wanted
    with pytest.raises(
        SimulationError,
        match=r"vary policy\.lo: none of threshold:calibrated, "
        r"cheapest has a parameter 'lo'; they have .*; did you mean 'low'\?",
    ):
        with_varied(wanted, {"policy.lo": [0.2]})  # fmt: skip
    with pytest.raises(SimulationError, match=r"capacity varies policy\.PARAMETER, as policy.low"):
        with_varied(wanted, {"load": [0.2]})
    with pytest.raises(SimulationError, match=r"vary policy\.low: in a grid a range needs steps"):
        with_varied(wanted, {"policy.low": {"from": 0.1, "to": 0.2}})


@pytest.mark.slow
def test_a_parameter_decides_and_the_frontier_has_cost_p95_and_quality() -> None:
    found = capacity(
        *(graded(), two(), "weighted"),
        arrivals="poisson:2",
        slots={"small": [4], "big": [8]},
        vary={"policy.weights": ["1/0", "0/1"]},
        quality=0.9,
        runs=3,
    )
    # Only what sends all to big, which is always right, reaches a quality above 2/3.
    assert found.best is not None
    assert found.best.candidate.policy == "weighted:weights=0/1"
    assert found.frame.set_index("policy")["quality_all"].round(2).to_dict() == {
        "weighted:weights=0/1": 1.0,
        "weighted:weights=1/0": 0.67,
    }
    assert {"usd_per_hour", "latency_p95", "quality_all"} <= {*found.frontier()}
    assert (found.runs, found.exhaustive) == (9, 9)  # 3 each, and 3 of the answer again


def two(**fields: Any) -> list[rs.Agent]:
    return [
        agent("small", latency=1.0, service="lognormal", price_per_slot_hour=1.0, **fields),
        agent("big", latency=2.0, service="lognormal", price_per_slot_hour=1.7, **fields),
    ]


def graded(size: int = 300) -> rs.Corpus:
    """Tasks on which ``big`` is always right and ``small`` on two in three."""
    frame = pd.DataFrame({"id": np.arange(size).astype(str)})
    frame["text"] = [f"task number {k} of many, {k * k}" for k in range(size)]
    frame["outcomes.big.quality"] = 1.0
    frame["outcomes.small.quality"] = np.where(np.arange(size) % 3, 1.0, 0.0)
    return rs.Corpus.from_frame(frame, "graded")


def answer(**changed: Any) -> Capacity:
    asked: dict[str, Any] = {
        "arrivals": "poisson:3",
        "slots": {"small": range(6), "big": range(8)},
        "slo": {"p95": 6.0},
        "quality": 0.75,
        "runs": 6,
    }
    return capacity(graded(), two(), ["least-loaded", "static:small"], **(asked | changed))


@pytest.mark.slow
def test_slots_without_a_price_are_not_rented_by_chance() -> None:
    """All pools cost the same but for the chance of their runs: the first that does is taken."""
    found = capacity(
        *(graded(), [agent(price_per_slot_hour=0.0)], "static:a"),
        arrivals="poisson:2",
        slots={"a": range(14)},
        slo={"p95": 3.6},
        service="exponential",
        tasks=4000,
    )
    assert found.best is not None
    assert found.best.candidate.slots == (4,)  # p95 is 3.15 s by Erlang C, and 4.0 s with 3


@pytest.mark.slow
def test_every_cheaper_pool_fails_when_run_by_hand() -> None:
    found = answer()
    assert found.status == "answered"
    assert found.best is not None
    best = found.best.found["usd_per_hour"].mean
    assert found.margins["verdict"].tolist() == ["met"] * 3
    for row in found.frame.to_dict("records"):
        if row["usd_per_hour"] >= best or row["verdict"] == "open":
            continue
        assert row["verdict"] in ("missed", "growing", "cannot")
        sized = [
            agent(each.id, latency=each.latency, service="lognormal", concurrency=row[each.id])
            for each in two()
            if row[each.id]
        ]
        if not sized or (row["policy"] == "static:small" and not row["small"]):
            continue
        run = rs.replay(graded(), sized, row["policy"], arrivals="poisson:3", tasks=3000, seed=9)
        late = run.overall["latency_p95"] > 6.0
        poor = run.overall["quality_all"] < 0.75
        assert late or poor or run.stability.verdict in ("growing", "overloaded")


@pytest.mark.slow
def test_what_no_pool_can_do_is_said_with_by_how_much_it_fails() -> None:
    slow = answer(slo={"p95": 0.5})
    assert slow.status == "none"
    assert slow.best is not None
    note, first, arrivals, p95, *_ = repr(slow).splitlines()
    assert note.startswith("note: the runs deal the tasks to other times")  # every third is hard
    assert arrivals.startswith("  arrivals: poisson:3, 3 tasks/s asked for, ")
    assert first.startswith("No pool of these meets latency p95 ≤ 0.5 s, mean quality ≥ 0.75")
    assert ", missed, misses by " in p95
    assert slow.stress.empty
    better = answer(slots={"small": [4], "big": [0]}, quality=0.9)
    assert (better.status, better.best) == ("none", None)
    assert "with small × 4 comes closest: no choice of agents has a quality above 0.667" in repr(
        better
    )


@pytest.mark.slow
def test_a_pool_whose_interval_straddles_the_target_is_no_answer() -> None:
    slots = {"small": [0], "big": [7]}
    near = answer(slots=slots, slo={"p95": 60.0}, quality=1.0)
    assert near.status == "answered"  # every run has the quality of 1
    assert near.best is not None
    p95 = near.best.found["latency_p95"].mean
    found = answer(slots=slots, slo={"p95": p95}, quality=None)
    assert found.status == "undecided"
    assert "\nUndecided: no pool is shown to meet latency p95 ≤ " in repr(found)
    assert ", open" in repr(found)


@pytest.mark.slow
def test_an_overloaded_pool_is_no_answer_however_short_the_run() -> None:
    found = capacity(
        *(None, [agent(service="deterministic")], "static:a"),
        arrivals="deterministic:1.2",
        slots={"a": [1]},
        slo={"p95": 60.0},
        tasks=100,
    )
    assert found.status == "none"
    assert "1.2 tasks/s, and it serves 1/s at most" in repr(found)


def test_wrong_questions_are_refused_in_words() -> None:
    asked: dict[str, Any] = {"arrivals": "poisson:1", "slots": {"a": [1]}, "tasks": 100}
    base: tuple[Any, ...] = (None, [agent()], "static:a")
    with pytest.raises(SimulationError, match=r"no target: give slo="):
        capacity(*base, **asked)
    with pytest.raises(SimulationError, match=r"no metric 'p90' .*; did you mean 'p9"):
        capacity(*base, **asked, slo={"p90": 1.0})
    with pytest.raises(SimulationError, match=r"target latency_p95=-1: a number of 0 or more"):
        capacity(*base, **asked, slo={"p95": -1})
    with pytest.raises(AgentError, match="no agent 'b' in this pool: it has a"):
        capacity(*base, **(asked | {"slots": {"b": [1]}}), slo={"p95": 1.0})
    with pytest.raises(SimulationError, match="whole numbers of 0 or more"):
        capacity(*base, **(asked | {"slots": {"a": [-1]}}), slo={"p95": 1.0})
    with pytest.raises(SimulationError, match="slots: no combination has a slot"):
        capacity(*base, **(asked | {"slots": {"a": [0]}}), slo={"p95": 1.0})
    with pytest.raises(SimulationError, match="runs=2: 3 or more are needed"):
        capacity(*base, **asked, slo={"p95": 1.0}, runs=2)
    with pytest.raises(SimulationError, match="does not record the quality of every agent"):
        capacity(*base, **asked, quality=0.5)
    with pytest.raises(SimulationError, match="a number of tasks is needed"):
        capacity(*base, **(asked | {"tasks": None}), slo={"p95": 1.0})


@pytest.mark.slow
def test_arrivals_that_the_runs_do_not_meet_are_refused() -> None:
    with pytest.raises(SimulationError, match="no capacity is known"):
        capacity(
            *(None, [agent()], "static:a"),
            arrivals="diurnal:1,amplitude=0.8",
            slots={"a": [4]},
            slo={"p95": 9.0},
            tasks=1500,
        )


def test_what_is_asked_under_conditions_is_run_under_them() -> None:
    pool = [agent(concurrency=2), agent("b", concurrency=2)]
    given: dict[str, Any] = {"arrivals": rs.Poisson(1.0), "slo": {"p95": 5.0}, "tasks": 300}
    given |= {"slots": {"a": 2, "b": 0}, "runs": 3, "progress": False}
    # Down for a third of the run, the agent is late; the outage of the other, which is left out,
    # does not concern it.
    down = [rs.Outage("a", 100, 200), rs.Outage("b", 0, 300)]
    found = capacity(None, pool, "static:a", outages=down, **given)
    assert found.status == "none"
    assert found.best is not None
    assert found.best.runs > 0
    plain = capacity(None, pool, "static:a", **given)
    assert plain.status == "answered"
    assert plain.best is not None
    assert plain.best.runs == 0  # by theory, which knows of no outage
    faster = capacity(
        *(None, pool, "static:a"), changes=rs.Change("a", 0, speed=4.0), arrivals=rs.Poisson(3.0),
        slots={"a": 1, "b": 0}, slo={"p95": 50.0}, tasks=300, runs=3, progress=False,
    )  # fmt: skip
    assert faster.status == "answered"  # at its speed of before it could not keep up
    assert "changes=[Change('a', 0, speed=4.0)]" in call_of(faster)


def call_of(found: Capacity) -> str:
    """The call that repeats it, as its report has it."""
    [run] = [each for each in compose_capacity(found).sections if each.id == "run"]
    facts: Any = run.blocks[0]
    return dict(facts.items)["To repeat"]
