"""``log.backtest()``: would the simulator have predicted the last part of a log?

The agents are fitted to the first part of the time. The rest is replayed as the log has it: the
same calls at the same times, to the same agents, with the recorded lengths of prompts and
answers. Latency, time to the first token, cost and failures are predicted, and compared with what
was recorded. Each replication has draws of its own and agents fitted to another sample of the
first part, drawn in blocks (:mod:`routingsim.simulation.log_blocks`), so that intervals allow for
chance and for the error of the fit, and for nothing else: where the log has slow hours, a queue at
the provider or another law of service times, recorded figures lie outside, and the result says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from routingsim.agents import Agent, AgentPool
from routingsim.corpora import backtested
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.statuses import OK
from routingsim.corpora.rows import counted
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.backtest_causes import causes
from routingsim.evaluation.backtest_figures import Calls, coverage, predictions
from routingsim.evaluation.backtest_result import Backtest, Load
from routingsim.evaluation.log_fit import FEWEST, fitted, usable
from routingsim.policies.assignment import assign
from routingsim.policies.kernel import OK as ANSWERED
from routingsim.policies.policy import sentence
from routingsim.progress import Progress, reporting
from routingsim.simulation.arrivals import CorpusTimes
from routingsim.simulation.arrivals.checks import check_seed, is_whole
from routingsim.simulation.log_blocks import another_log
from routingsim.simulation.replications import replication_seeds
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import prepare
from routingsim.synonyms import argument_hints

REPLICATIONS = 20
"""Replays, each with a fit of its own."""

WARM_UP = 5_000
"""Calls before the held-out ones that are replayed too, where latencies include waits."""

_BINS = 60  # of the load over time
Floats = NDArray[np.float64]
_made: WeakKeyDictionary[CallLog, dict[str, Backtest]] = WeakKeyDictionary()  # by what was asked


@argument_hints
def backtest(
    log: CallLog,
    *,
    at: float | str | pd.Timestamp = 0.7,
    replications: int = REPLICATIONS,
    seed: int = 0,
    progress: Progress = True,
    **fields: Any,
) -> Backtest:
    """Fit a log's agents to its first part, and compare a replay of the rest with the record.

    Asked again of the same log, as each what-if does, it returns what it found before.

    Parameters
    ----------
    log : CallLog
        With the time, the agent and the latency of each call.
    at : float, str or Timestamp
        Where the first part ends, as in :meth:`.CallLog.split`.
    replications : int
        Replays behind each interval, three or more.
    seed : int
        Of all draws.
    progress : bool or callable
        A bar, at a terminal and in notebooks; or ``progress(done, all)``, called after each replay.
    **fields
        As for :meth:`.CallLog.fit_pool`: what a log does not show, such as ``concurrency=16``.

    Raises
    ------
    CorpusError
        If the log lacks times, agents or latencies, or one part has too few calls.
    SimulationError, AgentError
        If a setting is out of its range.
    """
    check_seed(seed)
    if not is_whole(replications) or replications < 3:
        raise SimulationError(f"replications={replications!r}: three or more are needed")
    asked, known = repr((at, replications, seed, sorted(fields.items()))), _made.setdefault(log, {})
    if asked not in known:
        known[asked] = _backtest(log, at, replications, seed, progress, fields)
    backtested.remember(log.sha256, known[asked].sentence)
    return known[asked]


def _backtest(
    log: CallLog,
    at: float | str | pd.Timestamp,
    replications: int,
    seed: int,
    progress: Progress,
    fields: Mapping[str, Any],
) -> Backtest:
    calls, notes = usable(log)
    first, rest = calls.split(at=at)
    pool, unfitted, served = fitted(first, **fields)
    names = np.array([agent.recorded_as for agent in pool], dtype=object)
    known = np.isin(rest.names("agent"), names)
    if lost := int((~known).sum()):
        others = sorted({*rest.names("agent")[~known].tolist()})
        notes.append(
            f"{counted(lost, 'held-out call')} of {', '.join(others[:6])}: fewer than {FEWEST} "
            "answered calls to fit, left out"
        )
    if not known.any():
        raise CorpusError(f"{log.name}: no agent of the held-out part is in the first part")
    rest = rest.select(known)
    before = _before(first, served, names)
    seeds = replication_seeds(seed, replications)
    shown = np.concatenate([before, len(first) + np.flatnonzero(known)])
    replayed = calls.take(shown)
    corpus = calls_as_tasks(replayed, seeds[0])
    position = {name: k for k, name in enumerate(names.tolist())}
    whole = np.array([position[name] for name in replayed.names("agent")], dtype=np.int64)
    late = slice(before.size, None)
    notes += [note for note in unfitted if note not in notes]

    policy = assign(corpus, whole, "logged", reason=sentence("As in the log"))
    arrived = served.numbers("arrived_at")
    timeless = replace(served, _calls=served.calls.assign(arrived_at=np.nan))
    played: list[dict[str, Floats]] = []
    # With small products, more threads are slower.
    with threadpool_limits(1), reporting(progress, "replay", "backtest") as tell:
        for one in seeds:
            drawn, _ = another_log(arrived, one)
            refitted = _with_fit(pool, timeless.take(drawn), one, fields)
            run = _played(prepare(corpus, refitted, policy).run(CorpusTimes(), seed=one))
            played.append({name: values[late] for name, values in run.items()})
            tell(len(played), len(seeds))
    arrivals = corpus.tasks["arrived_at"].to_numpy()
    found = Calls(pool.ids, whole[late], arrivals[late], _measured(rest, played))
    figures, covered = predictions(found), coverage(found)
    return Backtest(
        log.name,
        log.sha256,
        str(at),
        len(first),
        pool,
        replications,
        seed,
        figures=tuple(figures),
        coverage=tuple(covered),
        load=_load(found),
        answers=_answers(found),
        causes=tuple(causes(found, figures, covered)),
        notes=tuple(notes),
    )


def _before(first: CallLog, served: CallLog, names: NDArray[np.object_]) -> NDArray[np.intp]:
    """The last calls before the held-out ones, where calls wait: they may be waiting still."""
    waits = len(served) and np.nansum(served.numbers("latency")) < np.nansum(
        first.numbers("latency")[np.isin(first.names("agent"), served.agents)]
    )
    known = np.flatnonzero(np.isin(first.names("agent"), names))
    return known[-WARM_UP:] if waits else known[:0]


def calls_as_tasks(log: CallLog, seed: int = 0) -> Corpus:
    """Each call as a task of its own, without texts and outcomes, with its recorded tokens.

    A call without a length, as many that failed are, has that of a random answer of its agent.
    """
    tokens = log.numbers("output_tokens")
    told = tokens > 0
    tokens, draw, names = (
        np.where(told, tokens, np.nan),
        np.random.default_rng(seed),
        log.names("agent"),
    )
    for name in log.agents:
        mine = names == name
        known, lacking = mine & told & (log.statuses == OK), mine & ~told
        if known.any():
            tokens[lacking] = draw.choice(tokens[known], int(lacking.sum()))
    prompt, arrived = log.numbers("prompt_tokens"), log.numbers("arrived_at")
    columns = {
        "id": np.arange(len(log)).astype(str),
        "text": "",
        "arrived_at": arrived - arrived[0],
        "output_tokens": tokens,
        "prompt_tokens": np.where(prompt > 0, prompt, np.nan),
    }
    for name in ("cached_tokens", "cache_write_tokens"):
        cached = log.numbers(name)
        if (cached > 0).any():
            columns[name] = np.where(prompt > 0, cached, np.nan)
    return Corpus.from_frame(pd.DataFrame(columns), log.name)


@cache
def _fitted_fields() -> tuple[str, ...]:
    """The fields of an agent that a fit sets anew for each sample; its slots stay."""
    own = ("service", "latency", "latency_cv", "ttft", "tokens_per_second", "output_tokens")
    names = [each.name for each in msgspec.structs.fields(Agent)]
    prices = [name for name in names if name.startswith("price_") and "slot" not in name]
    return (*own, "prefill_tokens_per_second", "cost", "error_rate", *prices)


def _with_fit(pool: AgentPool, sample: CallLog, seed: int, fields: Mapping[str, Any]) -> AgentPool:
    """The pool with the services of another sample's fit; of an agent that it lacks, its own.

    The error rate is drawn from the posterior of the sample's count (Jeffreys' prior), as a
    sample without a failure does not say that there is none.
    """
    found = {agent.id: agent for agent in fitted(sample, **fields)[0]}
    draw, names = np.random.default_rng(seed), sample.names("agent")
    agents = []
    for agent in pool:
        other = found.get(agent.id, agent)
        changed = {name: getattr(other, name) for name in _fitted_fields() if name not in fields}
        count = int((names == agent.recorded_as).sum())
        if "error_rate" in changed:
            lost = other.error_rate * count
            rate = draw.beta(lost + 0.5, count - lost + 0.5)
            changed["error_rate"] = min(rate, 0.99) if (sample.statuses != OK).any() else 0.0
        agents.append(msgspec.structs.replace(agent, **changed))
    return AgentPool(tuple(agents))


def _played(result: ReplayResult) -> dict[str, Floats]:
    """What one replay says of each call."""
    answered = result.log.status == ANSWERED
    latency = np.where(answered, result.latency, np.nan)
    found = {"latency": latency, "cost": result.log.cost, "error rate": (~answered) * 1.0}
    if result.log.first.size:
        streamed = ~np.isnan(result.pool.column("ttft"))[result.log.agent]
        found["ttft"] = np.where(streamed & answered, result.first_token, np.nan)
    return found


def _measured(log: CallLog, played: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """The tables of :class:`.Calls`, of what is recorded."""
    answered = log.statuses == OK
    recorded = {name: np.where(answered, log.numbers(name), np.nan) for name in ("latency", "ttft")}
    recorded["cost"] = log.numbers("cost")
    if "status" in log.columns:
        recorded["error rate"] = (~answered) * 1.0
    streams = all("ttft" in each for each in played)  # in every sample's fit
    if streams:
        streamed = ~np.isnan(np.array([each["ttft"] for each in played])).all(axis=0)
        recorded["ttft"] = np.where(streamed, recorded["ttft"], np.nan)
    else:
        del recorded["ttft"]
    return {
        name: np.array([*(each[name] for each in played), values])
        for name, values in recorded.items()
        if not np.isnan(values).all()
    }


def _load(calls: Calls) -> Load:
    """Calls under way over time, as replayed and as recorded."""
    arrived, latency = calls.arrived, calls.measured["latency"]
    edges = np.linspace(arrived[0], arrived[-1], _BINS + 1)
    busy = np.array([_under_way(arrived, each, edges) for each in latency])
    low, high = np.quantile(busy[:-1], [0.025, 0.975], axis=0)
    return Load(edges[:-1], np.diff(edges), busy[-1], busy[:-1].mean(axis=0), low, high)


def _under_way(arrived: Floats, latency: Floats, edges: Floats) -> Floats:
    """Mean number of answered calls under way in each bin, by their seconds in it."""
    known = ~np.isnan(latency)
    ends = np.concatenate([arrived[known], arrived[known] + latency[known]])
    steps = np.repeat([1.0, -1.0], int(known.sum()))
    order = np.argsort(ends, kind="stable")
    ends, number = ends[order], np.cumsum(steps[order])
    # The integral of a step function at the edges.
    seconds = np.concatenate([[0.0], np.cumsum(number[:-1] * np.diff(ends))])
    return np.diff(np.interp(edges, ends, seconds)) / np.diff(edges)


def _answers(calls: Calls) -> dict[str, Floats]:
    """Latencies at 200 shares of the answers, recorded and predicted with its interval."""
    shares = np.linspace(0.0025, 0.9975, 200)
    table = calls.measured["latency"]
    found = np.array([np.quantile(each[~np.isnan(each)], shares) for each in table])
    low, high = np.quantile(found[:-1], [0.025, 0.975], axis=0)
    return {
        "share": shares,
        "recorded": found[-1],
        "predicted": found[:-1].mean(axis=0),
        "low": low,
        "high": high,
    }
