"""What D_var, length, labels and learned predictors are worth, and the utility policy under load.

Prints the tables of ``docs/findings.md``, sections a and d, from the public corpora that
are at hand (``ROUTINGSIM_DATA`` names their folder; a missing one is named and left
out). Every prediction is cross-validated: five folds, texts that are alike in the
same fold, in-domain. Run as ``python benchmarks/predictors.py [gsm8k …]``.

With ``--onto``, as ``python benchmarks/predictors.py paretobandit-val --onto
paretobandit-test``, policies that may cost 40 % of the best single agent (``cost_share``)
are fitted on the first corpus alone and measured on the other. ``--onto half`` and
``--onto fifth`` hold back parts of the corpus itself, in turn and at several seeds, texts
that are alike in the same part.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.agents import AgentPool, load_agents
from routingsim.corpora.catalogue import DATASETS
from routingsim.corpora.corpus import Corpus, prompt_tokens
from routingsim.corpora.datasets import data_folder, list_corpora, load_corpus
from routingsim.errors import CorpusError, RoutingSimError
from routingsim.evaluation import (
    aiq,
    apgr,
    bootstrap,
    paired_t,
    routing_curve,
    text_use,
    timed_replay,
    versus,
    zero_router,
)
from routingsim.evaluation.intervals import paired_bootstrap
from routingsim.policies import make_policy
from routingsim.policies.builtin_predictors import PREDICTORS
from routingsim.policies.folds import folds
from routingsim.scoring.dvar import score_column
from routingsim.simulation.arrivals import Poisson
from routingsim.simulation.billing import cost_table
from routingsim.simulation.replay import replay
from routingsim.simulation.statistics import Interval

Array = NDArray[np.float64]

POOLS = {
    "gsm8k": "routellm",
    "mmlu": "routellm",
    "paretobandit-val": "paretobandit",
    "paretobandit-test": "paretobandit",
    "dcrouter-train": "dcrouter",
    "dcrouter-test": "dcrouter",
}
LABELLED = ("dcrouter-train", "dcrouter-test")  # with a label that was made from the outcomes
PAIRS = {
    "paretobandit": ("llama-3.1-8b", "gemini-2.5-pro"),
    "dcrouter": ("mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct"),
}
SEED = 0
SHARE = 0.4  # half the cost is the goal; a fifth is left for what varies
SEEDS = range(5)
PARTS = {"half": (2, range(10)), "fifth": (5, range(2))}  # how many, and seeds
NOT_IN_PARTS = ("logistic",)  # of paretobandit-val, an agent may be right on all it learns from
WEIGHTS = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 61), [np.inf]])
RHO, OBJECTIVE, REPLICATIONS, TASKS = 0.9, 10.0, 20, 5_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every table for the corpora wanted, or for all at hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", nargs="*", help=f"of {', '.join(POOLS)}; all at hand by default")
    parser.add_argument("--onto", choices=[*POOLS, *PARTS], help="fit on CORPUS, measure on this")
    options = parser.parse_args(arguments)
    strangers = [name for name in options.corpus if name not in POOLS]
    if strangers or (options.onto and len(options.corpus) != 1):
        wanted = "one corpus" if options.onto else "corpora"
        parser.error(f"{wanted} of {', '.join(POOLS)} wanted, found {options.corpus}")
    try:
        if options.onto:
            fit_and_measure(options.corpus[0], options.onto)
            return
        listed = list_corpora()
        present = dict(zip(listed["name"], listed["present"], strict=True))
        for name in options.corpus or POOLS:
            if present[name]:
                study(name, load_corpus(name), load_agents(POOLS[name]))
            else:
                print(f"\n## {name}: not at hand, left out")
    except RoutingSimError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def fit_and_measure(name: str, onto: str) -> None:
    """Policies of a share of the cost, on texts that they were not fitted on."""
    learned, pool = load_corpus(name), load_agents(POOLS[name])
    if onto in PARTS:
        print(f"\n## {name}, measured on each {onto} in turn, fitted on the rest")
        print(in_parts(learned, pool, *PARTS[onto]).to_string())
        return
    asked = load_corpus(onto)
    print(f"\n## fitted on {len(learned):,} of {name}, measured on {len(asked):,} of {onto}")
    quality, cost = tables(asked, pool)
    best, every = int(quality.mean(axis=0).argmax()), np.arange(len(quality))
    chosen = {kind: choices(kind, learned, asked, pool) for kind in PREDICTORS}
    reached = {kind: quality[every, agent] for kind, agent in chosen.items()}
    compared = versus(quality[:, best], reached, test=paired_bootstrap)
    rows: dict[str, dict[str, float | str]] = {
        f"{pool.ids[best]} alone": {"quality": quality[:, best].mean(), "cost share": 1.0}
    }
    for kind, agent in chosen.items():
        rows[kind] = {
            "quality": reached[kind].mean(),
            "cost share": cost[every, agent].mean() / cost[:, best].mean(),
            "ahead": shown(compared[kind].interval, "+.4f"),
            "verdict (Holm)": compared[kind].verdict,
        }
    print(pd.DataFrame.from_dict(rows, orient="index").round(4).to_string())


def in_parts(corpus: Corpus, pool: AgentPool, parts: int, seeds: Sequence[int]) -> pd.DataFrame:
    """Each part measured in turn: over all tasks of a seed, and part by part."""
    quality, cost = tables(corpus, pool)
    best, every = int(quality.mean(axis=0).argmax()), np.arange(len(quality))
    rows = {}
    for kind in (each for each in PREDICTORS if each not in NOT_IN_PARTS):
        whole, ahead, shares = [], [], []
        for seed in seeds:
            part = folds(corpus.tasks["text"].tolist(), parts, seed=seed)
            chosen = np.empty(len(corpus), dtype=np.intp)
            for held in range(parts):
                asked = np.flatnonzero(part == held)
                learned = corpus.select(np.flatnonzero(part != held))
                mine = chosen[asked] = choices(kind, learned, corpus.select(asked), pool)
                apart = paired_bootstrap(quality[asked, mine], quality[asked, best])
                ahead.append(apart.interval)
                shares.append(cost[asked, mine].mean() / cost[asked, best].mean())
            whole.append(paired_bootstrap(quality[every, chosen], quality[:, best]).interval)
        rows[kind] = {
            "ahead": f"{np.mean([w.mean for w in whole]):+.4f}",
            "± of a seed": f"{np.mean([w.half_width for w in whole]):.4f}",
            "parts within": f"{sum(a.high >= 0 for a in ahead)} of {len(ahead)}",
            "cost share": f"{np.mean(shares):.2f} ({min(shares):.2f}-{max(shares):.2f})",
            "at most half": f"{sum(share <= 0.5 for share in shares)} of {len(shares)}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def choices(kind: str, learned: Corpus, asked: Corpus, pool: AgentPool) -> NDArray[np.intp]:
    """Agents of the texts asked, by a policy that was made with the learned ones alone."""
    policy = make_policy(pool, f"{kind}:cost_share={SHARE:g}", learned)
    assert policy.predict is not None
    told = policy.predict(asked.tasks["text"].tolist(), asked.tasks["category"].tolist())
    # As its kernel: USD of a call, and what each token of the prompt adds.
    call, token = policy.memory[3:].reshape(3, len(pool))[1:]
    expected = call + token * prompt_tokens(asked)[:, np.newaxis]
    return (told - policy.parameters["w_cost"] * expected).argmax(axis=1)


def tables(corpus: Corpus, pool: AgentPool) -> tuple[Array, Array]:
    """Quality, and cost of a call in USD, shape (tasks, agents) each."""
    quality = corpus.outcome("quality", [agent.recorded_as for agent in pool])
    if np.isnan(quality).any():
        raise CorpusError(f"{corpus.name}: not all agents of the pool have a quality of each task")
    return quality, cost_table(corpus, pool)[0]


def study(name: str, corpus: Corpus, pool: AgentPool) -> None:
    """All tables of one corpus."""
    names = [agent.recorded_as for agent in pool]
    quality = corpus.outcome("quality", names)
    cost, modelled = cost_table(corpus, pool)
    made = {kind: make() for kind, make in PREDICTORS.items()}
    predicted = {k: each.cross_predict(corpus, names, seed=SEED) for k, each in made.items()}
    print(f"\n## {name}: {len(corpus):,} tasks, {len(pool)} agents")

    weak, strong = pair(name, pool, quality)
    low, high = quality[:, weak], quality[:, strong]
    print(f"\nAPGR, {pool.ids[weak]} ({low.mean():.4f}) to {pool.ids[strong]} ({high.mean():.4f})")
    scores = untrained(corpus)
    if corpus.category_codes:
        scores["label"] = by_label(corpus, high - low)
    scores |= {kind: each[:, strong] - each[:, weak] for kind, each in predicted.items()}
    print(apgr_table(scores, low, high).to_string())
    again = [made["ridge"].cross_predict(corpus, names, seed=seed) for seed in SEEDS]
    values = [apgr(routing_curve(p[:, strong] - p[:, weak], low, high)) for p in again]
    print(f"ridge over fold seeds {SEEDS}: {np.round(values, 4).tolist()}")

    if name in LABELLED:
        print("\nWhat cluster_id knows: mean quality over the agents, and variance explained")
        print(label_table(corpus, names, quality, predicted["ridge"]).to_string())

    if len(pool) > 2:
        said = " (costs modelled)" if modelled else ""
        print(f"\nAIQ from the cheapest agent's cost to the best single agent's{said}")
        print(aiq_table(predicted, quality, cost).to_string())

    print("\nHighest predicted quality less w_cost x mean cost, against the best single agent")
    print(choice_table(predicted, quality, cost).to_string())
    if POOLS[name] in PAIRS:
        print(
            f"\nGoodput (quality >= 0.5 within {OBJECTIVE:g} s, per s) at rho = {RHO}, "
            f"{REPLICATIONS} replications of {TASKS:,} tasks, simulated service times"
        )
        print(goodput_table(corpus, pool).to_string())


def shown(interval: Interval, digits: str = ".4f") -> str:
    """``0.6535 ± 0.0310``."""
    return f"{interval.mean:{digits}} ± {interval.half_width:{digits.lstrip('+')}}"


def pair(name: str, pool: AgentPool, quality: Array) -> tuple[int, int]:
    """The weak and the strong agent: those named, or the worse and the better of two."""
    if POOLS[name] in PAIRS:
        weak, strong = (pool.index(agent) for agent in PAIRS[POOLS[name]])
        return weak, strong
    order = quality.mean(axis=0).argsort()
    return int(order[0]), int(order[-1])


def untrained(corpus: Corpus) -> dict[str, Array]:
    """Scores that learn nothing."""
    return {
        "length": corpus.tasks["text"].str.len().to_numpy(dtype=np.float64),
        "d_var": score_column(corpus.texts)["d_var"].to_numpy(),
    }


def by_label(corpus: Corpus, advantage: Array) -> Array:
    """The strong agent's mean advantage in the task's category, from the other folds."""
    fold = folds(corpus.tasks["text"].tolist(), seed=SEED)
    frame = pd.DataFrame({"category": corpus.tasks["category"], "advantage": advantage})
    found = np.empty(len(frame))
    for held in range(fold.max() + 1):
        train = frame[fold != held]
        means = train.groupby("category")["advantage"].mean()
        mine = frame.loc[fold == held, "category"].map(means)
        found[fold == held] = mine.fillna(train["advantage"].mean())
    return found


def label_table(corpus: Corpus, names: list[str], quality: Array, without: Array) -> pd.DataFrame:
    """Range of a task's mean quality in each cluster, and R² of ridge with and without it.

    The reader leaves ``cluster_id`` out; here it is put back as a category.
    """
    records = pd.read_json(data_folder() / DATASETS[corpus.name].file)
    frame = corpus.to_frame().assign(category=records["cluster_id"].astype(str).to_numpy())
    knowing = PREDICTORS["ridge"]().cross_predict(Corpus.from_frame(frame), names, seed=SEED)
    mean = pd.Series(quality.mean(axis=1)).groupby(frame["category"].to_numpy())
    table = pd.DataFrame({"count": mean.count(), "min": mean.min(), "max": mean.max()})
    spread = ((quality - quality.mean(axis=0)) ** 2).sum()
    for said, guess in (("R² without it", without), ("R² with it", knowing)):
        table.loc[said, "max"] = 1 - ((quality - guess) ** 2).sum() / spread
    return table.round(3)


def apgr_table(scores: dict[str, Array], low: Array, high: Array) -> pd.DataFrame:
    """APGR with its interval, and how far it is ahead of length and of D_var."""
    found: dict[str, list[float]] = {name: [] for name in scores}  # of all tasks, and resamples
    rows = {}
    for name, score in scores.items():

        def area(rows: NDArray[np.intp], score: Array = score, name: str = name) -> float:
            found[name].append(apgr(routing_curve(score[rows], low[rows], high[rows])))
            return found[name][-1]

        rows[name] = {"apgr": shown(bootstrap(area, len(low)))}
    for name, row in rows.items():
        for other in ("length", "d_var"):  # the same seed, so the same resamples
            apart = iter(np.subtract(found[name], found[other]).tolist())
            ahead = bootstrap(lambda _, apart=apart: next(apart), len(low))
            row[f"ahead of {other}"] = shown(ahead, "+.4f")
    return pd.DataFrame.from_dict(rows, orient="index")


def aiq_table(predicted: dict[str, Array], quality: Array, cost: Array) -> pd.DataFrame:
    """AIQ of a sweep of the cost weight, against the hull of the single agents."""
    best = int(quality.mean(axis=0).argmax())

    def settings(guess: Array) -> tuple[Array, Array]:
        """Quality and cost of each task at each weight, shape (tasks, weights) each."""
        mean = cost.mean(axis=0)
        worth = [
            guess - w * mean if np.isfinite(w) else -np.tile(mean, (len(guess), 1)) for w in WEIGHTS
        ]
        chosen = np.array([each.argmax(axis=1) for each in worth]).T
        return np.take_along_axis(quality, chosen, 1), np.take_along_axis(cost, chosen, 1)

    def area(reached: Array, paid: Array, rows: NDArray[np.intp]) -> float:
        mean = cost[rows].mean(axis=0)
        return aiq(
            paid[rows].mean(axis=0), reached[rows].mean(axis=0), c_min=mean.min(), c_max=mean[best]
        )

    def single(rows: NDArray[np.intp]) -> float:
        hull = zero_router(quality[rows], cost[rows])
        return aiq(hull.cost, hull.quality, c_min=hull.cost[0], c_max=cost[rows, best].mean())

    size, table = len(quality), {"zero router": {"aiq": "", "ahead of the zero router": ""}}
    table["zero router"]["aiq"] = shown(bootstrap(single, size, resamples=499))
    for name, guess in predicted.items():
        reached, paid = settings(guess)
        found = bootstrap(lambda rows, r=reached, p=paid: area(r, p, rows), size, resamples=499)
        gain = bootstrap(
            lambda rows, r=reached, p=paid: area(r, p, rows) - single(rows), size, resamples=499
        )
        table[name] = {
            "aiq": shown(found),
            "ahead of the zero router": shown(gain, "+.4f"),
        }
    return pd.DataFrame.from_dict(table, orient="index")


def choice_table(predicted: dict[str, Array], quality: Array, cost: Array) -> pd.DataFrame:
    """Quality and cost of choices by prediction, against the best single agent (in-sample)."""
    best, every = int(quality.mean(axis=0).argmax()), np.arange(len(quality))
    chosen = {
        f"{kind}:w_cost={weight:g}" if weight else kind: (
            guess - weight * cost.mean(axis=0)
        ).argmax(axis=1)
        for weight in (0.0, 0.5, 1.0)
        for kind, guess in predicted.items()
    }
    reached = {name: quality[every, agent] for name, agent in chosen.items()}
    compared = versus(quality[:, best], reached, test=paired_bootstrap)
    rows = {"best single": {"quality": quality[:, best].mean(), "cost share": 1.0}}
    for name, agent in chosen.items():
        rows[name] = {
            "quality": reached[name].mean(),
            "cost share": cost[every, agent].mean() / cost[:, best].mean(),
            "ahead": shown(compared[name].interval, "+.4f"),
            "verdict (Holm)": compared[name].verdict,
            "p, same mix at random": text_use(quality, agent).p_value,
        }
    return pd.DataFrame.from_dict(rows, orient="index").round(4)


def goodput_table(corpus: Corpus, pool: AgentPool) -> pd.DataFrame:
    """Utility against every quality-only policy under common random numbers."""
    specs = ["utility", *PREDICTORS, *(f"{kind}:w_cost=1" for kind in PREDICTORS)]
    best = pool.ids[int(corpus.outcome("quality", [a.recorded_as for a in pool]).mean(0).argmax())]
    specs += [f"static:{best}", "threshold", "shortest-wait"]
    policies = {spec: make_policy(pool, spec, corpus) for spec in specs}
    arrivals = Poisson(RHO * pool.capacity)
    goodput: dict[str, list[float]] = {}
    quality: dict[str, list[float]] = {}
    for name, policy in policies.items():
        for seed in range(REPLICATIONS):
            run = replay(corpus, pool, policy, arrivals=arrivals, tasks=TASKS, seed=seed)
            goodput.setdefault(name, []).append(timed_replay(run, OBJECTIVE).goodput)
            quality.setdefault(name, []).append(run.overall["quality"])
    rows = {
        name: {
            "goodput": np.mean(values),
            "utility ahead by": shown(paired_t(goodput["utility"], values).interval, "+.3f"),
            "quality of all answers": np.mean(quality[name]),
        }
        for name, values in goodput.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").round(4)


if __name__ == "__main__":
    main()
