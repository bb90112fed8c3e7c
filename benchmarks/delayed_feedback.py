"""Bandits whose feedback is delayed by queues, against the same bandits with none.

    python benchmarks/delayed_feedback.py [--replications 40] [--corpus NAME …]

A bandit learns from an answer when it is complete. The same bandits meet the same tasks in
the same order under the same seeds, with the same service times: once so slowly that each
answer is complete before the next task arrives (load 0.001), then at rising loads. The
reward is quality alone, and no task is lost, so that only the time of feedback differs, as
`random` confirms. Figures: regret (quality lost a task against the best agent
of each task), and how much more it is than with feedback at once, with 95 % t-intervals
of the paired differences over replications, Holm over all loads and bandits of a corpus.
Delay is how many tasks would come between a decision and its feedback: arrival rate x
mean latency; where that exceeds the corpus, most answers are complete after the last
decision. Latencies are simulated with the shipped pools' service times.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

import routingsim as rs
from routingsim.evaluation import holm, paired_t

POOLS = {"paretobandit-val": "paretobandit", "dcrouter-train": "dcrouter"}
AT_ONCE = 0.001
LOADS = (0.3, 0.9, 1.1, 3.0)
BANDITS = ("epsilon-greedy", "ucb1", "thompson", "linucb")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table a corpus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replications", type=int, default=40)
    parser.add_argument("--corpus", nargs="+", choices=list(POOLS), default=list(POOLS))
    options = parser.parse_args(arguments)
    for name in options.corpus:
        corpus, pool = rs.load_corpus(name), rs.load_agents(POOLS[name])
        began = time.perf_counter()
        study = rs.compare(
            corpus,
            pool,
            ["random", *BANDITS],
            loads=(AT_ONCE, *LOADS),
            replications=options.replications,
            controls=False,
            progress=lambda done, whole: print(f"\r{done}/{whole}", end="", file=sys.stderr),
        )
        rows, apart = [], np.empty(0)
        for policy in study.names:
            for load, rate in zip(study.loads, study.rates, strict=True):
                here = study.values(policy, load, "regret")
                more = paired_t(
                    here, study.values(policy, AT_ONCE, "regret"), higher_is_better=False
                )
                latency = study.interval(policy, load, "latency_mean").mean
                found = study.interval(policy, load, "regret")
                rows.append(
                    {
                        "policy": policy,
                        "load": load,
                        "delay (tasks)": f"{rate * latency:,.1f}",
                        "regret": f"{found.mean:.4f} ±{found.half_width:.4f}",
                        "more than at once": f"{more.interval.mean:+.5f} "
                        f"±{more.interval.half_width:.5f}",
                    }
                )
                apart = np.append(apart, more.p_value)
        table = pd.DataFrame(rows)
        told_late = ((table["load"] != AT_ONCE) & (table["policy"] != "random")).to_numpy()
        table.loc[told_late, "p (Holm)"] = holm(apart[told_late])
        print(
            f"\n{name}: {len(corpus):,} tasks, pool {POOLS[name]}, {options.replications} "
            f"replications, {time.perf_counter() - began:.0f} s"
        )
        print(table.to_string(index=False, na_rep="", float_format="%.3g"))


if __name__ == "__main__":
    main()
