"""One replay: what goes in, what comes out, and the figures that are known beforehand."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import AgentError, PolicyError, SimulationError
from routingsim.simulation import theory
from routingsim.simulation.statistics import quantiles


def one(**fields) -> AgentPool:
    """A pool of one agent that takes a second, to the dot."""
    given: dict[str, Any] = {"latency": 1.0, "service": "deterministic", "concurrency": 1} | fields
    return AgentPool((Agent(id="a", name="A", cost=0.0, **given),))


def timed_corpus(times: list[float]) -> Corpus:
    ids = [f"t{k}" for k in range(len(times))]
    return Corpus.from_frame(
        pd.DataFrame({"id": ids, "text": [f"text {k}" for k in ids], "arrived_at": times})
    )


@pytest.fixture(scope="module")
def tasks() -> Corpus:
    return rs.load_corpus("tasks")


# -- which tasks, and when ---------------------------------------------------------------


def test_a_corpus_comes_at_its_own_times_from_the_first() -> None:
    result = rs.replay(timed_corpus([5, 6, 8, 20]), one())
    assert result.arrivals == "corpus"
    np.testing.assert_array_equal(result.work.arrived, [0, 1, 3, 15])
    assert result.warm_up == 0


def test_without_times_a_corpus_comes_at_70_percent_of_capacity(tasks: Corpus) -> None:
    pool = rs.load_agents()
    untimed = Corpus.from_frame(tasks.to_frame().drop(columns="arrived_at"))
    result = rs.replay(untimed, pool)
    assert result.asked == (pytest.approx(0.7 * pool.capacity), 1.0)


# -- settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"tasks": None}, SimulationError, "tasks=100_000"),
        ({"tasks": 0}, SimulationError, "one task or more"),
        ({"warm_up": 1.0}, SimulationError, r"warm_up=1.0: .*\[0, 1\)"),
        ({"warm_up": math.nan}, SimulationError, "warm_up=nan"),
        ({"service": "magic"}, SimulationError, "choose one of lognormal"),
        ({"service": "tokens"}, SimulationError, "tokens_per_second"),
        ({"arrivals": "poison:4"}, SimulationError, "poisson:RATE"),
        ({"arrivals": "corpus"}, SimulationError, "no corpus was given"),
        ({"policy": "nope"}, PolicyError, "no policy 'nope'"),
        ({"policy": "static:b"}, AgentError, "no agent 'b'"),
        ({"outages": [rs.Outage("b", 0, 1)]}, AgentError, "no agent 'b'"),
        ({"seed": 2**64}, SimulationError, "seed"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict, error: type, message: str) -> None:
    given: dict[str, Any] = {"tasks": 10} | settings
    with pytest.raises(error, match=message):
        rs.replay(None, one(), **given)


def test_one_seed_gives_one_result(tasks: Corpus) -> None:
    first, again, other = (
        rs.replay(tasks, None, "random", arrivals="poisson:3", seed=seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first.to_frame(), again.to_frame())
    assert first.to_dict() == again.to_dict()
    assert not first.to_frame().equals(other.to_frame())


def test_outages_may_be_whole_numbers() -> None:
    result = rs.replay(timed_corpus([0, 10]), one(), outages=[rs.Outage("a", 5, 12)])
    np.testing.assert_array_equal(result.log.wait, [0, 2])


# -- figures known beforehand --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pool", "policy", "corpus"),
    [
        ("paretobandit", "static:mistral-large", "paretobandit-val"),
        ("dcrouter", None, "dcrouter-train"),
        ("routellm", None, "gsm8k"),
    ],
)
def test_quality_of_one_agent_is_the_plain_mean(
    shared_data, monkeypatch, pool: str, policy: str | None, corpus: str
) -> None:
    monkeypatch.setenv("ROUTINGSIM_DATA", str(shared_data))
    agents, read = rs.load_agents(pool), rs.load_corpus(corpus)
    for agent in [policy.removeprefix("static:")] if policy else agents.ids:
        recorded = read.outcome("quality", [agents.agents[agents.index(agent)].recorded_as])
        result = rs.replay(read, agents, f"static:{agent}", arrivals="poisson:2", seed=1)
        assert result.overall["quality"] == pytest.approx(float(recorded.mean()), rel=1e-12)
        assert result.overall["ok"] == len(read)


@pytest.mark.parametrize(("slots", "p99", "p999"), [(1, 9.101, 9.911), (1_000, 9.001, 9.901)])
def test_a_stall_shows_in_every_task_it_delays(slots: int, p99: float, p999: float) -> None:
    """No coordinated omission: 100 tasks/s of 1 ms for 100 s, and 10 s in which nothing runs.

    Task k of the stall waits 10 s - 10 ms k. One slot then needs a second for the thousand
    that have waited: 1 ms k more.
    """
    result = rs.replay(
        None,
        one(latency=0.001, concurrency=slots),
        "static:a",
        arrivals=rs.Deterministic(100),
        tasks=10_000,
        outages=[rs.Outage("a", 50.0, 60.0)],
        warm_up=0,
    )
    assert result.overall["ok"] == 10_000
    np.testing.assert_allclose(quantiles(result.latency, [0.99, 0.999]), [p99, p999], atol=1e-9)
    assert result.overall["latency_p99"] == pytest.approx(p99, abs=1e-9)


@pytest.mark.slow
def test_batch_means_intervals_cover_the_exact_mean() -> None:
    """M/M/4 at load 0.6: 95 % intervals from 40 runs of 10,000 tasks hold the exact wait.

    Of 40, 38 are expected; below .85 lies 1 in 300 samples of a true .95. Were the
    waits taken as independent, every second interval would miss it.
    """
    exact = theory.mmc(rate=2.4, service=1.0, servers=4).wait_mean
    pool = one(service="exponential", concurrency=4)
    runs = (
        rs.replay(None, pool, "static:a", arrivals=rs.Poisson(2.4), tasks=10_000, seed=seed)
        for seed in range(40)
    )
    intervals = [run.interval("wait") for run in runs]
    covered = np.mean([each.low <= exact <= each.high for each in intervals])
    assert covered >= 0.85, covered


@pytest.mark.slow
def test_two_policies_meet_the_same_tasks(tasks: Corpus) -> None:
    """Common random numbers: differences vary at least 5 times less than between seeds."""
    pool = rs.load_agents()

    def mean(policy: str, seed: int) -> float:
        return rs.replay(tasks, pool, policy, arrivals="poisson:4", tasks=2_000, seed=seed).overall[
            "latency_mean"
        ]

    one_of = np.array([mean("least-loaded", seed) for seed in range(30)])
    other = np.array([mean("shortest-wait", seed) for seed in range(30)])
    together = np.var(one_of - other, ddof=1)
    apart = np.var(one_of - np.roll(other, 1), ddof=1)
    assert apart / together > 5, (apart, together)


def resident(*tasks: int) -> list[int]:
    """Bytes at their most of a process that replays so many tasks, then so many, each summed up."""
    script = (
        "import resource, routingsim as rs\n"
        f"for tasks in {tasks}:\n"
        "    result = rs.replay(None, rs.load_agents(), 'least-loaded', tasks=tasks, seed=1)\n"
        "    assert result.overall['tasks'] == tasks\n"
        "    result.stability, result.long and result.interval()  # not that of further runs\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "    del result\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [int(line) * (1 if sys.platform == "darwin" else 1024) for line in ran.stdout.split()]


@pytest.mark.slow
def test_a_million_tasks_take_no_more_than_their_share_of_memory() -> None:
    """Ten million in 1.5 GB: 0.3 GB for the process, then 120 bytes a task."""
    few, many = resident(1_000, 1_000_000)
    assert many - few < 120e6


@pytest.mark.soak
def test_ten_million_tasks_fit_in_a_gigabyte_and_a_half() -> None:
    assert resident(10_000_000)[0] < 1.5e9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tasks": "many"}, "tasks='many': .* whole number"),
        ({"tasks": 1e3}, "tasks=1000.0: .* whole number"),
        ({"warm_up": "none"}, "warm_up='none': a share"),
        ({"retries": 3}, r"retries: 3 is an int; write rs\.Retries"),
        ({"outages": 3}, r"outages: 3 is an int; write \[rs\.Outage"),
        ({"seed": 0.5}, "seed is 0.5, needs a whole number"),
        ({"seed": "1", "arrivals": "closed:users=2,think=1"}, "seed is '1', needs a whole number"),
        ({"outages": [("a", 1, 2)]}, r"outages: \('a', 1, 2\) is a tuple; write \[rs\.Outage"),
        ({"arrivals": 4.0}, r"arrivals is a float: give .* rs\.Poisson\(4\)"),
        ({"arrivals": [0.0, 1.0]}, r"arrivals is a list: .* rs\.Trace\(times\)"),
        ({"service": "recorded"}, "without a corpus no latency is recorded"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_of_another_kind_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SimulationError, match=said):
        rs.replay(**({"pool": one(), "policy": "static:a", "tasks": 5} | given))


def test_what_describes_a_corpus_or_a_pool_is_one() -> None:
    asked = {"policy": "threshold", "arrivals": "poisson:4", "tasks": 20, "seed": 3}
    expected = rs.replay(rs.load_corpus("tasks"), rs.load_agents(), **asked)
    frame = rs.load_corpus("tasks").to_frame()
    for corpus, pool in (("tasks", "default"), (frame, list(rs.load_agents())), ("tasks", None)):
        assert rs.replay(corpus, pool, **asked).to_frame().equals(expected.to_frame())
    with pytest.raises(rs.CorpusError, match=r"found 5 \(int\)"):
        rs.replay(5, **asked)  # pyright: ignore[reportArgumentType]
    with pytest.raises(rs.AgentError, match="found Corpus"):
        rs.replay(None, rs.load_corpus("tasks"), **asked)  # pyright: ignore[reportArgumentType]


def test_a_load_beyond_all_measure_is_told_in_few_digits() -> None:
    at_once = rs.replay(None, one(), "static:a", arrivals="deterministic:1e15", tasks=5)
    assert len(str(at_once.stability)) < 150
