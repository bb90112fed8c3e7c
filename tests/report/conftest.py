"""Runs to report on: small, real, and awkward in one way each."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from routingsim.agents import Agent, AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.evaluation.compare import compare
from routingsim.evaluation.study import Study
from routingsim.simulation.faults import Outage
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult

WILD = '<script>alert("x")</script> & | `code` $x$ مرحبا بالعالم 😀 漢字 \u202e\x07 '


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """120 tasks in three categories, quality recorded, some texts that nobody expects."""
    rng = np.random.default_rng(5)
    texts = [f"Task {k}: {'word ' * int(rng.integers(1, 60))}" for k in range(120)]
    texts[:3] = [WILD, "<b>" * 66_000, WILD * 3]
    frame = pd.DataFrame(
        {
            "id": ["</td><i>0", *(f"t{k}" for k in range(1, 120))],
            "text": texts,
            "category": [("code", "maths", "<i>chat")[k % 3] for k in range(120)],
        }
    )
    for agent in load_agents().ids:
        frame[f"outcomes.{agent}.quality"] = rng.uniform(size=120)
    return Corpus.from_frame(frame, name="wild <corpus>")


@pytest.fixture(scope="session")
def results(corpus: Corpus) -> list[ReplayResult]:
    """Three policies, one of them overloaded, another fitted on the corpus."""
    policies = ("threshold", "threshold:calibrated", "static:gpt-4")
    outages = [Outage("gpt-4", 5.0, 9.0)]
    return [
        replay(corpus, policy=p, arrivals="poisson:4", seed=3, outages=outages) for p in policies
    ]


@pytest.fixture(scope="session")
def wild(corpus: Corpus) -> list[ReplayResult]:
    """Two policies that disagree on each of the texts that nobody expects."""
    three = corpus.head(3)
    return [
        replay(three, policy=p, arrivals="poisson:1") for p in ("static:llama", "static:claude")
    ]


@pytest.fixture(scope="session")
def crowd() -> Callable[[int], AgentPool]:
    """Makes pools."""
    return make_crowd


def make_crowd(size: int) -> AgentPool:
    """A pool of so many agents, whose names are in scripts that plots cannot draw."""
    agents = (
        Agent(id=f"agent-{k:02}", name=f"代理 {k} 🤖 <b>", cost=0.001 * (k + 1), latency=1.0)
        for k in range(size)
    )
    return AgentPool(tuple(agents))


def silence() -> ReplayResult:
    """A run in which nothing is answered."""
    pool = AgentPool((Agent(id="down", name="Down", cost=0.01, latency=1.0, patience=0.5),))
    outages = [Outage("down", 0.0, 1e6)]
    return replay(None, pool, "cheapest", arrivals="poisson:2", tasks=50, outages=outages)


@pytest.fixture(
    scope="session", params=["one agent", "forty agents", "nothing answered", "no quality"]
)
def odd(request: pytest.FixtureRequest, corpus: Corpus) -> ReplayResult:
    """A run that is awkward in one way, each with no corpus unless it says otherwise."""
    match request.param:
        case "one agent":
            return replay(None, make_crowd(1), "cheapest", tasks=1)
        case "forty agents":
            return replay(None, make_crowd(40), "least-loaded", tasks=2_000, arrivals="poisson:150")
        case "nothing answered":
            return silence()
    return replay(corpus, make_crowd(3), "round-robin", arrivals="poisson:1")


@pytest.fixture(scope="session")
def study(corpus: Corpus) -> Study:
    """Three policies with controls at two loads, one of them fitted on the corpus."""
    policies = ("threshold", "threshold:calibrated", "cheapest")
    return compare(corpus, policies=policies, loads=(0.2, 0.8), replications=3, seed=3)


@pytest.fixture(scope="session")
def plain_study(corpus: Corpus) -> Study:
    """One policy, one load, one replication, nothing recorded, two agents."""
    texts = Corpus.from_frame(
        pd.DataFrame(corpus.tasks.head(20), columns=["id", "text"]), name="texts"
    )
    return compare(texts, make_crowd(2), ["random"], loads=(0.5,), replications=1)
