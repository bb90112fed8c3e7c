"""Remarks on a corpus, a pool and a policy that do not suit each other or lack records."""

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool, builtin_pools, load_agents
from routingsim.corpora import backtested
from routingsim.corpora.catalogue import BUNDLED, DATASETS
from routingsim.corpora.checkup.finding import Subject
from routingsim.corpora.corpus import Corpus
from routingsim.policies.cascade import line_of
from routingsim.policies.folds import prompts
from routingsim.policies.judged import ERRORS, expected_quality, turning
from routingsim.policies.policy import Policy
from routingsim.policies.reads import reads
from routingsim.simulation.run_record import RunRecord

NEARLY_ALL = 0.99
"""Share of the tasks from which one agent, or one band, is said to get nearly all."""

_NAMED = 8  # agents that a remark names


def other_agents(corpus: Corpus | None, pool: AgentPool) -> str:
    """What to do if a corpus has outcomes, but of no agent of the pool; "" otherwise."""
    if corpus is None or not corpus.agents or {a.recorded_as for a in pool} & set(corpus.agents):
        return ""
    return (
        f"the corpus has outcomes of {_named(corpus.agents)}, and of none of the agents "
        f"{_named(pool.ids)}: the figures are of other agents than the corpus's; give those agents "
        "(--agents FILE, or --agents log, which fits them to a log), or name each one's record "
        f'in the agents\' file (outcome = "{corpus.agents[0]}")'
    )


def assumed_pool(corpus: Corpus | None, pool: AgentPool) -> str:
    """A note that the agents come with routingsim and the tasks do not; "" otherwise."""
    if corpus is None or _published(corpus):
        return ""
    for name, agents in _bundled_pools().items():
        if {_figures(agent) for agent in pool} <= agents:
            return (
                f"the agents are of the pool {name!r} that comes with routingsim, and the tasks "
                "are your own: prices, speeds and slots are assumptions, not those of your agents; "
                "describe yours in a file (--agents FILE), or fit them to a log (fit_pool)"
            )
    return ""


def of_record(
    corpus: Corpus | None, pool: AgentPool, *, own_times: bool
) -> tuple[list[str], list[str]]:
    """What is known of a corpus: what touches the figures of a run, and the rest.

    The first has what a backtest of its log found, and what its check-up did.

    Parameters
    ----------
    corpus, pool
        What is run.
    own_times : bool
        Whether tasks arrive at the corpus's own times.
    """
    if corpus is None:
        return [], []
    used: set[Subject] = {"records", "cost"}
    used |= {"times"} if own_times else set()
    used |= {"latency"} if any(agent.service == "recorded" for agent in pool) else set()
    paid = corpus.outcome("cost", [agent.recorded_as for agent in pool])
    by_tokens = any(agent.service == "tokens" for agent in pool) or bool(np.isnan(paid).any())
    used |= {"tokens"} if by_tokens else set()
    found = corpus.check(pool)
    backtest = backtested.said_of(corpus.sha256)
    return (
        [backtest] * bool(backtest)
        + [str(each) for each in found.findings if each.subject in used],
        [str(each) for each in found.findings if each.subject not in used],
    )


def whose_agents(corpus: Corpus | None, pool: AgentPool) -> str:
    """What is said before any figure, if the agents are not known to be the corpus's."""
    return other_agents(corpus, pool) or assumed_pool(corpus, pool)


@cache
def _bundled_pools() -> dict[str, frozenset[tuple[str, float, float]]]:
    return {name: frozenset(map(_figures, load_agents(name))) for name in builtin_pools()}


def _figures(agent: Agent) -> tuple[str, float, float]:
    return agent.id, agent.cost, agent.latency


