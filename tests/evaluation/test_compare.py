"""Comparisons: what is equal is said to be, what is better too, wherever it ran."""

import json
import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import AgentError, CorpusError, PolicyError, SimulationError
from routingsim.evaluation import paired_t
from routingsim.evaluation.cell import METRICS
from routingsim.evaluation.fingerprint import fingerprint
from routingsim.evaluation.study import Study
from routingsim.policies import Policy, choose_kernel, draw, make_policy, static
from routingsim.simulation.scenario import prepare

from .samples import COSTS, POLICIES, SMALL, corpus, pool, same


@choose_kernel
def _by_coin(task, pool, memory):
    return int(draw(task, int(memory[0])) * pool.busy.size)


def coin(part: int) -> Policy:
    """Any agent, by draws of its own."""
    return Policy(f"coin-{part}", _by_coin, memory=np.array([float(part)]))


THESE: dict[str, Any] = {"population": "these tasks"}
"""Without resampled corpora, which are most of a study's work."""

FEW: dict[str, Any] = {"loads": [0.4], "replications": 2, "controls": ["oracle"]}

# -- verdicts ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_policy_under_two_names_is_not_distinguishable_from_itself() -> None:
    one = static(pool(), agent="a1")
    learner = make_policy(pool(), "thompson", corpus())
    for policy in (one, learner, coin(3)):
        both = [policy, replace(policy, name="twin")]
        study = rs.compare(corpus(), pool(), both, replications=5, loads=[0.1], controls=False)
        for metric in METRICS:
            apart = study.differences(metric, 0.1)["twin"]
            assert apart.verdict not in ("better", "worse"), (policy, metric)
            assert apart.interval.mean == 0 or apart.pairs == 0, (policy, metric)
        assert set(study.table(0.1).query("policy == 'twin'")["verdict"]) == {"not distinguishable"}


def test_a_name_that_is_there_twice_is_numbered() -> None:
    study = rs.compare(
        corpus(), pool(), ["random", "random", "random"], loads=[0.5], replications=3, **THESE
    )
    policies = [name for name, kind in study.kinds.items() if kind == "policy"]
    assert policies == ["random", "random (2)", "random (3)"]
    assert study.differences("goodput", 0.5)["random (2)"].interval.mean == 0
    assert not any(name.startswith("random") for name in study.names if name not in policies)


def test_the_cheapest_goes_by_what_is_recorded_and_so_does_its_control() -> None:
    dear = msgspec.structs.replace(
        pool().agents[0], cost=1.0
    )  # dear by its price, cheap by what is recorded
    agents = rs.AgentPool((dear, *pool().agents[1:]))
    study = rs.compare(corpus(), agents, "cheapest", loads=[0.5], replications=2)
    assert study.kinds["cheapest"] == "policy"
    assert "cheapest (control)" not in study.kinds
    assert study.interval("cheapest", 0.5, "cost").mean == pytest.approx(COSTS[0])


@pytest.mark.slow
def test_a_policy_that_is_better_is_said_to_be() -> None:
    study = rs.compare(
        corpus(200), pool(), ["static:a0", "static:a2"], loads=[0.1], replications=10
    )
    for metric in ("quality", "goodput", "quality_in_time", "regret"):
        first = study.differences(metric, 0.1)["static:a2"]
        last = study.differences(metric, 0.1, baseline="static:a2")["static:a0"]
        assert (first.verdict, last.verdict) == ("better", "worse"), metric


@pytest.mark.slow
def test_what_costs_less_is_better() -> None:
    study = rs.compare(
        corpus(), pool(), ["static:a2", "static:a0"], loads=[0.05], replications=9, controls=False
    )
    cost = study.differences("cost", 0.05)["static:a0"]
    assert cost.verdict == "better"
    assert cost.interval.mean == pytest.approx(COSTS[0] - COSTS[2])
    assert study.differences("latency_mean", 0.05)["static:a0"].verdict == "better"


