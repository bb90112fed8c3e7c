"""Bandits under a ceiling of the mean cost, on halves of a corpus that they did not learn on.

    ROUTINGSIM_DATA=FOLDER python benchmarks/budget.py [--corpus PATH] [--seeds 20] [POLICY ...]
    ROUTINGSIM_DATA=FOLDER python benchmarks/budget.py --bounds [--corpus PATH] [--seeds 20]

The protocol is that of ParetoBandit's experiment 1 (arXiv:2604.00136), with three agents: a
bandit learns on one half of the corpus, met twice in random orders, and goes on learning on
the other half, on which it is measured; each answer is there before the next task. The seeds
draw the halves and the orders. The budgets are the paper's, in USD a task. "Zero router" is a
coin flipped between the best two agents at the cost that the bandit had; it knows the agents'
means on the half that is measured. Intervals are 95 %, t over seeds, which share their tasks.
With dcrouter-train a run is the whole corpus once, learning included.

``--bounds`` asks how far anyone could be ahead of the zero router on the same halves. Three
routers know more than a bandit: one learned from *every* agent's answer on the half learned
(the blend of ridge and neighbours, fitted once); one knows each agent's mean on the tasks
measured, by category; one knows every answer. All three are told what each call will cost,
and take the price at which they spend the budget on the tasks measured.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim.agents import AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import RoutingSimError
from routingsim.evaluation import zero_router
from routingsim.evaluation.intervals import t_interval
from routingsim.policies.builtin_predictors import PREDICTORS
from routingsim.simulation.arrivals import Deterministic
from routingsim.simulation.billing import cost_table
from routingsim.simulation.replay import replay
from routingsim.simulation.statistics import Interval

BUDGETS = {
    "paretobandit": (8.3e-5, 2.3e-4, 6.6e-4, 1.9e-3, 5.3e-3, 1.5e-2),
    "dcrouter": (5e-5, 7.5e-5, 1e-4, 2e-4, 3e-4),
}
LEFT_OUT = "gemini-2.5-flash"  # the paper's three agents are the others
SLOW = 0.001  # tasks a second, so that feedback is at once


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table a policy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy", nargs="*", default=["linucb"], help="linucb by default")
    parser.add_argument("--corpus", default="paretobandit-val", help="a name or a path")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--bounds", action="store_true", help="what those reach who know more")
    options = parser.parse_args(arguments)
    kind = "dcrouter" if options.corpus.startswith("dcrouter") else "paretobandit"
    try:
        corpus = load_corpus(options.corpus)
        pool = AgentPool(tuple(each for each in load_agents(kind) if each.id != LEFT_OUT))
        if options.bounds:
            print(bounds(corpus, pool, BUDGETS[kind], options.seeds).to_string())
            return
        for policy in options.policy:
            print(f"\n{policy} on {options.corpus}, {options.seeds} seeds")
            print(table(corpus, pool, policy, BUDGETS[kind], options.seeds, kind).to_string())
    except RoutingSimError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def table(
    corpus: Corpus, pool: AgentPool, policy: str, budgets: Sequence[float], seeds: int, kind: str
) -> pd.DataFrame:
    """Quality and use of each budget where it is measured, and over the whole run."""
    quality = corpus.outcome("quality", [each.recorded_as for each in pool])
    cost = cost_table(corpus, pool)[0]
    frame, rows = corpus.to_frame(), {}
    for budget in budgets:
        found = []
        for seed in range(seeds):
            order, measured = tasks(len(corpus), np.random.default_rng(seed), kind)
            met = frame.iloc[order].assign(id=[f"t{k}" for k in range(len(order))])
            comma = "," if ":" in policy else ":"
            run = replay(
                Corpus.from_frame(met),
                pool,
                f"{policy}{comma}budget={budget}",
                arrivals=Deterministic(SLOW),
                seed=seed,
            )
            held = order[measured]
            paid, reached = run.log.cost[measured].mean(), run.quality[measured].mean()
            coin = zero_router(quality[held], cost[held])
            found.append(
                {
                    "quality": reached,
                    "ahead of the zero router": reached - float(coin.at(paid)),
                    "use": paid / budget,
                    "use, whole run": run.log.cost.mean() / budget,
                }
            )
        told = pd.DataFrame(found)
        rows[f"{budget:g}"] = {
            "quality": shown(t_interval(told["quality"].to_numpy())),
            "ahead of the zero router": shown(
                t_interval(told["ahead of the zero router"].to_numpy()), "+.4f"
            ),
            "use": f"{told['use'].mean():.3f} ({told['use'].min():.3f}-{told['use'].max():.3f})",
            "use, whole run": f"{told['use, whole run'].mean():.3f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def bounds(corpus: Corpus, pool: AgentPool, budgets: Sequence[float], seeds: int) -> pd.DataFrame:
    """How far ahead of the zero router those are who know more than a bandit."""
    names = [each.recorded_as for each in pool]
    quality, cost = corpus.outcome("quality", names), cost_table(corpus, pool)[0]
    label = np.unique(corpus.tasks["category"].to_numpy(str), return_inverse=True)[1]
    found: dict[str, list[list[float]]] = {}
    for seed in range(seeds):
        order, measured = tasks(len(corpus), np.random.default_rng(seed), "paretobandit")
        held, learned = np.sort(order[measured]), np.unique(order[: measured.start])
        asked, coin = corpus.select(held), zero_router(quality[held], cost[held])
        fitted = PREDICTORS["blend"]().fit(corpus.select(learned), names)
        by_label = np.array([quality[held][label[held] == k].mean(axis=0) for k in label[held]])
        known = {
            "every answer of the half learned": fitted.predict(
                asked.tasks["text"].tolist(), asked.tasks["category"].tolist()
            ),
            "means by category of the tasks measured": by_label,
            "every answer of the tasks measured": quality[held],
        }
        for name, worth in known.items():
            ahead = [
                spent(worth, quality[held], cost[held], budget) - float(coin.at(budget))
                for budget in budgets
            ]
            found.setdefault(name, []).append(ahead)
    rows = {
        name: [shown(t_interval(each), "+.4f") for each in np.array(ahead).T]
        for name, ahead in found.items()
    }
    return pd.DataFrame(rows, index=[f"{budget:g}" for budget in budgets])


def spent(
    worth: NDArray[np.float64],
    quality: NDArray[np.float64],
    cost: NDArray[np.float64],
    budget: float,
) -> float:
    """Quality at the budget: mixed from the two prices between which it lies."""
    every, points = np.arange(len(cost)), []
    for price in (0.0, *np.geomspace(1e-2, 1e6, 161)):
        mine = (worth - price * cost).argmax(axis=1)
        points.append((cost[every, mine].mean(), quality[every, mine].mean()))
    paid, reached = np.array(points)[::-1].T
    return float(np.interp(budget, paid, reached))


def tasks(size: int, rng: np.random.Generator, kind: str) -> tuple[NDArray[np.intp], slice]:
    """Which tasks are met, in their order, and which part of the run is measured."""
    drawn = rng.permutation(size)
    if kind == "dcrouter":
        return drawn, slice(None)
    learned, held = np.split(drawn, [size // 2])
    order = np.concatenate([rng.permutation(each) for each in (learned, learned, held)])
    return order, slice(2 * len(learned), None)


def shown(interval: Interval, digits: str = ".4f") -> str:
    """``0.8131 ± 0.0010``."""
    return f"{interval.mean:{digits}} ± {interval.half_width:{digits.lstrip('+')}}"


if __name__ == "__main__":
    main()