def _published(corpus: Corpus) -> bool:
    """Whether the tasks come with routingsim or are a public corpus."""
    bundled = (f"data/{file}" for file, _, _ in BUNDLED.values())
    known = (*bundled, *(each.url for each in DATASETS.values()))
    mmlu = f"https://github.com/{DATASETS['mmlu'].repository}/"
    return all(part in known or part.startswith(mmlu) for part in corpus.source.split(" + "))


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def no_texts(corpus: Corpus | None, policy: Policy) -> str:
    """What a policy does where there are no texts; "" if it reads none, or there are some."""
    if corpus is not None and corpus.has_texts:
        return ""
    read = reads(policy)
    lengths = corpus is not None and bool(corpus.tasks["prompt_tokens"].notna().all())
    features = policy.featurize is not None and not policy.replay_only
    by_text = features or policy.predict is not None
    named = corpus is not None and bool(corpus.category_codes)
    of_text = {
        "lengths of prompts": "prompt_tokens" in read and not lengths,
        "features": features and not named,
        "predicted qualities": policy.predict is not None and not named,
        "D_var, which is 0 for every task": "d_var" in read
        and not (corpus is not None and corpus.has_scores),
    }
    found = [name for name, is_read in of_text.items() if is_read]
    if not found:
        if not by_text:
            return ""
        return f"{policy.name} goes by the tasks' categories alone: there are no texts"
    listed = " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))
    return (
        f"{policy.name} goes by texts, and there are none "
        f"({'in this corpus' if corpus is not None else 'without a corpus'}): it reads "
        f"{listed}; give a corpus with texts, or a policy that reads none"
    )


def one_for_all(
    policy: Policy,
    pool: AgentPool,
    d_var: NDArray[np.float64],
    sent: NDArray[np.integer],
    met: NDArray[np.integer] | None = None,
) -> str:
    """A note that a policy by D_var sends nearly all tasks the same way; "" if it does not.

    Parameters
    ----------
    policy, pool
        What was run.
    d_var : ndarray, shape (records,)
        D_var of each record of the corpus.
    sent : ndarray of int, shape (agents,)
        How many tasks went to each agent.
    met : ndarray of int, shape (records,), optional
        How many tasks each record was; by default all alike.
    """
    tasks = int(sent.sum())
    met = np.ones(d_var.size, int) if met is None else met
    if len(pool) < 2 or tasks < 2 or not d_var[met > 0].any():
        return ""
    bounds, bands = _bounds(policy), policy.parameters.get("bands")
    counts = np.bincount(np.searchsorted(bounds, d_var, side="right"), met)
    alike = counts.max() / met.sum()
    if max(alike * bool(bounds), sent.max() / tasks) < NEARLY_ALL or "d_var" not in reads(policy):
        return ""
    if bounds and alike >= NEARLY_ALL:
        said = f"finds {_share(alike)} of the tasks in one band"
        if isinstance(bands, Mapping):
            name, agents = list(bands.items())[int(counts.argmax())]
            to = agents[0] if len(agents) == 1 else f"its band {name} ({_named(agents)})"
            said = f"sends {_share(alike)} of the tasks to {to}"
    else:
        said = f"sends {_share(sent.max() / tasks)} of the tasks to {pool.ids[int(sent.argmax())]}"
    low, median, high = np.quantile(np.repeat(d_var, met), [0.05, 0.5, 0.95])
    said = (
        f"{policy.name} {said}: D_var of these texts is {low:.3f} at its 5 %, {median:.3f} at its "
        f"50 % and {high:.3f} at its 95 % quantile"
    )
    if not bounds:
        return said
    said += f", and the bounds are {' and '.join(f'{bound:.3g}' for bound in bounds)}"
    if policy.fitted_on or alike < NEARLY_ALL:
        return said
    remedy = "threshold:calibrated" if bands else "bounds=calibrated"
    return f"{said}; {remedy} sets them by the corpus"


def _bounds(policy: Policy) -> list[float]:
    """The bounds of a policy between bands of D_var; none if it has none."""
    known = policy.parameters
    if {"low", "medium", "bands"} <= set(known):
        return [float(known["low"]), float(known["medium"])]
    bounds = known.get("bounds", ())
    try:
        return [float(each) for each in (bounds.split("/") if isinstance(bounds, str) else bounds)]
    except (TypeError, ValueError):  # another policy's word for something else
        return []


def _share(share: float) -> str:
    return "all" if share == 1 else f"{100 * share:.1f} %"


def repeated_prompts(corpus: Corpus | None) -> str:
    """A note that a corpus asks few prompts often; "" where nine tasks in ten differ.

    Intervals and tests count prompts then, and not tasks.
    """
    if corpus is None or not corpus.has_texts:
        return ""
    count = int(prompts(corpus).max()) + 1
    if count > 0.9 * len(corpus):
        return ""
    return (
        f"the {len(corpus):,} tasks are {count:,} prompts, as texts that are the same or alike "
        f"count as one: each is met {_times(len(corpus) / count)} times on average, and tests of "
        "what a policy makes of the text count prompts, not tasks"
    )