@pytest.mark.slow
def test_verdicts_on_equals_are_seldom_wrong(seed: int) -> None:
    """Family-wise, over studies of four policies that differ in their dice alone."""
    tasks, agents, trials = corpus(40), pool(), 24
    wrong = dict.fromkeys(["goodput", "latency_mean", "quality", "cost"], 0)
    for trial in range(trials):
        study = rs.compare(
            tasks,
            agents,
            [coin(part) for part in (11, 12, 13, 14)],
            loads=[0.3],
            replications=6,
            seed=(seed + 1000 * trial) % 2**40,
            population="these tasks",
            objective=6.0,
            controls=False,
        )
        for metric in wrong:
            apart = study.differences(metric, 0.3)
            wrong[metric] += any(d.verdict in ("better", "worse") for d in apart.values())
    # 5 % and four standard errors of a share of 24
    allowed = trials * 0.05 + 4 * (trials * 0.05 * 0.95) ** 0.5
    assert max(wrong.values()) <= allowed, wrong


def twins(seed: int, tasks: int, ahead: float = 0.0) -> tuple[rs.Corpus, rs.AgentPool]:
    """Two agents of one price and speed, right on .7 of all tasks, the second on more."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"id": np.arange(tasks).astype(str)})
    frame["text"] = [" ".join(rng.integers(0, 10**6, 6).astype(str)) for _ in range(tasks)]
    for agent, share in (("a", 0.7), ("b", 0.7 + ahead)):
        frame[f"outcomes.{agent}.quality"] = (rng.random(tasks) < share) * 1.0
    agents = [rs.Agent(id=a, name=a, cost=0.01, latency=1.0, concurrency=2) for a in "ab"]
    return rs.Corpus.from_frame(frame), rs.AgentPool(tuple(agents))


@pytest.mark.slow
def test_equal_agents_are_not_told_apart_by_the_tasks_there_happen_to_be() -> None:
    """Of 10 corpora, runs alone tell them apart in about 8, and in quality as well."""
    wrong, naive, first = dict.fromkeys(["goodput", "quality_in_time", "regret"], 0), 0, 0
    for trial in range(10):
        tasks, agents = twins(trial, 60)
        study = rs.compare(
            tasks, agents, ["static:a", "static:b"], loads=0.15, replications=5, seed=trial,
            objective=3.0, controls=False,
        )  # fmt: skip
        for metric in wrong:
            found = study.differences(metric, 0.15)["static:b"]
            assert found.method == "paired t over replications and 20 resampled corpora"
            wrong[metric] += found.verdict != "not distinguishable"
        both = [study.values(name, 0.15, "goodput") for name in study.names]
        naive += paired_t(*both).verdict != "not distinguishable"
        first += study.leader().first != ""
    allowed = 10 * 0.05 + 3 * (10 * 0.05 * 0.95) ** 0.5  # 5 %, and three standard errors
    assert max(wrong.values()) <= allowed, wrong
    assert first <= allowed
    assert naive > 5


@pytest.mark.slow
def test_an_agent_that_is_better_is_still_found() -> None:
    found = 0
    for trial in range(5):
        tasks, agents = twins(100 + trial, 200, ahead=0.2)
        study = rs.compare(
            tasks, agents, ["static:a", "static:b"], loads=0.15, replications=5, controls=False
        )
        found += study.differences("goodput", 0.15)["static:b"].verdict == "better"
        if study.leader().first:
            assert study.leading() == "At load 0.15 static:b is first of the policies by goodput."
    assert found >= 4  # the power of a test that knows the variance is .99


@pytest.mark.slow
def test_with_fewer_than_fifty_prompts_there_is_no_verdict() -> None:
    given: dict[str, Any] = {"loads": 0.15, "replications": 3, "controls": False}
    policies = ["static:a", "static:b"]
    tasks, agents = twins(0, 49)
    few = rs.compare(tasks, agents, policies, **given)
    for metric in METRICS:
        found = few.differences(metric, 0.15)["static:b"]
        assert (found.verdict, found.method) == ("no verdict", "too few tasks"), metric
    assert np.isnan(few.table()["goodput_hw"]).all()
    assert set(few.table()["rank"]) == {1}
    assert few.leading() == (
        "At load 0.15 the best by goodput cannot be told apart: 49 different tasks, and 50 are "
        "needed."
    )
    assert any("49 different tasks: intervals and verdicts" in note for note in few.notes)
    enough = rs.compare(twins(0, 50)[0], agents, policies, **given)
    assert enough.differences("goodput", 0.15)["static:b"].verdict != "no verdict"
    frame = tasks.to_frame()
    often = pd.concat([frame.assign(id=frame["id"] + f"-{k}") for k in range(4)])
    often = rs.compare(often, agents, policies, **given)
    assert often.differences("goodput", 0.15)["static:b"].method == "too few tasks"
    these = rs.compare(tasks, agents, policies, population="these tasks", **given)
    found = these.differences("goodput", 0.15)["static:b"]
    assert found.method == "paired Hall's t over replications"
    assert these.cells["static:a", 0.15].resampled.size == 0
    assert any(note.endswith("say nothing of others like them") for note in these.notes)
    assert these.to_dict()["settings"]["population"] == "these tasks"


def test_cost_per_right_answer_is_withheld_where_runs_are_overloaded() -> None:
    tasks, agents = twins(0, 300)
    study = rs.compare(
        tasks, agents, ["static:a", "static:b"], loads=[0.15, 0.9], replications=3, controls=False
    )
    low, high = (study.differences("cost_per_right", at)["static:b"] for at in (0.15, 0.9))
    assert low.verdict != "no verdict"
    assert (high.verdict, high.method) == ("no verdict", "runs are overloaded")
    assert np.isnan(study.interval("static:a", 0.9, "cost_per_right").half_width)
    assert np.isfinite(study.interval("static:a", 0.15, "cost_per_right").half_width)


def test_studies_with_neighbouring_seeds_share_no_run() -> None:
    given: dict[str, Any] = {"loads": 0.5, "replications": 10, "controls": False}
    runs = [
        set(
            rs.compare(corpus(), pool(), "random", seed=seed, **given).values(
                "random", 0.5, "latency_mean"
            )
        )
        for seed in (0, 1)
    ]
    assert not runs[0] & runs[1]


# -- common random numbers ------------------------------------------------------------------


def test_policies_meet_the_same_arrivals_order_and_noise() -> None:
    tasks, agents = corpus(), pool()
    runs = [
        prepare(tasks, agents, make_policy(agents, name, tasks)).run(
            rs.Poisson(2.0), seed=7, order="shuffled"
        )
        for name in ("random", "static:a1", "least-loaded")
    ]
    again = prepare(tasks, agents, make_policy(agents, "random", tasks)).run(
        rs.Poisson(2.0), seed=8, order="shuffled"
    )
    for run in runs[1:]:
        assert np.array_equal(run.work.arrived, runs[0].work.arrived)
        assert np.array_equal(run.work.row, runs[0].work.row)
        both = run.log.agent == runs[0].log.agent
        assert both.any()
        service = [(r.log.finished - r.log.left)[both] for r in (run, runs[0])]
        np.testing.assert_allclose(*service, rtol=1e-9)
    assert not np.array_equal(again.work.row, runs[0].work.row)
    assert not np.array_equal(again.work.arrived, runs[0].work.arrived)


def test_replications_are_the_replays_of_their_seeds() -> None:
    tasks, agents = corpus(), pool()
    study = rs.compare(
        tasks, agents, ["thompson"], loads=[0.6], replications=3, seed=5, controls=False
    )
    scene = prepare(tasks, agents, make_policy(agents, "thompson", tasks))
    for r, own in enumerate(study.settings.seeds):
        alone = scene.run(rs.Poisson(0.6 * study.capacity), seed=own, order=study.settings.order)
        assert study.values("thompson", 0.6, "cost")[r] == alone.log.cost.mean()


# -- wherever it ran -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_threads() -> Study:
    return rs.compare(corpus(), pool(), POLICIES, **FEW)


@pytest.mark.slow
def test_threads_of_ones_own_give_the_same(in_threads: Study) -> None:
    with ThreadPoolExecutor(3) as executor:
        assert same(rs.compare(corpus(), pool(), POLICIES, executor=executor, **FEW), in_threads)


@pytest.mark.slow
def test_processes_give_the_same_figures_and_digests(in_threads: Study) -> None:
    context = multiprocessing.get_context("spawn")
    learner = make_policy(pool(), "linucb")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        assert same(rs.compare(corpus(), pool(), POLICIES, executor=executor, **FEW), in_threads)
        digest = executor.submit(fingerprint, learner.choose, learner.learn)
        assert digest.result() == fingerprint(learner.choose, learner.learn)


@pytest.fixture(scope="module")
def in_dask() -> Study:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    with distributed.Client(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as client:
        return rs.compare(corpus(), pool(), POLICIES, executor=client.get_executor(), **FEW)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same(in_dask: Study, in_threads: Study) -> None:
    assert same(in_dask, in_threads)


@pytest.mark.slow
def test_the_seed_makes_the_difference(in_threads: Study) -> None:
    assert not same(rs.compare(corpus(), pool(), POLICIES, seed=1, **FEW), in_threads)


def test_an_error_stops_the_rest_in_a_pool_of_the_users_own() -> None:
    def never(task, pool, memory):
        return 99

    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(PolicyError, match="never"),
    ):
        rs.compare(corpus(), pool(), [never], executor=executor, controls=False, **SMALL)


def test_progress_goes_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    rs.compare(
        corpus(), pool(), ["random"], controls=False, progress=lambda *at: seen.append(at), **SMALL
    )
    assert seen == [(0, 2), (1, 2), (2, 2)]


# -- loads and shapes ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    ["gamma:1,cv=4", "corpus", "burst:rate=1,peak=5,on=2,off=8", "weibull:3,cv=2"],
)
def test_any_shape_is_scaled_to_the_load(shape: str) -> None:
    study = rs.compare(
        corpus(), pool(), ["random"], arrivals=shape, loads=[0.5, 1.0], replications=2, **THESE
    )
    assert len(study.table()) == 1 + sum(kind == "control" for kind in study.kinds.values())
    low, high = (study.interval("random", load, "utilisation").mean for load in (0.5, 1.0))
    assert low < high


def test_recorded_times_are_scaled_by_those_a_run_meets() -> None:
    quick_first = np.concatenate([np.arange(60) * 0.1, 6 + np.arange(600.0)])
    trace = rs.Trace(quick_first)
    study = rs.compare(
        corpus(), pool(), ["random"], arrivals=trace, rates=[2.0], replications=2, **THESE
    )
    scene = prepare(corpus(), pool(), make_policy(pool(), "random"))
    seed = study.settings.seeds[0]
    run = scene.run(trace.scaled(2.0 / 10.0), seed=seed, order="shuffled")
    assert study.values("random", study.loads[0], "cost")[0] == run.log.cost.mean()
    assert run.realised[0] == pytest.approx(2.0)


@pytest.mark.slow
def test_a_trace_shorter_than_the_corpus_serves() -> None:
    study = rs.compare(
        corpus(), pool(), ["random"], arrivals=rs.Trace(np.arange(20.0)), loads=[0.5], **THESE
    )
    assert "shuffle" in study.kinds


@pytest.mark.slow
def test_rates_are_loads_of_the_capacity() -> None:
    by_rate = rs.compare(corpus(), pool(), ["random"], rates=[2.0, 4.0], replications=2, **THESE)
    capacity = 4 + 4 / 2 + 4 / 3
    assert by_rate.capacity == pytest.approx(capacity)
    assert by_rate.rates == pytest.approx((2.0, 4.0))
    assert by_rate.loads == (2.0 / by_rate.capacity, 4.0 / by_rate.capacity)
    by_load = rs.compare(
        corpus(), pool(), ["random"], loads=[2 / capacity, 4 / capacity], replications=2, **THESE
    )
    assert by_load.table(2 / capacity).equals(by_rate.table(2 / capacity))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"loads": [0.5], "rates": [1.0]}, "give one of them"),
        ({"loads": []}, r"loads=\[\]: one or more numbers above 0"),
        ({"loads": [0.0]}, "above 0"),
        ({"loads": "0.5"}, "loads='0.5': one or more numbers above 0"),
        ({"loads": [0.5, "high"]}, "one or more numbers above 0"),
        ({"rates": [float("nan")]}, "above 0"),
        ({"loads": [0.5, 0.5]}, "twice"),
        ({"replications": 0}, "replications=0"),
        ({"replications": 2.5}, "replications=2.5"),
        ({"replications": True}, "replications=True"),
        ({"objective": 0.0}, "objective=0.0"),
        ({"objective": float("inf")}, "objective=inf"),
        ({"objective": "3 s"}, "objective='3 s'"),
        ({"right": None}, "right=None"),
        ({"population": "all"}, "population='all': 'tasks like these' or 'these tasks' is needed"),
        ({"policies": []}, "0 policies"),
        ({"arrivals": "closed:users=3,think=1"}, "closed loop"),
        ({"arrivals": rs.Trace([0.0, 0.0])}, "no rate"),
        ({"tasks": 0}, "tasks=0"),
        ({"controls": ["dice"]}, "no control 'dice' for this corpus; there are random, cheapest"),
        ({"controls": 1}, "no control 1 for this corpus"),
    ],
)
def test_what_makes_no_study_is_refused(wrong: dict[str, Any], said: str) -> None:
    given = {"policies": ["random"], **wrong}
    with pytest.raises(SimulationError, match=said):
        rs.compare(corpus(), pool(), **given)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"corpus": 3}, CorpusError, "corpus: expected a name, a path, a DataFrame or a Corpus"),
        ({"pool": 3}, AgentError, "agents: expected a name, a path, a dict, or a list of agents"),
        ({"policies": [["random"]]}, PolicyError, "is a list, not a policy"),
        ({"policies": 3}, PolicyError, "3 is an int, not a policy"),
        ({"arrivals": 4.0}, SimulationError, "arrivals is a float: give a process"),
        ({"retries": 3}, SimulationError, r"retries: 3 is an int; write rs.Retries\(attempts=3\)"),
        ({"outages": ["a1:1:2"]}, SimulationError, "outages: 'a1:1:2' is a str"),
    ],
)
def test_a_wrong_type_is_named(wrong: dict[str, Any], error: type[Exception], said: str) -> None:
    given = {"corpus": corpus(), "pool": pool(), "policies": "random", "loads": 0.5, **wrong}
    with pytest.raises(error, match=said):
        rs.compare(**given)


def test_a_frame_is_a_corpus_and_a_list_of_agents_a_pool() -> None:
    few: dict[str, Any] = {"loads": 0.5, "replications": 2, "controls": False}
    frame = pd.DataFrame({"id": list("abc"), "text": ["one", "two", "three"]})
    one = rs.compare(frame, list(pool().agents), "random", **few)
    assert same(one, rs.compare(rs.Corpus.from_frame(frame), pool(), ["random"], **few))


def test_one_value_stands_for_a_list_of_one() -> None:
    few: dict[str, Any] = {"replications": 2, "seed": 3}
    one = rs.compare(corpus(), pool(), "random", loads=0.5, controls="oracle", **few)
    many = rs.compare(corpus(), pool(), ["random"], loads=[0.5], controls=["oracle"], **few)
    assert one.names == ("random", "oracle")
    assert same(one, many)
    by_rate = rs.compare(corpus(), pool(), "random", rates=one.rates[0], controls=False, **few)
    assert by_rate.loads == pytest.approx((0.5,))
    assert by_rate.names == ("random",)


def test_unknown_policies_are_refused_and_one_may_stand_alone() -> None:
    with pytest.raises(PolicyError, match="no policy 'tresh'"):
        rs.compare(corpus(), pool(), "tresh")
    study = rs.compare(corpus(), pool(), "random", loads=[0.5], replications=2, controls=False)
    assert study.names == ("random",)


# -- what there is to compare ------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> Study:
    return rs.compare(corpus(), pool(), POLICIES, **SMALL, **THESE)


def test_all_controls_are_beside_the_policies(whole: Study) -> None:
    controls = {name for name, kind in whole.kinds.items() if kind == "control"}
    assert controls == {*("random", "cheapest", "best-single", "zero-router", "shuffle", "oracle")}
    assert set(whole.notes) >= {
        "of the controls, length did exactly as threshold: no row of its own",
        "of the controls, category did exactly as best-single: no row of its own",
    }
    costs = [whole.values(name, 0.4, "cost").mean() for name in ("shuffle", "threshold")]
    assert costs[0] == pytest.approx(costs[1], rel=1e-9)
    marked = whole.table().query("in_sample > 0")["policy"]
    assert set(marked) == {"best-single", "zero-router", "oracle"}


def test_without_recorded_quality_latency_and_cost_are_compared() -> None:
    study = rs.compare(
        corpus(quality=False), pool(), ["threshold", "least-loaded"], **SMALL, **THESE
    )
    assert study.ranked_by == "latency_mean"
    assert {n for n, kind in study.kinds.items() if kind == "control"} == {"random", "cheapest"}
    table = study.table()
    assert "quality" not in table
    assert np.isfinite(table["latency_mean"].to_numpy()).all()
    json.dumps(study.to_dict(), allow_nan=False)
    assert "threshold" in repr(study)


def test_a_trace_without_texts_is_compared() -> None:
    bare = corpus(quality=False, text=False)
    study = rs.compare(bare, pool(), ["least-loaded", "random"], arrivals="corpus", **SMALL)
    assert study.names == ("least-loaded", "random", "cheapest")
    assert study.table()["latency_mean"].is_monotonic_increasing


def test_one_load_and_one_replication_give_figures_without_intervals() -> None:
    study = rs.compare(corpus(), pool(), ["threshold", "random"], loads=[0.1], replications=1)
    table = study.table()
    assert np.isfinite(table["goodput"].to_numpy()).all()
    assert np.isnan(table["goodput_hw"].to_numpy()).all()
    assert set(table["verdict"]) == {"baseline", "no verdict"}
    json.dumps(study.to_dict(), allow_nan=False)


def test_frames_are_tidy(whole: Study) -> None:
    runs = whole.runs
    assert len(runs) == len(whole.names) * 2 * 3
    assert list(runs.columns[:6]) == ["policy", "kind", "load", "rate", "replication", "verdict"]
    assert set(METRICS) <= set(runs.columns)
    assert isinstance(whole.table(), pd.DataFrame)


def test_the_load_asked_for_is_met_or_it_is_said_first() -> None:
    shape = "diurnal:1,amplitude=0.8"
    study = rs.compare(
        corpus(), pool(), "random", rates=[0.2], arrivals=shape, replications=2, controls=False
    )
    said = study.cautions[0]
    load = f"{study.loads[0]:.3g}"
    assert study.notes[: len(study.foremost)] == tuple(study.foremost)
    assert said.startswith(f"at load {load} {len(corpus()):,} tasks take ")
    assert said.endswith("tasks/s arrive, and 0.2 are asked for; 17,280 tasks make a whole period")
    rate, span = study.met(study.loads[0])
    assert rate < 0.1
    assert study.arrivals_at(study.loads[0]) == (
        f"0.2 tasks/s asked for, {rate:.3g} met over {span:,.0f} s"
    )
    assert study.to_dict()["met"] == {str(study.loads[0]): {"rate": rate, "span": span}}
    assert set(study.table()["stability"]) == {"too short to say"}
    assert study.arrivals_at(study.loads[0]) in " ".join(repr(study).split())
    even = rs.compare(corpus(), pool(), "random", rates=[0.2], replications=2, controls=False)
    assert not [each for each in even.cautions if each.startswith("at load")]


def test_what_grows_has_no_goodput_and_no_rank() -> None:
    """a2 alone takes ten times what it can do; a0 alone keeps up."""
    study = rs.compare(
        corpus(), pool(), ["static:a0", "static:a2"], loads=[0.1, 3.0], replications=4,
        controls=False,
    )  # fmt: skip
    table = study.table(3.0).set_index("policy")
    assert table.loc["static:a2", "stability"] == "growing"
    assert math.isnan(table.loc["static:a2", "goodput"])
    assert math.isnan(study.interval("static:a2", 3.0, "cost_per_right").mean)
    for metric in ("goodput", "latency_p95", "wait_mean", "quality_in_time"):
        assert study.differences(metric, 3.0)["static:a2"].verdict == "not comparable", metric
    assert study.differences("cost", 3.0)["static:a2"].verdict != "not comparable"
    assert pd.isna(table.loc["static:a2", "rank"])
    calm = study.table(0.1).set_index("policy")
    assert not math.isnan(calm.loc["static:a0", "goodput"])
    assert not pd.isna(calm.loc["static:a0", "rank"])


def test_any_number_of_workers_gives_the_same() -> None:
    given: dict[str, Any] = {"loads": 0.5, "replications": 1, "controls": False}
    corpus = rs.load_corpus("tasks")
    plain = rs.compare(corpus, None, "random", **given).to_dict()
    for n in (1, -1, -2):
        assert rs.compare(corpus, None, "random", n_jobs=n, **given).to_dict() == plain
    assert rs.compare(corpus, None, "random", executor="serial", **given).to_dict() == plain


def test_a_study_has_first_tokens_and_figures_of_tenants() -> None:
    plain = {"cost": 1.0, "latency": 1.0, "service": "deterministic", "discipline": "fair"}
    pool = rs.AgentPool((rs.Agent(id="a", name="A", ttft=0.25, concurrency=2, **plain),))
    given = {"loads": 0.5, "replications": 3, "population": "these tasks", "controls": False}
    study = rs.compare(
        rs.load_corpus("tasks"), pool, "static:a", arrivals=rs.Deterministic(1.0), tasks=40,
        tenants=["gold:share=0.5,weight=2", "free:share=0.5"], **given,
    )  # fmt: skip
    runs = study.runs
    # One task a second, two slots: nobody waits, and the first token comes after .25 s.
    assert runs["first_token_p95"].tolist() == [0.25] * 3
    assert runs["latency_p95"].tolist() == [1.0] * 3
    found: Any = study.by_tenant()
    assert found["tenant"].tolist() == ["free", "gold"]
    assert found["tasks"].sum() == 40
    assert found["share"].sum() == pytest.approx(1.0)
    assert found["first_token_p95"].tolist() == [0.25, 0.25]
    shares = found["service"].to_numpy() / [1.0, 2.0]
    assert runs["fairness"].to_numpy().mean() == pytest.approx(
        shares.sum() ** 2 / (2 * (shares**2).sum()), abs=0.02
    )
    assert study.to_dict()["tenants"][1]["tenant"] == "gold"
    assert {"first_token_p95", "fairness"} <= set(study.table())
    made = study.decision(slo={"ttft_p95": 0.3})
    assert "the first token of 95 % of the answers within 0.3 s" in " ".join(str(made).split())
    assert made.alternatives[0].targets["first_token_p95"] == "met"
    none = rs.compare(rs.load_corpus("tasks"), pool, "static:a", tasks=20, **given)
    with pytest.raises(SimulationError, match="first_token_objective=0: a number of seconds above"):
        rs.compare(rs.load_corpus("tasks"), pool, "static:a", first_token_objective=0, **given)
    assert none.by_tenant().empty
    assert np.isnan(none.runs["fairness"]).all()
    assert "fairness" not in none.table()
