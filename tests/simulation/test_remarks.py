"""Remarks on a corpus, a pool and a policy that do not suit each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.policies.kernel import choose_kernel
from routingsim.policies.policy import Policy, make_policy
from routingsim.policies.reads import reads
from routingsim.report.replay_report import compose
from routingsim.report.study_report import compose_study
from routingsim.simulation.remarks import (
    assumed_pool,
    met_before,
    no_texts,
    one_for_all,
    other_agents,
    repeated_prompts,
    whose_agents,
)

from ..cli.running import invoke

OTHERS = (
    "the corpus has outcomes of x, y, and of none of the agents a, b, c: the figures are of other "
    "agents than the corpus's; give those agents (--agents FILE, or --agents log, which fits them "
    "to a log), or name each one's record in the agents' file (outcome = \"x\")"
)


def pool_of(ids: str = "abc", **fields: Any) -> AgentPool:
    return AgentPool(
        tuple(Agent(id=i, name=i, cost=k + 1.0, latency=1.0, **fields) for k, i in enumerate(ids))
    )


def corpus_of(texts: list[str], agents: str = "") -> Corpus:
    columns: dict[str, Any] = {"id": [str(k) for k in range(len(texts))], "text": texts}
    columns |= {f"outcomes.{agent}.quality": 0.5 for agent in agents}
    return Corpus.from_frame(pd.DataFrame(columns), "mine")


FEW = (
    "{} different tasks: intervals and verdicts on tasks like these need 50 or more; "
    'population="these tasks" asks about these alone'
)
TEXTS = [f"What is {k} and {k + 1} in words?" for k in range(20)]
POLICY = make_policy(pool_of(), "threshold")


def sent(*counts: int) -> np.ndarray:
    return np.array(counts)


# -- other agents -----------------------------------------------------------------------


def test_outcomes_of_other_agents_are_named_with_both_sides() -> None:
    assert other_agents(corpus_of(TEXTS, "xy"), pool_of()) == OTHERS
    assert other_agents(corpus_of(TEXTS, "xa"), pool_of()) == ""
    assert other_agents(corpus_of(TEXTS), pool_of()) == ""
    assert other_agents(None, pool_of()) == ""
    named = AgentPool((Agent(id="a", name="A", cost=1, latency=1, outcome="y"),))
    assert other_agents(corpus_of(TEXTS, "xy"), named) == ""
    many = other_agents(corpus_of(TEXTS, "klmnopqrst"), pool_of())
    assert "outcomes of k, l, m, n, o, p, q, r and 2 more, and of none of" in many


@pytest.mark.slow
def test_other_agents_come_before_the_figures_of_a_replay() -> None:
    result = rs.replay(corpus_of(TEXTS, "xy"), pool_of(), "least-loaded", arrivals="poisson:1")
    assert result.notes[0] == result.to_dict()["notes"][0] == OTHERS
    words = " ".join(repr(result).split())
    assert words.index(OTHERS) < words.index("arrivals:") < words.index("tasks share")
    assert words.count(OTHERS) == 1
    html = result.to_html()
    assert 0 < html.index("outcomes of x, y") < html.index("<table")
    assert html.count("outcomes of x, y") == 1
    report = compose([result])
    assert report.summary.verdict.startswith(f"T{OTHERS[1:]}. ")
    own = rs.replay(corpus_of(TEXTS, "ab"), pool_of(), "least-loaded", arrivals="poisson:1")
    assert not any("outcomes of" in note for note in own.notes)
    assert "outcomes of" not in repr(own) + own.to_html() + compose([own]).summary.verdict


@pytest.mark.slow
def test_other_agents_come_before_the_figures_of_a_study() -> None:
    given: dict[str, Any] = {"loads": 0.5, "replications": 2, "controls": False}
    study = rs.compare(corpus_of(TEXTS, "xy"), pool_of(), "least-loaded", **given)
    assert study.notes == (OTHERS, FEW.format(20))
    assert study.to_dict()["notes"] == [OTHERS, FEW.format(20)]
    words = " ".join(repr(study).split())
    assert words.index(OTHERS) < words.index("At load 0.5")
    html = study.to_html()
    assert 0 < html.index("outcomes of x, y") < html.index("<table")
    assert compose_study(study).summary.verdict.startswith(f"T{OTHERS[1:]}. ")
    own = rs.compare(corpus_of(TEXTS, "abc"), pool_of(), "least-loaded", **given)
    assert own.notes == (FEW.format(20),)
    assert "outcomes of" not in repr(own) + own.to_html()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "figures"), [(("replay",), "tasks"), (("compare", "--replications", "2"), "USD")]
)
def test_other_agents_come_before_the_figures_of_a_command(
    command: tuple[str, ...], figures: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    pd.DataFrame(
        {"id": range(20), "text": TEXTS, "outcomes.x.quality": 0.5, "arrived_at": range(20)}
    ).to_csv(path, index=False)
    words = " ".join(invoke(*command, path, "-p", "least-loaded").stdout.split())
    said = "note: the corpus has outcomes of x, and of none of the agents claude, gpt-4, gemini"
    assert words.count(said) == 1
    assert words.index(said) < words.index(figures, len(said))


# -- one band ---------------------------------------------------------------------------


def test_a_threshold_that_sends_all_to_one_agent_says_so_with_the_remedy() -> None:
    d_var = np.linspace(0.1, 0.2, 101)
    quantiles = (
        "D_var of these texts is 0.105 at its 5 %, 0.150 at its 50 % and 0.195 at its 95 % "
        "quantile, and the bounds are 0.3 and 0.5; threshold:calibrated sets them by the corpus"
    )
    assert one_for_all(POLICY, pool_of(), d_var, sent(101, 0, 0)) == (
        f"threshold sends all of the tasks to a: {quantiles}"
    )
    d_var[-1] = 0.9
    said = one_for_all(POLICY, pool_of(), d_var, sent(100, 0, 1))
    assert said.startswith("threshold sends 99.0 % of the tasks to a: D_var")
    d_var[-2] = 0.9
    assert one_for_all(POLICY, pool_of(), d_var, sent(99, 0, 2)) == ""


def test_a_band_of_several_agents_is_named() -> None:
    pool = pool_of("abcdef")
    policy = make_policy(pool, "threshold")
    said = one_for_all(policy, pool, np.full(10, 0.4), sent(0, 0, 5, 5, 0, 0))
    assert said.startswith("threshold sends all of the tasks to its band medium (c, d): D_var of")
    spread = np.linspace(0.1, 0.9, 10)
    assert one_for_all(policy, pool, spread, sent(2, 2, 2, 2, 1, 1)) == ""


def test_bounds_on_their_edges_are_those_of_the_policy() -> None:
    """A task with D_var on a bound is in the band above it."""
    said = one_for_all(POLICY, pool_of(), np.full(10, 0.3), sent(0, 10, 0))
    assert said.startswith("threshold sends all of the tasks to b: ")
    said = one_for_all(POLICY, pool_of(), np.full(10, 0.5), sent(0, 0, 10))
    assert said.startswith("threshold sends all of the tasks to c: ")


def test_what_was_calibrated_needs_no_remedy() -> None:
    pool = pool_of()
    alike = make_policy(pool, "threshold:calibrated,shares=100/0/0", corpus_of(TEXTS))
    said = one_for_all(alike, pool, np.full(10, 0.1), sent(10, 0, 0))
    assert said.startswith("threshold:calibrated,shares=100/0/0 sends all of the tasks to a: ")
    assert "threshold:calibrated sets" not in said


def test_other_rules_with_bands_say_so_too() -> None:
    pool = pool_of()
    learner = make_policy(pool, "fs-qmix")
    said = one_for_all(learner, pool, np.full(10, 0.1), sent(5, 5, 0))
    assert said.startswith("fs-qmix finds all of the tasks in one band: D_var of these texts is ")
    assert said.endswith("the bounds are 0.3 and 0.5; bounds=calibrated sets them by the corpus")
    assert one_for_all(learner, pool, np.linspace(0.1, 0.9, 10), sent(5, 5, 0)) == ""

    @choose_kernel
    def own(task, pool, memory):
        return 0 if task.d_var < 0.4 else 1

    said = one_for_all(Policy("own", own), pool, np.full(10, 0.1), sent(10, 0, 0))
    assert said == (
        "own sends all of the tasks to a: D_var of these texts is 0.100 at its 5 %, 0.100 at its "
        "50 % and 0.100 at its 95 % quantile"
    )
    assert one_for_all(Policy("own", own), pool, np.full(10, 0.1), sent(9, 1, 0)) == ""


def test_one_agent_is_no_wonder_where_no_text_is_read_or_there_is_one() -> None:
    d_var = np.full(10, 0.1)
    for name in ("static:a", "cheapest", "least-loaded", "thompson"):
        assert one_for_all(make_policy(pool_of(), name), pool_of(), d_var, sent(10, 0, 0)) == ""
    alone = pool_of("a")
    assert one_for_all(make_policy(alone, "threshold"), alone, d_var, sent(10)) == ""
    assert one_for_all(POLICY, pool_of(), d_var[:1], sent(1, 0, 0)) == ""
    assert one_for_all(POLICY, pool_of(), np.zeros(10), sent(10, 0, 0)) == ""  # no texts


@pytest.mark.slow
def test_replays_and_studies_say_that_all_went_to_one_agent() -> None:
    corpus, easy = corpus_of(TEXTS), "threshold:low=0.9,medium=0.95"
    said = "threshold:low=0.9,medium=0.95 sends all of the tasks to a: D_var of these texts is "
    result = rs.replay(corpus, pool_of(), easy, arrivals="poisson:1")
    assert result.notes[-1].startswith(said)
    assert result.overall["tasks"] == result.to_dict()["agents"][0]["tasks"]
    given: dict[str, Any] = {"loads": 0.3, "replications": 2, "controls": False}
    study = rs.compare(corpus, pool_of(), [easy, "least-loaded"], **given)
    few, mine = study.notes
    assert few == FEW.format(20)
    assert mine.startswith(said)
    assert said in " ".join(repr(study).split())
    fitted = rs.compare(corpus, pool_of(), "threshold:calibrated", **given)
    assert not any("D_var of these texts" in note for note in fitted.notes)
    assert fitted.notes[0] == few


# -- no texts ---------------------------------------------------------------------------


def test_a_policy_that_reads_texts_says_where_there_are_none() -> None:
    said = (
        "threshold goes by texts, and there are none (in this corpus): it reads D_var, which is 0 "
        "for every task; give a corpus with texts, or a policy that reads none"
    )
    silent = corpus_of([""] * 5)
    assert no_texts(silent, POLICY) == said
    assert no_texts(None, POLICY) == said.replace("in this corpus", "without a corpus")
    assert no_texts(corpus_of(TEXTS), POLICY) == ""
    for name in ("least-loaded", "static:a", "round-robin", "ucb1", "cascade"):
        assert no_texts(silent, make_policy(pool_of(), name)) == ""
    scored = Corpus.from_frame(silent.tasks.assign(d_var=0.4))
    assert no_texts(scored, POLICY) == ""
    linucb = make_policy(pool_of(), "linucb")
    frame = silent.tasks.assign(prompt_tokens=7, d_var=0.4, category=list("xyxyx"))
    alone = "linucb goes by the tasks' categories alone: there are no texts"
    assert no_texts(Corpus.from_frame(frame), linucb) == alone
    records = silent.tasks.assign(**{"outcomes.a.quality": 1.0})
    served = Corpus.from_frame(records)
    assert no_texts(served, make_policy(pool_of(), "logged", served)) == ""


def test_all_that_a_policy_reads_of_texts_is_named() -> None:
    linucb, silent = make_policy(pool_of(), "linucb"), corpus_of([""] * 5)
    said = "it reads lengths of prompts, features and D_var, which is 0 for every task; give"
    assert said in no_texts(silent, linucb)
    frame = silent.tasks.assign(prompt_tokens=7)
    assert "it reads features and D_var, which is" in no_texts(Corpus.from_frame(frame), linucb)
    guess = Policy("guess", POLICY.choose, predict=lambda texts, categories: np.zeros((5, 3)))
    assert "it reads predicted qualities and D_var, which is" in no_texts(silent, guess)


@pytest.mark.slow
def test_replays_and_studies_say_that_there_are_no_texts() -> None:
    silent = corpus_of([""] * 20)
    said = "threshold goes by texts, and there are none (in this corpus)"
    assert rs.replay(silent, pool_of(), "threshold", arrivals="poisson:1").notes[0].startswith(said)
    given: dict[str, Any] = {"loads": 0.3, "replications": 2, "controls": False}
    *_, note = rs.compare(silent, pool_of(), ["threshold", "least-loaded"], **given).notes
    assert note.startswith(said)


# -- what a policy reads ----------------------------------------------------------------


def helper(task):
    return task.d_var


def by_helper(task, pool, memory):
    return int(helper(task) > 0.5)


class Called:
    """A policy that is an object."""

    def __call__(self, task, pool, memory):
        return int(task.prompt_tokens > 5)


def test_what_a_policy_reads_is_found_in_what_it_calls() -> None:
    limit = 0.5

    def inner(task):
        return task.d_var > limit

    def by_closure(task, pool, memory):
        return int(inner(task))

    def blind(task, pool, memory):
        return int(np.argmin(pool.busy))

    pool = pool_of()
    assert reads(make_policy(pool, by_helper)) == {"d_var"}
    assert reads(make_policy(pool, by_closure)) == {"d_var"}
    assert reads(make_policy(pool, Called())) == {"prompt_tokens"}
    assert reads(make_policy(pool, blind)) == set()
    assert reads(make_policy(pool, "linucb")) == {"d_var", "prompt_tokens", "features"}


def _asked(texts: list[str]) -> Corpus:
    frame = {"id": [str(k) for k in range(len(texts))], "text": texts}
    return Corpus.from_frame(pd.DataFrame(frame))


def test_few_prompts_played_often_are_said_to_be_few() -> None:
    few = _asked(["one prompt", "another"] * 40)
    assert repeated_prompts(few) == (
        "the 80 tasks are 2 prompts, as texts that are the same or alike count as one: each is met "
        "40 times on average, and tests of what a policy makes of the text count prompts, not tasks"
    )
    assert repeated_prompts(_asked([f"{k}" for k in range(80)])) == ""
    assert repeated_prompts(_asked([""] * 9)) == repeated_prompts(None) == ""


def test_a_policy_that_learns_from_texts_has_met_them_before() -> None:
    few, pool = _asked(["one prompt", "another"] * 40), load_agents()
    linucb = make_policy(pool, "linucb")
    assert met_before(linucb, few, 80, 0.4871) == (
        "linucb learns while it runs, and meets each of 2 prompts 40 times on average: it has seen "
        "most of them before, so its quality is that on prompts that come again as often; on new "
        "prompts it may gain nothing (on those new to the run it is 0.487)"
    )
    assert met_before(linucb, few, 80).endswith("gain nothing")
    assert met_before(linucb, _asked([f"{k}" for k in range(80)]), 80) == ""
    assert "5 times" in met_before(linucb, _asked([f"{k}" for k in range(80)]), 400)
    assert met_before(make_policy(pool, "ucb1"), few, 80) == ""  # it reads no text
    assert met_before(make_policy(pool, "threshold"), few, 80) == ""


# -- assumed agents ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_shipped_pool_on_ones_own_tasks_is_said_first_to_be_an_assumption() -> None:
    assumed = (
        "the agents are of the pool 'default' that comes with routingsim, and the tasks are your "
        "own: prices, speeds and slots are assumptions, not those of your agents; describe yours "
        "in a file (--agents FILE), or fit them to a log (fit_pool)"
    )
    own, pool = corpus_of(TEXTS), rs.load_agents()
    assert assumed_pool(own, pool) == assumed_pool(own, pool[:2]) == assumed
    assert whose_agents(corpus_of(TEXTS, "xy"), pool) == other_agents(corpus_of(TEXTS, "xy"), pool)
    assert assumed_pool(own, pool_of()) == ""
    assert assumed_pool(rs.load_corpus("tasks"), pool) == assumed_pool(None, pool) == ""
    result = rs.replay(own, pool, "random", arrivals="poisson:1", service="exponential")
    assert result.notes[0] == assumed
    words = " ".join(repr(result).split())
    assert words.index(assumed) < words.index("arrivals:")
    assert compose([result]).summary.verdict.startswith(f"T{assumed[1:]}. ")
    mine = rs.replay(own, pool_of(), "random", arrivals="poisson:1")
    assert not any("comes with routingsim" in note for note in mine.notes)
