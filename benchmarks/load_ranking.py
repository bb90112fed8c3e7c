"""How the ranking of policies changes with load: do quality-only routers collapse?

    python benchmarks/load_ranking.py [--replications 20] [--corpus NAME …]

Each policy replays the corpus at rising shares of its pool's capacity. A figure is the
mean quality of a task where an answer later than the objective (three mean services of
the slowest agent) or missing counts 0, so it is at most the quality of the policy
without time limits. Beside it: half the width of its 95 % t-interval over the
replications, and its place, with the range of places over the replications. Policies
meet the same arrivals and tasks. Predictors are cross-fitted: no text is predicted by
a model that was fitted on it. Latencies are simulated with the shipped pools' service times.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

import routingsim as rs
from routingsim.evaluation.study import Study

POOLS = {"paretobandit-val": "paretobandit", "dcrouter-train": "dcrouter"}
LOADS = (0.03, 0.3, 0.6, 0.9, 1.1)
QUALITY_ONLY = ("knn", "ridge", "kmeans")
OTHERS = (
    "utility",
    "threshold:calibrated",
    "shortest-wait",
    "least-loaded",
    "power-of-two",
    "random",
)
METRIC = "quality_in_time"


def study_of(corpus: rs.Corpus, pool: rs.AgentPool, replications: int) -> Study:
    """The best single agent, quality-only predictors and policies that know the load."""
    quality = corpus.outcome("quality", [agent.recorded_as for agent in pool])
    best = pool.ids[int(np.nanmean(quality, axis=0).argmax())]
    return rs.compare(
        corpus,
        pool,
        ["utility", f"static:{best}", *QUALITY_ONLY, *OTHERS[1:]],
        loads=LOADS,
        replications=replications,
        controls=False,
        progress=lambda done, whole: print(f"\r{done}/{whole}", end="", file=sys.stderr),
    )


def places(study: Study, load: float) -> np.ndarray:
    """The place of each policy in each replication, shape (replications, policies)."""
    values = np.column_stack([study.values(name, load, METRIC) for name in study.names])
    return stats.rankdata(-values, axis=1)


def show(study: Study) -> None:
    """A row a policy, its figure and place at each load; then what changes with load."""
    rows = []
    for k, name in enumerate(study.names):
        row = {"policy": name, "quality": f"{study.interval(name, LOADS[0], 'quality').mean:.4f}"}
        for load in study.loads:
            found, taken = study.interval(name, load, METRIC), places(study, load)[:, k]
            mean = stats.rankdata([-study.values(n, load, METRIC).mean() for n in study.names])[k]
            row[f"at {load:g}"] = f"{found.mean:.4f} ±{found.half_width:.4f}"
            row[f"#{load:g}"] = f"{mean:g} ({taken.min():g}-{taken.max():g})"
        rows.append(row)
    print(pd.DataFrame(rows).to_string(index=False))
    first = [study.values(name, LOADS[0], METRIC).mean() for name in study.names]
    for load in study.loads[1:]:
        now = [study.values(name, load, METRIC).mean() for name in study.names]
        tau = stats.kendalltau(first, now)
        print(f"Kendall's tau of the ranking at {load:g} with that at {LOADS[0]:g}: {tau[0]:+.2f}")
    for load in study.loads:
        apart = study.differences("goodput", load)
        said = ", ".join(
            f"{name} {-d.interval.mean:+.3f} ±{d.interval.half_width:.3f}"
            if np.isfinite(d.interval.mean)
            else f"{name} {d.verdict}"  # its queue grows: the figure would be of the run's length
            for name, d in apart.items()
            if name in QUALITY_ONLY or name.startswith("static")
        )
        print(f"goodput of utility less that of each quality-only policy at {load:g}, /s: {said}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table a corpus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replications", type=int, default=20)
    parser.add_argument("--corpus", nargs="+", choices=list(POOLS), default=list(POOLS))
    options = parser.parse_args(arguments)
    for name in options.corpus:
        corpus, pool = rs.load_corpus(name), rs.load_agents(POOLS[name])
        began = time.perf_counter()
        study = study_of(corpus, pool, options.replications)
        print(
            f"\n{name}: {len(corpus):,} tasks, pool {POOLS[name]} ({study.capacity:.1f} tasks/s), "
            f"objective {study.settings.objective:g} s, {options.replications} replications, "
            f"{time.perf_counter() - began:.0f} s"
        )
        show(study)


if __name__ == "__main__":
    main()