def met_before(policy: Policy, corpus: Corpus | None, tasks: int, fresh: float = math.nan) -> str:
    """A note that a policy which learns from texts while it runs meets them again; "" if not.

    Parameters
    ----------
    policy, corpus
        What is run.
    tasks : int
        Tasks of a run.
    fresh : float
        Mean recorded quality of the agents chosen for prompts that were new to the run;
        NaN where it is not known.
    """
    if corpus is None or not (policy.learns and policy.featurize) or not corpus.has_texts:
        return ""
    count = int(prompts(corpus).max()) + 1
    times = tasks / count
    if times < 1.1:
        return ""
    return (
        f"{policy.name} learns while it runs, and meets each of {count:,} prompts {_times(times)} "
        "times on average: it has seen most of them before, so its quality is that on prompts that "
        "come again as often; on new prompts it may gain nothing"
        f"{'' if math.isnan(fresh) else f' (on those new to the run it is {fresh:.3f})'}"
    )


def judge_assumed(policy: Policy, pool: AgentPool, quality: NDArray[np.float64]) -> tuple[str, ...]:
    """Which judge a cascade is taken to have, and at which error of it the answer turns.

    Parameters
    ----------
    policy, pool
        What is run; () for a policy without a judge.
    quality : ndarray, shape (records, agents)
        Recorded qualities, NaN where unknown.
    """
    judge = policy.judge
    if judge is None:
        return ()
    price = f"costs USD {judge.cost:g}" if judge.cost else "is free"
    time = f"takes {judge.seconds:g} s" if judge.seconds else "takes no time"
    said = (
        f"{policy.name}: its judge is assumed, not measured: it knows the recorded quality (good "
        f"enough from {judge.bar:g}), errs in {100 * judge.error:g} % of its verdicts, "
        f"{price} and {time}; set error, cost and seconds to those of your own judge"
    )
    line = line_of(policy)
    known = ~np.isnan(quality).any(axis=1)
    if not known.any():
        accepted = "where no quality is recorded it accepts the answer"
        return (f"{said}; {accepted}",)
    if line is None:
        return (said,)
    tried, alone = quality[np.ix_(known, line)], quality[known].mean(axis=0)
    best = int(alone.argmax())
    grid = np.linspace(0.0, max(ERRORS), 51)
    gains = [expected_quality(tried, judge, e).mean() - alone[best] for e in grid.tolist()]
    now = expected_quality(tried, judge, judge.error).mean()
    found = turning(grid, np.array(gains))
    turn = f"is no longer above that from a judge's error of {100 * found:.0f} % on"
    if np.isnan(found):
        turn = "is not above that even with a perfect judge"
    elif np.isinf(found):
        turn = f"stays above that up to a judge's error of {100 * max(ERRORS):g} %"
    return (
        said,
        f"{policy.name}: on the recorded answers its expected quality is {now:.3f}, and that of "
        f"the best single agent ({pool.ids[best]}) {alone[best]:.3f}; it {turn} "
        "(evaluation.judge_errors compares with any policy, and costs)",
    )


def _times(mean: float) -> str:
    """How often, as people read it: ``1.4``, ``40``, ``1,000``."""
    return f"{mean:,.0f}" if mean >= 10 else f"{mean:.2g}"


def unknown_failures(run: RunRecord) -> str:
    """On how many of a run's calls nothing says whether they fail; "" if on none, or on all."""
    table, row, agent = run.work.failed, run.work.row, run.log.agent
    if not table.size:
        return ""
    never = run.pool.column("error_rate")[agent] == 0
    share = float((np.isnan(table[row, agent]) & never).mean())
    if not share:
        return ""
    return (
        f"whether a call fails is not recorded for {share:.0%} of {run.policy.name}'s calls: "
        "they are taken not to fail, so counts of failures are too low (give the agents an "
        "error_rate, as fit_pool does)"
    )


def modelled(run: RunRecord) -> str:
    """On how many of a run's calls the cost is not recorded; "" if on none."""
    share = 1 - run.share_recorded
    if not share:
        return ""
    calls = "calls" if share == 1 else f"{run.policy.name}'s calls"
    if run.cost_basis.kind == "log":
        return f"costs are not recorded for {share:.0%} of {calls}: estimates stand in their place"
    return f"costs are modelled (price x tokens) where none is recorded: {share:.0%} of {calls}"
